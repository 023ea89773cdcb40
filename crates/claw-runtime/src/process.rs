//! A process from its settings to its exit code.

use std::process::ExitCode;

use tracing::error;

use crate::{
    Env,
    telemetry::{self, Telemetry},
};

/// Runs a program: reads its settings with `read`, starts logs, traces and metrics under `name`, and awaits
/// `work`.
///
/// Fails without a stack trace. If settings are missing or wrong, all of them are printed on stderr, one per
/// line; an error of `work` is logged with its causes.
pub async fn run<Config, Error: Into<anyhow::Error>>(
    name: &'static str,
    read: impl FnOnce(&Env) -> Result<Config, Error>,
    work: impl AsyncFnOnce(Config) -> anyhow::Result<()>,
) -> ExitCode {
    let (telemetry, config) = match start(name, read) {
        Ok(started) => started,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let result = work(config).await;
    if let Err(error) = &result {
        error!("{name} failed: {error:#}");
    }
    telemetry.flush();
    ExitCode::from(u8::from(result.is_err()))
}

fn start<Config, Error: Into<anyhow::Error>>(
    name: &'static str,
    read: impl FnOnce(&Env) -> Result<Config, Error>,
) -> anyhow::Result<(Telemetry, Config)> {
    let env = Env::of_process();
    // Everything is read before the first error is returned, because that error then lists all problems.
    let telemetry = telemetry::Settings::read(&env);
    let config = read(&env).map_err(Into::into);
    env.finish()?;
    Ok((telemetry?.start(name)?, config?))
}
