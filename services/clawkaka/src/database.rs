use std::time::Duration;

use anyhow::{Context, Result};
use claw_runtime::Env;

use crate::output::remark;

/// Longest wait for a database that is just starting.
const PATIENCE: Duration = Duration::from_secs(30);

/// Brings the schema of the database at `DATABASE_URL` up to date.
pub(crate) async fn migrate(env: &Env) -> Result<()> {
    let url = env.secret("DATABASE_URL")?;
    claw_store::migrate(&url, PATIENCE)
        .await
        .context("the schema is not up to date")?;
    remark("the schema is up to date")
}
