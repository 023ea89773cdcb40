use std::time::Duration;

use anyhow::{Context, Result};
use claw_runtime::Env;
use claw_store::{Role, Store};

use crate::{installation::user_id_key, output::remark};

/// Longest wait for a database that is just starting.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects to the database at `DATABASE_URL`, which must name its owner.
pub(crate) async fn connect(env: &Env) -> Result<Store> {
    let url = env.secret("DATABASE_URL")?;
    let store = Store::connect(&url, 1).await;
    store.context("connecting to Postgres (is DATABASE_URL right, and the server up?)")
}

/// Brings the schema of the database at `DATABASE_URL` up to date, and the roles with which the services connect. A role
/// whose password is not given keeps the one it has.
pub(crate) async fn migrate(env: &Env) -> Result<()> {
    let check = user_id_key(env)?.check_value();
    let url = env.secret("DATABASE_URL")?;
    let mut passwords = Vec::new();
    for (role, password) in [
        (
            Role::Provisioner,
            env.optional_secret("DATABASE_PASSWORD_PROVISIONER")?,
        ),
        (
            Role::Gateway,
            env.optional_secret("DATABASE_PASSWORD_GATEWAY")?,
        ),
        (
            Role::Outbound,
            env.optional_secret("DATABASE_PASSWORD_OUTBOUND")?,
        ),
    ] {
        passwords.extend(password.map(|password| (role, password)));
    }
    claw_store::migrate(&url, &passwords, PATIENCE)
        .await
        .context("the schema is not up to date")?;
    claw_store::record_user_id_key(&url, &check).await?;
    remark("the schema is up to date")
}
