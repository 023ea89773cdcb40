//! The gateway process; see the crate documentation.

use std::process::ExitCode;

use claw_runtime::{lifecycle, process};
use gateway::{App, Config};

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    process::run("gateway", Config::read, async |config| {
        let app = App::build(config).await?;
        app.run_until_stopped(lifecycle::stop_signal()).await
    })
    .await
}
