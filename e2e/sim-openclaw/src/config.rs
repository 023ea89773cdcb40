use std::{net::SocketAddr, time::Duration};

use claw_runtime::{Env, EnvError};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sim_kit::timeline::Timeline;

use super::Heartbeat;

/// Settings of the simulated OpenClaw instances. `Default` suits tests: a free port, no delays, and every
/// device is approved at its first connect.
#[derive(Debug, Clone)]
pub struct SimOpenClawConfig {
    /// The address to listen on; port 0 picks a free port.
    pub listen: SocketAddr,
    /// The token that `connect` must carry in every sandbox; `None` accepts any token that is not empty.
    pub token: Option<SecretString>,
    /// How devices are approved.
    pub pairing: Pairing,
    /// How agents behave until `set_behaviour` changes it.
    pub behaviour: Behaviour,
    /// Time between `tick` events.
    pub tick: Duration,
    /// Time limit for a client's handshake; afterwards its socket is closed with 1000.
    pub handshake: Duration,
    /// How long an idempotency key and the outcome of its run are remembered.
    pub remembered: Duration,
    /// How long after a start the jobs run that were missed before it.
    pub missed_jobs_after: Duration,
    /// Rows kept per session; a cursor older than the oldest kept row answers `reset`.
    pub rows_per_session: usize,
    /// Whether all events of a turn are sent, or only the four that a client must understand.
    pub events: EventDetail,
    /// Records when messages and aborts arrived, and when answers started and ended.
    pub timeline: Timeline,
}

/// How devices are approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pairing {
    /// A device is approved at its first connect, as by the approver in the sandbox image.
    AtFirstConnect,
    /// A device is refused until the control API approves it.
    ByHand,
}

/// Which events of a turn are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventDetail {
    /// All events that a real OpenClaw sends, about twenty per turn.
    Full,
    /// Lifecycle start and end, one delta and the final event, for load tests.
    Terse,
}

/// The treatment of a message that arrives while a run is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueMode {
    /// Each message becomes a turn of its own after the run, under a random run id.
    Followup,
    /// All messages become one turn after the run, under a random run id.
    Collect,
    /// The active run also answers the messages.
    Steer,
    /// The active run is aborted and the message starts a turn.
    Interrupt,
}

impl QueueMode {
    /// The value of `queueMode` in requests.
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
    /// Shortest time until the reply is complete, in milliseconds.
    pub delay_ms: u64,
    /// Largest random addition to `delay_ms`, in milliseconds.
    pub delay_spread_ms: u64,
    /// Number of pieces in which the reply is streamed.
    pub deltas: u32,
    /// Milliseconds between two pieces; the first piece comes after the rest of the delay. If absent, the
    /// pauses before all pieces are equal.
    pub gap_ms: Option<u64>,
    /// Milliseconds between the answer `started` and the moment the user's row is stored. A kill before that
    /// moment loses the message.
    pub store_ms: u64,
    /// The queue mode of overlapping messages whose request has no `queueMode`.
    pub queue_mode: QueueMode,
    /// The text before the echo of a message.
    pub reply_prefix: String,
    /// The answer to a heartbeat that a client asks for with `wake`.
    pub heartbeat: Heartbeat,
    /// A method that is refused.
    pub refuses: Option<String>,
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
            heartbeat: Heartbeat::NoReply,
            refuses: None,
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
            missed_jobs_after: Duration::from_mins(2),
            rows_per_session: 10_000,
            events: EventDetail::Full,
            timeline: Timeline::default(),
        }
    }
}

impl SimOpenClawConfig {
    /// Reads the environment variables that `sim-openclaw --help` lists.
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
