//! The outbound process; see the crate documentation.

use claw_runtime::{Env, lifecycle, telemetry};
use outbound::{App, Config};

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let telemetry = telemetry::start("outbound")?;
    let result = run().await;
    telemetry.flush();
    result
}

async fn run() -> anyhow::Result<()> {
    let config = Config::read(&Env::of_process())?;
    let app = App::build(config).await?;
    app.run_until_stopped(lifecycle::stop_signal()).await
}
