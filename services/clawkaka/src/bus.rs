use std::fmt;

use anyhow::Result;
use claw_bus::{Bus, BusConfig, Ensured};
use claw_runtime::Env;
use serde::Serialize;

use crate::output::Format;

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
    let bus = connect(env).await?;
    for ensured in claw_bus::ensure(&bus).await? {
        format.print(&EnsuredLine::from(ensured))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct EnsuredLine {
    kind: &'static str,
    name: &'static str,
}

impl From<Ensured> for EnsuredLine {
    fn from(ensured: Ensured) -> Self {
        let (kind, name) = match ensured {
            Ensured::Stream(name) => ("stream", name),
            Ensured::Bucket(name) => ("bucket", name),
        };
        Self { kind, name }
    }
}

impl fmt::Display for EnsuredLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} is up to date", self.kind, self.name)
    }
}
