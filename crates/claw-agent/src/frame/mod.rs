//! What goes over the socket: one JSON object per text frame.
//!
//! Outgoing parameters are closed objects on the other side (an unknown key is an error), so they
//! are typed exactly. Incoming frames are read with tolerance: a later gateway may add kinds,
//! values and fields, and none of them may cost us the connection.

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
pub use incoming::{Incoming, Payload, Response, decode};
pub(crate) use lenient::{lenient, present};
pub(crate) use request::{
    Abort, Auth, ChatSendParams, Client, Connect, Device, HistoryDelta, HistoryPage, Nothing, Wait,
    encode,
};
