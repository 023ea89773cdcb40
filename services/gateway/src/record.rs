use chrono::{DateTime, Utc};
use claw_domain::MessageContent;
use claw_events::MessageReceived;
use claw_store::InboundMessage;

/// The row of a message: words as they are, anything else as JSON.
pub(crate) fn record(message: &MessageReceived, now: DateTime<Utc>) -> InboundMessage {
    let content = if let MessageContent::Text(text) = &message.content {
        text.clone()
    } else {
        // Contents hold strings and numbers only, which cannot fail to be written.
        serde_json::to_string(&message.content)
            .unwrap_or_default()
            .into()
    };
    InboundMessage {
        id: message.id,
        user: message.user,
        address: message.address.clone(),
        wa_user_id: message.wa_user_id.clone(),
        name: message.name.clone(),
        wamid: message.wamid.clone(),
        content_kind: message.content.kind().to_owned(),
        content,
        sent_at: message.sent_at,
        now,
    }
}
