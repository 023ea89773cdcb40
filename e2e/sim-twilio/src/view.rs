use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The state of one call. Times are real milliseconds since the caller dialled.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CallView {
    /// Twilio's id of the call.
    pub sid: String,
    /// The caller's number as Twilio reports it.
    pub from: String,
    /// Twilio's `CallStatus`, such as `ringing` or `completed`.
    pub status: String,
    /// The current activity of the call, for humans to read.
    pub doing: String,
    /// The texts and sounds that the caller heard, oldest first.
    pub heard: Vec<Heard>,
    /// Every request made for the call, oldest first.
    pub requests: Vec<RequestView>,
    /// Warnings as in Twilio's debugger, with its error codes.
    pub warnings: Vec<String>,
    /// ConversationRelay sessions, oldest first.
    pub relays: Vec<RelayView>,
    /// How many Gathers ended without input.
    pub silences: u64,
    /// Longest time the caller waited for us and heard nothing, without the time in which a Gather or a
    /// relay waited for the caller.
    pub longest_silence_ms: u64,
    /// How the call ended, once it has.
    pub ended: Option<Ended>,
}

impl CallView {
    /// `doing` while a Gather listens to the caller.
    pub const GATHERING: &str = "gathering";

    /// `doing` during a ConversationRelay session.
    pub const IN_RELAY_SESSION: &str = "in a relay session";

    /// The texts the caller heard, in order, each up to where it was cut off.
    pub fn heard_texts(&self) -> Vec<&str> {
        self.heard.iter().map(|one| one.spoken.as_str()).collect()
    }

    /// The requests of one kind.
    pub fn requests_of(&self, kind: RequestKind) -> Vec<&RequestView> {
        let is_of_kind = |request: &&RequestView| request.kind == kind;
        self.requests.iter().filter(is_of_kind).collect()
    }
}

/// A text or a sound that the caller heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The whole text; `<play URL>` for a sound.
    pub text: String,
    /// The part that was spoken.
    pub spoken: String,
    /// The time it began.
    pub from_ms: u64,
    /// The time it ended, once it has.
    pub until_ms: Option<u64>,
    /// Whether the caller or the end of the call cut it off.
    pub interrupted: bool,
}

/// The reason for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// The call came in.
    Voice,
    /// The action of a Gather.
    Gather,
    /// A partial result of a Gather.
    Partial,
    /// A Redirect to another document.
    Redirect,
    /// The action of a Connect.
    Connect,
    /// The fallback, because a document could not be fetched.
    Fallback,
    /// A status callback about the call.
    Status,
}

/// One request, with all its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestView {
    /// The reason for the request.
    pub kind: RequestKind,
    /// The URL that was signed.
    pub url: String,
    /// The form fields, by name.
    pub fields: BTreeMap<String, String>,
    /// `I-Twilio-Idempotency-Token`, the same in all attempts.
    pub token: String,
    /// The time of the first attempt.
    pub at_ms: u64,
    /// The duration of all attempts, once they are over.
    pub took_ms: Option<u64>,
    /// How many times it was sent, copies included.
    pub tries: u32,
    /// The HTTP status of the answer, if there was one.
    pub status: Option<u16>,
    /// The body of the answer.
    pub body: String,
    /// Twilio's error code, if the request failed or the answer is invalid.
    pub error: Option<u32>,
}

/// One ConversationRelay session with all its connections.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RelayView {
    /// Twilio's id of the session.
    pub session: String,
    /// The `wss://` URL, as signed.
    pub url: String,
    /// Frames Twilio sent, in order, over all connections.
    pub sent: Vec<serde_json::Value>,
    /// Text tokens Twilio received, in order.
    pub tokens: Vec<TokenView>,
    /// Connections that were opened.
    pub connections: u64,
    /// `completed`, `ended` or `failed`, once the session is over.
    pub status: Option<String>,
    /// Twilio's error code, if the session failed.
    pub error: Option<u32>,
}

/// One text token of a relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// The characters to speak.
    pub text: String,
    /// Whether it was the last one of a text.
    pub last: bool,
    /// The time it arrived.
    pub at_ms: u64,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The side or the event that ended it.
    pub why: EndReason,
    /// Milliseconds from the caller's dialling to the end.
    pub at_ms: u64,
    /// Whole seconds on the line, as in `CallDuration`.
    pub duration_seconds: u64,
}

/// The reason for the end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The caller hung up.
    CallerHungUp,
    /// The document executed the verb Hangup.
    Hangup,
    /// The document had no verb left, or a Connect had no action.
    DocumentEnded,
    /// The document executed the verb Reject before the call was answered.
    Rejected,
    /// No document could be fetched (with Twilio's error code): the caller heard *an application error has
    /// occurred*.
    ApplicationError(u32),
    /// The simulator was stopped.
    Stopped,
}
