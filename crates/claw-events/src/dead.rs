use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// Why an event was set aside for people. A closed set, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DeadReason {
    /// It is not the JSON its subject promises.
    Undecodable,
    /// Its handler said that trying again cannot help.
    Rejected,
    /// It was tried for as long as we try.
    Exhausted,
}

impl DeadReason {
    /// The name in headers and metrics.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What stands in the headers of an event in `DEAD`; its payload is the event's own, untouched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The stream it came from.
    pub stream: String,
    /// Its sequence there.
    pub sequence: u64,
    /// The subject it was stored under.
    pub subject: String,
    /// Who gave up: the consumer's purpose.
    pub consumer: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it is here.
    pub reason: DeadReason,
    /// The chain of errors, without anything the person wrote.
    pub error: String,
}

impl DeadLetter {
    /// Header: the stream it came from.
    pub const STREAM: &'static str = "Claw-Dead-Stream";
    /// Header: its sequence there.
    pub const SEQUENCE: &'static str = "Claw-Dead-Sequence";
    /// Header: the subject it was stored under.
    pub const SUBJECT: &'static str = "Claw-Dead-Subject";
    /// Header: who gave up.
    pub const CONSUMER: &'static str = "Claw-Dead-Consumer";
    /// Header: how often it was tried.
    pub const ATTEMPTS: &'static str = "Claw-Dead-Attempts";
    /// Header: why it is here.
    pub const REASON: &'static str = "Claw-Dead-Reason";
    /// Header: the chain of errors.
    pub const ERROR: &'static str = "Claw-Dead-Error";

    /// The same event given up by the same consumer is stored once.
    pub fn dedup_key(&self) -> String {
        format!("dead:{}:{}:{}", self.consumer, self.stream, self.sequence)
    }
}
