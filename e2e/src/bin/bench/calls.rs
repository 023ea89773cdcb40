//! Our share of the time of turns in phone calls, with many simultaneous calls. The simulated Twilio and the
//! simulated assistants note on one clock what they send and receive. The time in between is ours, including that
//! of Caddy and the sockets.

mod caller;
mod report;
mod turns;

use std::time::Duration;

use anyhow::Result;
use e2e::harness::{Options, Sandboxes, VoiceMode, World};
use futures_util::future::join_all;
use sim_kit::timeline::Timeline;
use sim_meta::SimMetaConfig;
use sim_openclaw::{Behaviour, SimOpenClawConfig};
use sim_twilio::SimTwilioConfig;
use tokio::time::sleep;

use crate::{
    baseline::{Baseline, DirectClients},
    processor_use::ProcessorUse,
    users::introduce_users,
};
use caller::{CallResult, REPLY_PREFIX, TURNS, hold_call};
use report::Report;

/// Simultaneous calls unless the command line says otherwise.
pub(crate) const USERS: u32 = 200;

/// Time in which all users dial, evenly distributed.
const DIALLING: Duration = Duration::from_secs(4);

/// Least time an assistant thinks before it streams its answer.
const THINKS_MS: u64 = 300;

/// Most random time added to `THINKS_MS`.
const THINKS_LONGER_MS: u64 = 500;

/// Pieces of an answer.
const PIECES: u32 = 10;

/// Time between two pieces of an answer.
const PIECE_EVERY_MS: u64 = 60;

/// Most timeline entries of one turn: of the caller, of the assistant, and of each piece that arrives.
const ENTRIES_PER_TURN: usize = 32;

/// Size of the baseline's events: about that of an utterance.
const BASELINE_EVENT_BYTES: usize = 400;

/// Measures both voice modes and prints the results.
pub(crate) async fn run(users: u32) -> Result<()> {
    for voice in [VoiceMode::Gather, VoiceMode::Relay] {
        measure(voice, users).await?.print();
    }
    Ok(())
}

async fn measure(voice: VoiceMode, users: u32) -> Result<Report> {
    let limit = usize::try_from(users * TURNS)? * ENTRIES_PER_TURN;
    let timeline = Timeline::with_limit(limit);
    let world = world(voice, users, &timeline).await?;
    introduce_users(&world, users).await?;
    let direct = DirectClients::connect(&world).await?;
    let mut baseline = Baseline::none()?;
    let before = ProcessorUse::so_far(&world)?;
    let calls = join_all((0..users).map(|user| dial_and_talk(&world, voice, user, users)));
    let results = tokio::select! {
        results = calls => results,
        failed = direct.measure(&mut baseline, BASELINE_EVENT_BYTES) => {
            let Err(error) = failed;
            return Err(error);
        }
    };
    let spent = ProcessorUse::so_far(&world)? - before;
    Report::of(
        &world,
        voice,
        &results,
        &timeline.entries(),
        baseline,
        spent,
    )
    .await
}

/// Waits for the user's time to dial, and then holds the call.
async fn dial_and_talk(world: &World, voice: VoiceMode, user: u32, users: u32) -> CallResult {
    sleep(DIALLING * user / users.max(1)).await;
    hold_call(world, voice, user).await
}

async fn world(voice: VoiceMode, users: u32, timeline: &Timeline) -> Result<World> {
    let meta = SimMetaConfig {
        throughput: 0,
        pair_rate: false,
        ..SimMetaConfig::default()
    };
    let behaviour = Behaviour {
        delay_ms: THINKS_MS + PIECE_EVERY_MS * u64::from(PIECES - 1),
        delay_spread_ms: THINKS_LONGER_MS,
        deltas: PIECES,
        gap_ms: Some(PIECE_EVERY_MS),
        reply_prefix: REPLY_PREFIX.to_owned(),
        ..Behaviour::default()
    };
    let openclaw = SimOpenClawConfig {
        behaviour,
        timeline: timeline.clone(),
        ..SimOpenClawConfig::default()
    };
    let twilio = SimTwilioConfig {
        timeline: timeline.clone(),
        ..SimTwilioConfig::default()
    };
    World::start(Options {
        sandboxes: Sandboxes::Simulated(openclaw),
        cap: users * 2,
        meta,
        twilio,
        voice,
        replicas: Vec::new(),
        variables: vec![
            ("WHATSAPP_MESSAGES_PER_SECOND", "100000".to_owned()),
            ("RUST_LOG", "warn".to_owned()),
        ],
    })
    .await
}
