//! What we take of the turns of phone calls, with many people on the line at once. One clock sees what Twilio
//! hands over and gets, and what the assistants get and say; what lies between is ours, together with the
//! way through Caddy and over the sockets.

mod person;
mod report;
mod spent;
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
    bare::{Bare, Beats},
    people::introduce_everyone,
};
use person::{REPLY_PREFIX, TURNS, Talk, hold};
use report::Report;
use spent::Spent;

/// People on the line at once.
pub(crate) const PEOPLE: u32 = 200;

/// Within this time all have dialled.
const DIALLING: Duration = Duration::from_secs(4);

/// An assistant thinks for 300 to 800 ms, and then streams its answer.
const THINKS_MS: u64 = 300;
const THINKS_LONGER_MS: u64 = 500;

/// Pieces of an answer, and the time between two of them.
const PIECES: u32 = 10;
const PIECE_EVERY_MS: u64 = 60;

/// Timeline entries of one turn: of the caller, of the assistant, and of each piece that arrives.
const ENTRIES_PER_TURN: usize = 32;

/// What is stored beside the calls: as much as what somebody says.
const BARE_EVENT_BYTES: usize = 400;

/// Measures and prints.
pub(crate) async fn run(people: u32) -> Result<()> {
    for voice in [VoiceMode::Gather, VoiceMode::Relay] {
        measure(voice, people).await?.print();
    }
    Ok(())
}

async fn measure(voice: VoiceMode, people: u32) -> Result<Report> {
    let limit = usize::try_from(people * TURNS)? * ENTRIES_PER_TURN;
    let timeline = Timeline::with_limit(limit);
    let world = world(voice, people, &timeline).await?;
    introduce_everyone(&world, people).await?;
    let bare = Bare::connect(&world).await?;
    let mut beats = Beats::none()?;
    let before = Spent::until_now(&world)?;
    let talking = join_all((0..people).map(|person| talk(&world, voice, person, people)));
    let talks = tokio::select! {
        talks = talking => talks,
        failed = bare.beat(&mut beats, BARE_EVENT_BYTES) => {
            let Err(error) = failed;
            return Err(error);
        }
    };
    let spent = Spent::until_now(&world)? - before;
    Report::of(&world, voice, &talks, &timeline.entries(), beats, spent).await
}

/// Dials when it is this person's time.
async fn talk(world: &World, voice: VoiceMode, person: u32, people: u32) -> Talk {
    sleep(DIALLING * person / people.max(1)).await;
    hold(world, voice, person).await
}

async fn world(voice: VoiceMode, people: u32, timeline: &Timeline) -> Result<World> {
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
        cap: people * 2,
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
