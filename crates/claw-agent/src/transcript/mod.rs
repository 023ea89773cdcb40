//! What a session's transcript says. Pure.
//!
//! The transcript is the only durable record at the other end: live events are nudges to read it.

mod history;
mod owner;
mod row;
mod standing;
#[cfg(test)]
mod tests;

pub(crate) use history::WireSession;
pub use history::{Activity, Cursor, History, HistorySince, Interruption, Pending};
pub use owner::AssistantRow;
pub use row::{Row, RowKind, Stop};
pub use standing::{Standing, proactive, standing, whole_text};
