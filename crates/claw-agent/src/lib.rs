//! The agent's WebSocket protocol, as `OpenClaw` 2026.9.6 speaks it (protocol 4).
//!
//! `frame` and `transcript` are pure: what the bytes mean, and what a transcript says about one of
//! our messages. `connection` drives a socket with them. The crate knows nothing of our users, the
//! bus or the database, and never decides whether to send a message again: it only tells what is
//! known, and by how sure a source.

mod backoff;
#[cfg(test)]
mod captures;
mod connection;
mod device;
mod error;
mod frame;
mod transcript;

pub use backoff::pause_before;
pub use connection::{
    AgentConnection, AgentHandle, ChatSend, CloseReason, ConnectOptions, Credentials, Limits,
    SendStatus, SessionActivity, WaitOutcome,
};
pub use device::{DeviceKey, SignedFields};
pub use error::{CallError, ConnectError, GatewayError, NotSent, RetryClass, Unanswered};
pub use frame::{AgentEvent, Incoming, Payload, Response, RunFailure, decode};
pub use transcript::{
    Activity, AssistantRow, Cursor, History, HistorySince, Interruption, Pending, Row, RowKind,
    Standing, Stop, proactive, standing, whole_text,
};

/// The one session we use: heartbeat and cron turns live there too. Keys are compared in this
/// canonical, lower-case form; the gateway always answers with it.
pub const MAIN_SESSION: &str = "agent:main:main";
