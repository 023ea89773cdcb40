//! Meta's `WhatsApp` Cloud API, simulated: see [`sim_meta`].

use claw_runtime::{Env, lifecycle, telemetry};
use sim_meta::{SimMeta, SimMetaConfig};
use tracing::info;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let telemetry = telemetry::start("sim-meta")?;
    let result = run().await;
    telemetry.flush();
    result
}

async fn run() -> anyhow::Result<()> {
    let sim = SimMeta::start(SimMetaConfig::read(&Env::of_process())?).await?;
    info!("Meta is simulated on {}", sim.addr());
    lifecycle::stop_signal().await;
    sim.stop().await;
    Ok(())
}
