use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The chat as the phone of one user shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatView {
    /// The user's number, digits only.
    pub number: String,
    /// Messages the user wrote, including those no longer in `lines`.
    pub written: u64,
    /// Messages the user received, including those no longer in `lines`.
    pub received: u64,
    /// How many typing indicators the phone has shown.
    pub typing: u64,
    /// The latest lines, oldest first, at most `lines_per_chat`.
    pub lines: Vec<ChatLine>,
}

impl ChatView {
    /// The texts the user received, in order.
    pub fn received_texts(&self) -> Vec<&str> {
        self.lines
            .iter()
            .filter(|line| line.from == Speaker::Business)
            .map(|line| line.text.as_str())
            .collect()
    }

    /// The texts the user wrote, in order.
    pub fn written_texts(&self) -> Vec<&str> {
        self.lines
            .iter()
            .filter(|line| line.from == Speaker::User)
            .map(|line| line.text.as_str())
            .collect()
    }
}

/// One message of a chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatLine {
    /// The side that wrote it.
    pub from: Speaker,
    /// WhatsApp's id of the message.
    pub wamid: String,
    /// The text, or `<type>` for anything else.
    pub text: String,
    /// Time in milliseconds since 1970.
    pub at_ms: i64,
    /// The last status: `accepted`, `sent`, `delivered`, `read` or `failed`; for a line of the user
    /// `written`, or `read` once the business has marked it.
    pub state: String,
    /// `biz_opaque_callback_data` of the send.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tracker: Option<String>,
}

/// A side of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The user with the phone.
    User,
    /// The business, which is us.
    Business,
}

/// An accepted send, as `GET /sim/sends` returns it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SendView {
    /// Sequence number in order of acceptance, from 0.
    pub seq: u64,
    /// The recipient's number, digits only, or the business-scoped id.
    pub to: String,
    /// The line as the user sees it.
    pub line: ChatLine,
}

/// Exact counts since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MetaStats {
    /// Sends accepted; each reached a user, answered or not.
    pub accepted: u64,
    /// Sends refused, by error code.
    pub refused: BTreeMap<i64, u64>,
    /// Sends accepted but never answered, because of a fault.
    pub unanswered: u64,
    /// Users who received at least one message.
    pub recipients: u64,
    /// Sends accepted whose tracker (`biz_opaque_callback_data`) had been seen before.
    pub duplicate_trackers: u64,
    /// Sends accepted without a tracker.
    pub untracked: u64,
    /// Requests for a typing indicator.
    pub typing: u64,
    /// Read marks, including those of typing indicators.
    pub read_marks: u64,
    /// Messages users wrote, copies not counted.
    pub written: u64,
    /// Counts of webhook POSTs and of their content.
    pub webhooks: WebhookStats,
}

/// Exact counts of webhook POSTs and of their content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookStats {
    /// POSTs made, retries included.
    pub posted: u64,
    /// POSTs answered with 200.
    pub accepted: u64,
    /// POSTs answered with anything else, or not at all.
    pub refused: u64,
    /// POSTs that retried a refused one.
    pub retried: u64,
    /// Webhooks given up after Meta's 7 days, divided by `time_factor`.
    pub given_up: u64,
    /// Statuses dropped because the backlog was full.
    pub dropped: u64,
    /// Webhooks waiting or in flight.
    pub backlog: u64,
    /// Messages of users delivered with a 200, each copy and duplicate counted.
    pub messages_delivered: u64,
    /// Statuses delivered with a 200, each duplicate counted.
    pub statuses_delivered: u64,
    /// POSTs by the HTTP status of their answer; 0 counts those without an answer.
    pub answers: BTreeMap<u16, u64>,
}
