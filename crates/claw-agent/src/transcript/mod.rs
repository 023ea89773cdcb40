//! Reading a session's transcript. Pure.
//!
//! The transcript is OpenClaw's only durable record; live events are only hints to read it.

mod history;
mod owner;
mod row;
mod run_status;
#[cfg(test)]
mod tests;

pub(crate) use history::HistoryError;
pub use history::{Activity, Cursor, History, HistorySince, Interruption};
pub use owner::AssistantRow;
pub use row::Row;
pub(crate) use row::{RowKind, Stop};
pub use run_status::{RunStatus, proactive, run_status, whole_text};
