//! Simulates Meta's WhatsApp Cloud API; `sim-meta --help` tells how to use it.

use std::process::ExitCode;

use claw_runtime::lifecycle;
use sim_kit::program;
use sim_meta::{SimMeta, SimMetaConfig};
use tracing::info;

const HELP: &str = include_str!("help.txt");

#[tokio::main]
async fn main() -> ExitCode {
    program::run("sim-meta", HELP, SimMetaConfig::read, async |config| {
        let sim = SimMeta::start(config).await?;
        info!("Meta is simulated on {}", sim.addr());
        lifecycle::stop_signal().await;
        sim.stop().await;
        Ok(())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_setting_and_every_path_of_the_control_api() {
        let sources = [
            include_str!("config.rs"),
            include_str!("control.rs"),
            include_str!("media.rs"),
        ];
        program::assert_help_is_complete(HELP, &sources);
    }
}
