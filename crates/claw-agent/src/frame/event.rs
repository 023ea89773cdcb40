use claw_domain::Sensitive;

use crate::Row;

/// Something that happened at a gateway. Without any subscription a connection hears of all
/// sessions and all senders; `session` is always the canonical key.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentEvent {
    /// The first frame of a connection: sign this.
    Challenge {
        /// To be signed; good for this connection.
        nonce: String,
        /// The gateway's clock, ms.
        at_ms: u64,
    },
    /// A piece of a reply being written. Good for speaking early; never build the reply from it.
    ChatDelta {
        /// Whose reply.
        run: String,
        /// Where.
        session: String,
        /// The new piece, or everything so far if it `replaces`.
        text: Sensitive<String>,
        /// Whether the text takes the place of all earlier pieces.
        replaces: bool,
    },
    /// A run ended. Without text it was silent, queued, absorbed by another run or a duplicate:
    /// only the transcript knows. It never means "an empty text to send".
    ChatFinal {
        /// Which run; `inject-…` for rows an operator wrote.
        run: String,
        /// Where.
        session: String,
        /// All texts of the run, joined by empty lines.
        text: Option<Sensitive<String>>,
    },
    /// A run failed. A second one without a cause may follow for the same run: the first counts.
    ChatError {
        /// Which run.
        run: String,
        /// Where.
        session: String,
        /// Why.
        failure: RunFailure,
    },
    /// A run was stopped by someone.
    ChatAborted {
        /// Which run.
        run: String,
        /// Where.
        session: String,
    },
    /// The model begins to work on a run.
    LifecycleStart {
        /// Which run.
        run: String,
        /// Where.
        session: String,
        /// Whether nobody asked: the assistant looks around by itself.
        is_heartbeat: bool,
    },
    /// The model is done with a run, well or not. The `Chat…` event of the run follows.
    LifecycleEnd {
        /// Which run.
        run: String,
        /// Where.
        session: String,
        /// As for the start.
        is_heartbeat: bool,
    },
    /// A row was added to a transcript. Only after `subscribe`.
    SessionMessage {
        /// Where.
        session: String,
        /// The row; long texts may be cut, and `opens_turn` is only told by the transcript.
        row: Box<Row>,
    },
    /// A heartbeat is over. Its text, if any, is in the transcript; the event carries only a cut
    /// preview, and "skipped" does not mean that nothing was said.
    Heartbeat,
    /// A cron job ran.
    CronFinished {
        /// Which job.
        job: String,
        /// Where its run was.
        session: Option<String>,
    },
    /// A sign of life, every `tickIntervalMs`.
    Tick,
    /// The gateway is going away.
    Shutdown {
        /// It says that it will come back.
        restart_expected: bool,
    },
    /// Known or unknown, but none of our business.
    Other {
        /// `event`, or `event.kind`. Comes from the sandbox: no metric label.
        name: String,
    },
}

/// Why a run failed. A closed set: users hear a line for each, operators count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunFailure {
    /// The model provider does not accept the key.
    Auth,
    /// The key has no money left.
    Billing,
    /// There is no such model.
    ModelNotFound,
    /// Too many requests; the gateway tried for two minutes.
    RateLimit,
    /// The provider is broken; the gateway tried for a minute and a half.
    ServerError,
    /// The run or the provider took too long.
    Timeout,
    /// Anything else.
    Other,
}

impl RunFailure {
    /// The name used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Billing => "billing",
            Self::ModelNotFound => "model_not_found",
            Self::RateLimit => "rate_limit",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Other => "other",
        }
    }

    /// The cause the gateway calls by this name.
    pub(super) fn from_name(name: &str) -> Self {
        match name {
            "auth" => Self::Auth,
            "billing" => Self::Billing,
            "model_not_found" => Self::ModelNotFound,
            "rate_limit" => Self::RateLimit,
            "server_error" => Self::ServerError,
            "timeout" => Self::Timeout,
            _ => Self::Other,
        }
    }
}
