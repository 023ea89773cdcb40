//! `OpenClaw` gateways, simulated: see [`sim_openclaw`].

use claw_runtime::{Env, lifecycle, telemetry};
use sim_openclaw::{SimOpenClaw, SimOpenClawConfig};
use tracing::info;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let telemetry = telemetry::start("sim-openclaw")?;
    let result = run().await;
    telemetry.flush();
    result
}

async fn run() -> anyhow::Result<()> {
    let sim = SimOpenClaw::start(SimOpenClawConfig::read(&Env::of_process())?).await?;
    info!("OpenClaw gateways are simulated on {}", sim.addr());
    lifecycle::stop_signal().await;
    sim.stop().await;
    Ok(())
}
