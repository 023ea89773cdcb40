use std::{net::SocketAddr, time::Duration};

use claw_runtime::{Env, EnvError};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sim_kit::timeline::Timeline;

/// What simulated gateways are told at their start. `Default` suits tests: a free port, no delays,
/// any device is approved at its first connect.
#[derive(Debug, Clone)]
pub struct SimOpenClawConfig {
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The gateway token of every sandbox; `None` takes any (but not an empty one).
    pub token: Option<SecretString>,
    /// Which devices get in.
    pub pairing: Pairing,
    /// How agents behave until told otherwise.
    pub behaviour: Behaviour,
    /// Time between `tick` events.
    pub tick: Duration,
    /// Time a client has for its handshake.
    pub handshake: Duration,
    /// How long an idempotency key and the outcome of its run are remembered.
    pub remembered: Duration,
    /// Rows kept per session; a cursor older than the oldest kept row answers `reset`.
    pub rows_per_session: usize,
    /// Whether all events of a turn are sent, or only those a client must understand (lifecycle
    /// start and end, one delta, final). The latter is for load tests.
    pub events: EventDetail,
    /// Where is noted when messages and requests to stop came, and when answers began and ended.
    pub timeline: Timeline,
}

/// Which devices get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pairing {
    /// A device is approved at its first connect, as by an approver in the container.
    AtFirstConnect,
    /// A device is refused until the control API approves it.
    ByHand,
}

/// How much of a turn is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventDetail {
    /// As a real gateway does: some twenty frames per turn.
    Full,
    /// Four frames per turn.
    Terse,
}

/// What happens to a message sent while a run is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueMode {
    /// Each becomes a turn of its own afterwards, under a random run id.
    Followup,
    /// All become one turn afterwards, under a random run id.
    Collect,
    /// All are worked into the active run.
    Steer,
    /// The active run is aborted.
    Interrupt,
}

impl QueueMode {
    /// Its name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Followup => "followup",
            Self::Collect => "collect",
            Self::Steer => "steer",
            Self::Interrupt => "interrupt",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        [Self::Followup, Self::Collect, Self::Steer, Self::Interrupt]
            .into_iter()
            .find(|mode| mode.name() == name)
    }
}

/// How an agent behaves. Directives in a message override it: `[[SAY x]]`, `[[SLOW ms]]`,
/// `[[SILENT]]`, `[[LONG chars]]`, `[[ERROR failoverReason]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Milliseconds until the reply is complete, at least.
    pub delay_ms: u64,
    /// Up to so many milliseconds more, by chance.
    pub delay_spread_ms: u64,
    /// Pieces in which the reply is streamed.
    pub deltas: u32,
    /// Milliseconds between two pieces: the first comes after the rest of the delay. Without it all
    /// pieces, the first too, come at even pauses.
    pub gap_ms: Option<u64>,
    /// Milliseconds between the answer `started` and the storing of the user's row. A run killed
    /// before is lost.
    pub store_ms: u64,
    /// What happens to overlapping messages when the request does not say.
    pub queue_mode: QueueMode,
    /// What precedes the echo of a message.
    pub reply_prefix: String,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            delay_ms: 0,
            delay_spread_ms: 0,
            deltas: 2,
            gap_ms: None,
            store_ms: 0,
            queue_mode: QueueMode::Followup,
            reply_prefix: "echo: ".to_owned(),
        }
    }
}

impl Default for SimOpenClawConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: Some("gateway-token-of-the-simulator".into()),
            pairing: Pairing::AtFirstConnect,
            behaviour: Behaviour::default(),
            tick: Duration::from_secs(30),
            handshake: Duration::from_secs(15),
            remembered: Duration::from_mins(5),
            rows_per_session: 10_000,
            events: EventDetail::Full,
            timeline: Timeline::default(),
        }
    }
}

impl SimOpenClawConfig {
    /// Reads `SIM_OPENCLAW_LISTEN`, `SANDBOX_EXTERNAL_TOKEN` (any token is taken when it is absent),
    /// `SIM_OPENCLAW_DELAY_MS`, `SIM_OPENCLAW_DELAY_SPREAD_MS` and `SIM_OPENCLAW_TERSE`.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let defaults = Self::default();
        let listen = env.or(
            "SIM_OPENCLAW_LISTEN",
            SocketAddr::from(([127, 0, 0, 1], 18789)),
        );
        let token = env.optional_secret("SANDBOX_EXTERNAL_TOKEN");
        let delay_ms = env.or("SIM_OPENCLAW_DELAY_MS", defaults.behaviour.delay_ms);
        let spread = env.or(
            "SIM_OPENCLAW_DELAY_SPREAD_MS",
            defaults.behaviour.delay_spread_ms,
        );
        let is_terse = env.or("SIM_OPENCLAW_TERSE", false);
        Ok(Self {
            listen: listen?,
            token: token?,
            behaviour: Behaviour {
                delay_ms: delay_ms?,
                delay_spread_ms: spread?,
                ..defaults.behaviour
            },
            events: if is_terse? {
                EventDetail::Terse
            } else {
                EventDetail::Full
            },
            ..defaults
        })
    }
}
