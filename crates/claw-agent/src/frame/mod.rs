//! The frames on the socket: one JSON object per text frame.
//!
//! OpenClaw rejects unknown keys in the parameters of a request, so the parameters are typed exactly.
//! Incoming frames are decoded leniently: a later OpenClaw may add kinds, values and fields, and none
//! of them may break the connection.

mod content;
mod event;
mod incoming;
mod lenient;
mod read_event;
mod request;
#[cfg(test)]
mod tests;

pub(crate) use content::Content;
pub use event::{AgentEvent, RunFailure};
pub(crate) use incoming::{Incoming, Payload, Response, decode};
pub(crate) use lenient::{First, LONGEST_ID_BYTES, id, lenient, present, shortened};
pub(crate) use request::{
    Abort, Auth, ChatSendParams, Client, Connect, Device, HistoryDelta, HistoryPage, ListJobs,
    Nothing, Wake, encode,
};
