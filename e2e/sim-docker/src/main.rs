//! Simulates a Docker engine; `sim-docker --help` tells how to use it.

use std::process::ExitCode;

use claw_runtime::lifecycle;
use sim_docker::{SimDocker, SimDockerConfig};
use sim_kit::program;
use tracing::info;

const HELP: &str = include_str!("help.txt");

#[tokio::main]
async fn main() -> ExitCode {
    program::run("sim-docker", HELP, SimDockerConfig::read, async |config| {
        let sim = SimDocker::start(config).await?;
        info!("a Docker engine is simulated on {}", sim.docker_host());
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
        let sources = [include_str!("config.rs"), include_str!("control.rs")];
        program::assert_help_is_complete(HELP, &sources);
    }
}
