//! Twilio Voice, simulated: see [`sim_twilio`].

use claw_runtime::{Env, lifecycle, telemetry};
use sim_twilio::{SimTwilio, SimTwilioConfig};
use tracing::info;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let telemetry = telemetry::start("sim-twilio")?;
    let result = run().await;
    telemetry.flush();
    result
}

async fn run() -> anyhow::Result<()> {
    let sim = SimTwilio::start(SimTwilioConfig::read(&Env::of_process())?).await?;
    info!("Twilio is simulated on {}", sim.addr());
    lifecycle::stop_signal().await;
    sim.stop().await;
    Ok(())
}
