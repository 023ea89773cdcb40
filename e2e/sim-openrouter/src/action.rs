//! The actions of the simulated model, and the directives that request them in a message.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The text with which the model sends no reply.
pub(crate) const NO_REPLY: &str = "NO_REPLY";

/// The model's answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Says this text and calls no tool.
    Say(String),
    /// Runs this command and says its output.
    Exec(String),
    /// Calls a tool and says its result.
    Call {
        /// The name of a tool that the request offers.
        tool: String,
        /// The tool's arguments, according to its schema.
        arguments: Value,
    },
    /// Fails with this HTTP status before the first token.
    Error(u16),
    /// Says this text, then fails in the middle of the stream.
    BreakOff(String),
}

impl Action {
    pub(crate) fn uses_tool(&self) -> bool {
        match self {
            Self::Exec(_) | Self::Call { .. } => true,
            Self::Say(_) | Self::Error(_) | Self::BreakOff(_) => false,
        }
    }
}

/// The argument of the last `[[NAME argument]]`.
pub(crate) fn directive<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.rsplit_once(&format!("[[{name} "))?;
    rest.split_once("]]").map(|(argument, _)| argument.trim())
}
