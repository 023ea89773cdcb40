//! The engine restarts a container only if it ends, so the health check ends one that hangs.

use std::time::Duration;

use e2e::harness::{Options, Sandboxes, Service, VoiceMode, World};
use sim_meta::SimMetaConfig;
use sim_openclaw::SimOpenClawConfig;
use sim_twilio::SimTwilioConfig;

use crate::{is_compose, probe::inspect};

const ADA: &str = "491515550001";

/// Longest time until the service is restarted and the answer delivered.
const WAIT_LIMIT: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_hangs_is_restarted_and_then_delivers_the_answer() {
    if !is_compose() {
        eprintln!("not run: CLAWKAKA_WORLD is not compose");
        return;
    }
    let world = World::start(Options {
        sandboxes: Sandboxes::Simulated(SimOpenClawConfig::default()),
        cap: 10,
        meta: SimMetaConfig::default(),
        twilio: SimTwilioConfig::default(),
        voice: VoiceMode::default(),
        replicas: Vec::new(),
        variables: Vec::new(),
    })
    .await
    .unwrap();
    let outbound = format!("{}-outbound-1", world.project().unwrap());

    world.pause(Service::Outbound).await.unwrap();
    world.meta.write(ADA, "are you there").unwrap();

    // The line that the assistant is being set up may come first.
    let mut received = 1;
    loop {
        let chat = world.meta.wait_received(ADA, received, WAIT_LIMIT).await;
        let chat = chat.unwrap();
        if chat.received_texts().contains(&"echo: are you there") {
            break;
        }
        received = chat.received + 1;
    }
    assert_eq!(inspect(&outbound)["RestartCount"], 1);
}
