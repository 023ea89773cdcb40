use claw_domain::{ReplyText, Sensitive};
use strum::{EnumString, IntoStaticStr};

/// An event from OpenClaw. A connection receives the events of all sessions and all senders without
/// a subscription; `session` is always the canonical key.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentEvent {
    /// The first frame of a connection.
    Challenge {
        /// To be signed in `connect`; valid for this connection.
        nonce: String,
        /// OpenClaw's time, in milliseconds since 1970.
        at_ms: u64,
    },
    /// A part of a reply in progress. For speaking early; never assemble the reply from deltas.
    ChatDelta {
        /// The run that produces the reply.
        run: String,
        /// The key of the session of the run.
        session: String,
        /// The new part, or the whole text so far if it `replaces`.
        text: Sensitive<String>,
        /// Whether the text replaces all earlier deltas.
        replaces: bool,
    },
    /// A run ended. Without text it was silent, queued, absorbed by another run, or a duplicate; only
    /// the transcript tells which. The same if too many texts wait to be read. It never means that an empty reply should be sent.
    ChatFinal {
        /// OpenClaw's id of the run; `inject-…` for rows that an operator wrote.
        run: String,
        /// The key of the session of the run.
        session: String,
        /// All texts of the run, joined by empty lines; cut like any reply.
        text: Option<ReplyText>,
    },
    /// A run failed. A second event without a cause may follow for the same run; the first counts.
    ChatError {
        /// OpenClaw's id of the run.
        run: String,
        /// The key of the session of the run.
        session: String,
        /// The cause, from the closed set that metrics use.
        failure: RunFailure,
    },
    /// A run was stopped.
    ChatAborted {
        /// OpenClaw's id of the run.
        run: String,
        /// The key of the session of the run.
        session: String,
    },
    /// The model began to work on a run.
    LifecycleStart {
        /// OpenClaw's id of the run.
        run: String,
        /// The key of the session of the run.
        session: String,
    },
    /// The model ended its work on a run, successfully or not. The run's `Chat…` event follows.
    LifecycleEnd {
        /// OpenClaw's id of the run.
        run: String,
        /// The key of the session of the run.
        session: String,
    },
    /// A row was added to a transcript. Sent only after [`crate::AgentHandle::subscribe`].
    SessionMessage {
        /// The session of the transcript.
        session: String,
    },
    /// A heartbeat ended. Its text, if any, is in the transcript, even if the event says "skipped".
    Heartbeat,
    /// A cron job ran.
    CronFinished,
    /// A sign of life, every `tickIntervalMs`.
    Tick,
    /// OpenClaw is shutting down.
    Shutdown,
    /// An event that does not concern us, or one of an unknown kind.
    Other {
        /// `event`, or `event.kind`. Comes from the sandbox: never use it as a metric label.
        name: String,
    },
}

/// Why a run failed. A closed set, because users get a text for each and metrics a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum RunFailure {
    /// The model provider rejects the key.
    Auth,
    /// The key's budget is spent.
    Billing,
    /// The model does not exist.
    ModelNotFound,
    /// The provider throttled the requests; OpenClaw retried for two minutes.
    RateLimit,
    /// The provider failed; OpenClaw retried for a minute and a half.
    ServerError,
    /// The run or the provider took too long.
    Timeout,
    /// A cause that OpenClaw does not classify, or that was introduced after this was written.
    Other,
}

impl RunFailure {
    /// The name in metrics; OpenClaw uses the same names.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
