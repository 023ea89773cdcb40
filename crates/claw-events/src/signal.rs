use claw_domain::{UserId, Wamid};
use serde::{Deserialize, Serialize};

/// The assistant is at work on a message: show it as read, and show typing. Worthless a second
/// later, so it goes over core NATS and is never stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypingStarted {
    /// Whose chat.
    pub user: UserId,
    /// The message being answered; Meta hangs both marks on it.
    pub wamid: Wamid,
}

impl TypingStarted {
    /// All subjects of this signal.
    pub const FILTER: &'static str = "signal.typing.*";

    /// The subject of this one.
    pub fn subject(&self) -> String {
        format!("signal.typing.{}", self.user)
    }
}
