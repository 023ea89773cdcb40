use std::fmt;

use anyhow::Result;
use claw_bus::{Bus, BusConfig, Ensured, EnsuredKind};
use claw_runtime::Env;
use serde::Serialize;

use crate::{installation::user_id_key, output::Format};

/// The user on the bus that may do everything.
const USER: &str = "admin";

/// Connects to the bus at `NATS_URL`, which must name the user `admin`.
pub(crate) async fn connect(env: &Env) -> Result<Bus> {
    let config = BusConfig {
        url: env.secret("NATS_URL")?,
        service: USER,
    };
    Ok(Bus::connect(&config).await?)
}

pub(crate) async fn ensure(env: &Env, format: Format) -> Result<()> {
    let check = user_id_key(env)?.check_value();
    let bus = connect(env).await?;
    for ensured in claw_bus::ensure(&bus).await? {
        format.print(&EnsuredLine::from(ensured))?;
    }
    Ok(bus.record_user_id_key(&check).await?)
}

#[derive(Serialize)]
struct EnsuredLine {
    kind: &'static str,
    name: &'static str,
    account: &'static str,
}

impl From<Ensured> for EnsuredLine {
    fn from(ensured: Ensured) -> Self {
        let kind = match ensured.kind {
            EnsuredKind::Stream => "stream",
            EnsuredKind::Bucket => "bucket",
        };
        Self {
            kind,
            name: ensured.name,
            account: ensured.account,
        }
    }
}

impl fmt::Display for EnsuredLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} of {} is up to date",
            self.kind, self.name, self.account
        )
    }
}
