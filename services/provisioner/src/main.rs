//! The provisioner process; see the crate documentation.

use std::process::ExitCode;

use claw_runtime::{lifecycle, process};
use provisioner::{App, Config};

#[tokio::main]
async fn main() -> ExitCode {
    process::run("provisioner", Config::read, async |config| {
        let app = App::build(config).await?;
        app.run_until_stopped(lifecycle::stop_signal()).await
    })
    .await
}
