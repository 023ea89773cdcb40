//! `claw-store migrate`: brings the database's schema up to date.

use std::{env, fs, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use secrecy::SecretString;

/// Longest wait for a database that is just starting.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("claw-store: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments != ["migrate"] {
        bail!("usage: claw-store migrate");
    }
    let url = database_url()?;
    claw_store::migrate(&url, PATIENCE)
        .await
        .context("the schema is not up to date")?;
    eprintln!("claw-store: the schema is up to date");
    Ok(())
}

fn database_url() -> anyhow::Result<SecretString> {
    if let Some(url) = variable("DATABASE_URL") {
        return Ok(url.into());
    }
    let path = variable("DATABASE_URL_FILE")
        .context("neither DATABASE_URL nor DATABASE_URL_FILE is set: where is the database?")?;
    let url =
        fs::read_to_string(&path).with_context(|| format!("reading DATABASE_URL_FILE {path}"))?;
    Ok(url.trim_end().into())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the store knows nothing of claw-runtime and its Env"
)]
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
