use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// Why an event became a dead letter. A closed set, because metrics count by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DeadReason {
    /// The payload is not the JSON of the event type that the subject names.
    Undecodable,
    /// The handler rejected the event, because a retry cannot help.
    Rejected,
    /// The handler still failed at the end of the retry period.
    Exhausted,
    /// Every process that handled the event died of it, three times in a row.
    Fatal,
}

impl DeadReason {
    /// The name in headers and metrics.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The headers of a dead letter in `DEAD`. Its payload is the unchanged payload of the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The stream in which the event is stored.
    pub stream: String,
    /// The event's sequence in that stream.
    pub sequence: u64,
    /// The subject under which the event is stored, partition included.
    pub subject: String,
    /// The purpose of the consumer that gave the event up.
    pub consumer: String,
    /// The number of attempts to handle the event.
    pub attempts: u32,
    /// Why the event was given up.
    pub reason: DeadReason,
    /// The chain of errors. It must not contain the user's text.
    pub error: String,
}

impl DeadLetter {
    /// Header with [`DeadLetter::stream`].
    pub const STREAM: &'static str = "Claw-Dead-Stream";
    /// Header with [`DeadLetter::sequence`], in decimal digits.
    pub const SEQUENCE: &'static str = "Claw-Dead-Sequence";
    /// Header with [`DeadLetter::subject`].
    pub const SUBJECT: &'static str = "Claw-Dead-Subject";
    /// Header with [`DeadLetter::consumer`].
    pub const CONSUMER: &'static str = "Claw-Dead-Consumer";
    /// Header with [`DeadLetter::attempts`], in decimal digits.
    pub const ATTEMPTS: &'static str = "Claw-Dead-Attempts";
    /// Header with the name of [`DeadLetter::reason`].
    pub const REASON: &'static str = "Claw-Dead-Reason";
    /// Header with [`DeadLetter::error`], on one line.
    pub const ERROR: &'static str = "Claw-Dead-Error";

    /// The deduplication key: an event that one consumer gives up twice is stored once.
    pub fn dedup_key(&self) -> String {
        format!("dead:{}:{}:{}", self.consumer, self.stream, self.sequence)
    }
}
