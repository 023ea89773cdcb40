//! A client of OpenClaw's WebSocket protocol (protocol 4, as OpenClaw 2026.9.6 speaks it).
//!
//! `frame` and `transcript` are pure: they decode frames and tell from a transcript how a message of
//! ours was handled. `connection` drives a socket with them. The crate knows nothing of users, the
//! bus or the database. It never decides whether to send a message again: it reports what is known
//! about the message and leaves the decision to its caller.

mod backoff;
#[cfg(test)]
mod captures;
mod connection;
mod device;
mod error;
mod frame;
mod jobs;
mod transcript;

pub use backoff::pause_before;
pub use connection::{
    AgentConnection, AgentHandle, Allowance, ChatSend, CloseReason, Credentials, Flood,
    FrameBudget, SendStatus,
};
pub use device::DeviceKey;
pub use error::{CallError, ConnectError, NotSent, Refusal, RetryClass, Unanswered};
pub use frame::{AgentEvent, RunFailure};
pub use jobs::{Job, JobList, JobSchedule};
pub use transcript::{
    Activity, AssistantRow, Cursor, History, HistorySince, Interruption, Row, RunStatus, proactive,
    run_status, whole_text,
};

/// The only session we use; heartbeat and cron turns run in it too. Session keys are compared in
/// this canonical, lower-case form, which OpenClaw always answers with.
pub const MAIN_SESSION: &str = "agent:main:main";
