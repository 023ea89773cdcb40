use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What became of one call so far. Times are real milliseconds since the caller dialled.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CallView {
    /// Twilio's id of the call.
    pub sid: String,
    /// The caller's number as Twilio reports it.
    pub from: String,
    /// `ringing`, `in-progress`, or how it ended in Twilio's words.
    pub status: String,
    /// What the line is doing, for people.
    pub doing: String,
    /// What the caller heard, oldest first.
    pub heard: Vec<Heard>,
    /// Every request made for the call, oldest first.
    pub requests: Vec<Request>,
    /// What Twilio's debugger would show, with its codes.
    pub warnings: Vec<String>,
    /// `ConversationRelay` sessions, oldest first.
    pub relays: Vec<RelayView>,
    /// Gathers that heard nothing.
    pub silences: u64,
    /// Longest the caller waited for us and heard nothing. Time in which a Gather or a relay waits
    /// for the caller does not count.
    pub longest_silence_ms: u64,
    /// How it ended, once it has.
    pub ended: Option<Ended>,
}

impl CallView {
    /// The texts the caller heard, in order, each as far as it was spoken.
    pub fn heard_texts(&self) -> Vec<&str> {
        self.heard.iter().map(|one| one.spoken.as_str()).collect()
    }

    /// The requests of one kind.
    pub fn requests_of(&self, kind: RequestKind) -> Vec<&Request> {
        let is_of_kind = |request: &&Request| request.kind == kind;
        self.requests.iter().filter(is_of_kind).collect()
    }
}

/// One thing the caller heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The whole text; `<play URL>` for a sound.
    pub text: String,
    /// What of it was spoken so far.
    pub spoken: String,
    /// When it began.
    pub from_ms: u64,
    /// When it ended, once it has.
    pub until_ms: Option<u64>,
    /// Whether the caller (or the end of the call) cut it off.
    pub interrupted: bool,
}

/// Why a request was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// The call came in.
    Voice,
    /// The action of a Gather.
    Gather,
    /// What a Gather understood so far.
    Partial,
    /// A Redirect.
    Redirect,
    /// The action of a Connect.
    Connect,
    /// The document before could not be had.
    Fallback,
    /// The call changed its state.
    Status,
}

/// One request, with all tries of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Why it was made.
    pub kind: RequestKind,
    /// The URL that was signed.
    pub url: String,
    /// The fields sent.
    pub fields: BTreeMap<String, String>,
    /// `I-Twilio-Idempotency-Token`, the same in all tries.
    pub token: String,
    /// When it set off.
    pub at_ms: u64,
    /// How long it took in all, once it is over.
    pub took_ms: Option<u64>,
    /// How often it was sent, copies included.
    pub tries: u32,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// The body of the answer.
    pub body: String,
    /// Twilio's code of what is wrong with the answer.
    pub error: Option<u32>,
}

/// One `ConversationRelay` session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RelayView {
    /// Twilio's id of the session.
    pub session: String,
    /// The `wss://` URL, as signed.
    pub url: String,
    /// Frames Twilio sent, in order, all connections together.
    pub sent: Vec<serde_json::Value>,
    /// Text tokens that came, in order.
    pub tokens: Vec<Token>,
    /// Connections that were opened.
    pub connections: u64,
    /// `completed`, `ended` or `failed`, once it is over.
    pub status: Option<String>,
    /// Twilio's code, if it failed.
    pub error: Option<u32>,
}

/// One text token of a relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The text.
    pub text: String,
    /// Whether it ended the utterance.
    pub last: bool,
    /// When it came.
    pub at_ms: u64,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Why.
    pub why: Why,
    /// When.
    pub at_ms: u64,
    /// Whole seconds on the line, as in `CallDuration`.
    pub duration_seconds: u64,
}

/// Why a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The caller hung up.
    CallerHungUp,
    /// A Hangup.
    Hangup,
    /// The document had no verb left, or a Connect had no action.
    DocumentEnded,
    /// A Reject, before the call was answered.
    Rejected,
    /// No document could be had: the caller heard *an application error has occurred*.
    ApplicationError(u32),
    /// The simulator was stopped.
    Stopped,
}
