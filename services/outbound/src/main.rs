//! The outbound process; see the crate documentation.

use std::process::ExitCode;

use claw_runtime::{lifecycle, process};
use outbound::{App, Config};

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    process::run("outbound", Config::read, async |config| {
        let app = App::build(config).await?;
        app.run_until_stopped(lifecycle::stop_signal()).await
    })
    .await
}
