//! The provisioner's process.

use claw_runtime::{Env, lifecycle, telemetry};
use provisioner::{App, Config};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let telemetry = telemetry::start("provisioner")?;
    let result = run().await;
    telemetry.flush();
    result
}

async fn run() -> anyhow::Result<()> {
    let config = Config::read(&Env::of_process())?;
    let app = App::build(config).await?;
    app.run_until_stopped(lifecycle::stop_signal()).await
}
