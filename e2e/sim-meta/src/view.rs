use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What one person's phone shows, oldest line first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatView {
    /// The person's number, digits only.
    pub number: String,
    /// Messages the person wrote, forgotten ones included.
    pub written: u64,
    /// Messages the person received, forgotten ones included.
    pub received: u64,
    /// Typing indicators shown.
    pub typing: u64,
    /// The lines, at most `lines_per_chat`.
    pub lines: Vec<Line>,
}

impl ChatView {
    /// The texts the person received, in order.
    pub fn received_texts(&self) -> Vec<&str> {
        self.lines
            .iter()
            .filter(|line| line.from == Speaker::Business)
            .map(|line| line.text.as_str())
            .collect()
    }

    /// The texts the person wrote, in order.
    pub fn written_texts(&self) -> Vec<&str> {
        self.lines
            .iter()
            .filter(|line| line.from == Speaker::Person)
            .map(|line| line.text.as_str())
            .collect()
    }
}

/// One line of a chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Who said it.
    pub from: Speaker,
    /// WhatsApp's id.
    pub wamid: String,
    /// The text, or `<type>` for anything else.
    pub text: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What was last reported of it: `accepted`, `sent`, `delivered`, `read`, `failed`; for a
    /// person's line `written`, or `read` once the business marked it.
    pub state: String,
    /// `biz_opaque_callback_data` of the send.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tracker: Option<String>,
}

/// Who said a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The person with the phone.
    Person,
    /// Us.
    Business,
}

/// One send Meta took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SendView {
    /// Its number in order of acceptance, from 0.
    pub seq: u64,
    /// The recipient, digits only (or the business-scoped id).
    pub to: String,
    /// The line as the person sees it.
    pub line: Line,
}

/// Exact counts since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MetaStats {
    /// Sends taken (each reached a person, answered or not).
    pub accepted: u64,
    /// Sends refused, by error code.
    pub refused: BTreeMap<i64, u64>,
    /// Sends taken but never answered: hung or cut by a fault.
    pub unanswered: u64,
    /// People who received something.
    pub recipients: u64,
    /// Sends taken whose tracker (`biz_opaque_callback_data`) had been seen before.
    pub duplicate_trackers: u64,
    /// Sends taken without a tracker.
    pub untracked: u64,
    /// Typing indicators.
    pub typing: u64,
    /// Read marks (typing indicators are read marks too).
    pub read_marks: u64,
    /// Messages people wrote (copies not counted).
    pub written: u64,
    /// Webhooks.
    pub webhooks: WebhookStats,
}

/// Exact counts of webhook POSTs and the updates in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookStats {
    /// POSTs made, retries included.
    pub posted: u64,
    /// POSTs answered with 200.
    pub accepted: u64,
    /// POSTs answered with something else, or not at all.
    pub refused: u64,
    /// POSTs that were a repetition of a refused one.
    pub retried: u64,
    /// Webhooks given up after Meta's 7 days (compressed).
    pub given_up: u64,
    /// Statuses dropped because the backlog was full.
    pub dropped: u64,
    /// Webhooks waiting or under way.
    pub backlog: u64,
    /// Times an inbound message was delivered with a 200 (copies and duplicates count again).
    pub messages_delivered: u64,
    /// Times a status was delivered with a 200.
    pub statuses_delivered: u64,
}
