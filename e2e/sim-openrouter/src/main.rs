//! `OpenRouter`, simulated: see [`sim_openrouter`].

use claw_runtime::{Env, lifecycle, telemetry};
use sim_openrouter::{SimOpenRouter, SimOpenRouterConfig};
use tracing::info;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let telemetry = telemetry::start("sim-openrouter")?;
    let result = run().await;
    telemetry.flush();
    result
}

async fn run() -> anyhow::Result<()> {
    let sim = SimOpenRouter::start(SimOpenRouterConfig::read(&Env::of_process())?).await?;
    info!("OpenRouter is simulated on {:?}", sim.addrs());
    lifecycle::stop_signal().await;
    sim.stop().await;
    Ok(())
}
