use claw_domain::{
    ContactCard, Flow, Interactive, Location, Media, MediaKind, MessageContent, Reaction,
    Sensitive, SystemNotice, Unsupported,
};

use super::lenient::Node;

/// Longest name of an unknown kind that we keep.
const KIND_LIMIT_CHARS: usize = 64;

/// Reads the content of a message. An unreadable message is kept whole.
pub fn read_content(message: Node<'_>) -> MessageContent {
    let kind = message.filled("type").unwrap_or_default();
    read_known(&kind, message)
        .or_else(|| read_errors(&kind, message))
        .unwrap_or_else(|| MessageContent::Unknown {
            kind: kind.chars().take(KIND_LIMIT_CHARS).collect(),
            raw: message.raw(),
        })
}

/// The content, if the message is of a known kind and has the fields of that kind.
fn read_known(kind: &str, message: Node<'_>) -> Option<MessageContent> {
    let body = message.get(kind);
    match kind {
        "text" => body.sensitive("body").map(MessageContent::Text),
        "image" => read_media(MediaKind::Image, body, message),
        "video" => read_media(MediaKind::Video, body, message),
        "document" => read_media(MediaKind::Document, body, message),
        "sticker" => read_media(MediaKind::Sticker, body, message),
        "audio" if body.is_true("voice") => read_media(MediaKind::Voice, body, message),
        "audio" => read_media(MediaKind::Audio, body, message),
        "location" => read_location(body).map(MessageContent::Location),
        "contacts" => read_contacts(message),
        "interactive" => body
            .is_object()
            .then(|| MessageContent::Interactive(read_interactive(body))),
        "button" => read_button(body),
        "reaction" => read_reaction(body),
        "order" => body.is_object().then(|| MessageContent::Order(body.raw())),
        "system" => Some(MessageContent::System(read_system(body))),
        "request_welcome" => Some(MessageContent::RequestWelcome),
        "unsupported" => Some(MessageContent::Unsupported(Unsupported {
            code: error_code(message),
            kind: body.filled("type"),
        })),
        "edit" => Some(MessageContent::Edit {
            original: body.wamid("original_message_id"),
            raw: body.find("message").unwrap_or(body).raw(),
        }),
        "revoke" => Some(MessageContent::Revoke {
            original: body.wamid("original_message_id"),
        }),
        _ => None,
    }
}

/// Reads a message with an error in place of its content. A message of an unknown kind is read only if it is a
/// placeholder for a message that may follow.
fn read_errors(kind: &str, message: Node<'_>) -> Option<MessageContent> {
    let code = error_code(message)?;
    let is_known = MAY_LACK_CONTENT.contains(&kind);
    let is_placeholder = code == Unsupported::UNAVAILABLE;
    (is_known || is_placeholder).then(|| {
        MessageContent::Unsupported(Unsupported {
            code: Some(code),
            kind: Some(kind.chars().take(KIND_LIMIT_CHARS).collect()),
        })
    })
}

/// The kinds of message in which nothing else is worth keeping if their content is missing.
const MAY_LACK_CONTENT: [&str; 7] = [
    "text",
    "location",
    "contacts",
    "interactive",
    "button",
    "reaction",
    "order",
];

/// The error code "unavailable", which marks a placeholder, if it occurs; otherwise the first code.
fn error_code(message: Node<'_>) -> Option<i64> {
    let codes: Vec<i64> = message.errors().map(|error| error.code).collect();
    codes
        .iter()
        .find(|code| **code == Unsupported::UNAVAILABLE)
        .or_else(|| codes.first())
        .copied()
}

fn read_media(kind: MediaKind, body: Node<'_>, message: Node<'_>) -> Option<MessageContent> {
    let error_code = error_code(message);
    let id = body.filled("id");
    let is_placeholder = id.is_none() && error_code == Some(Unsupported::UNAVAILABLE);
    let has_content = body.is_object() || error_code.is_some();
    (has_content && !is_placeholder).then(|| {
        MessageContent::Media(Media {
            kind,
            id,
            mime_type: body.filled("mime_type"),
            caption: body.filled("caption").map(Sensitive::from),
            filename: body.filled("filename").map(Sensitive::from),
            sha256: body.filled("sha256"),
            error_code,
        })
    })
}

fn read_location(body: Node<'_>) -> Option<Location> {
    Some(Location {
        latitude: Sensitive::new(body.decimal("latitude")?),
        longitude: Sensitive::new(body.decimal("longitude")?),
        name: body.sensitive("name"),
        address: body.sensitive("address"),
    })
}

fn read_contacts(message: Node<'_>) -> Option<MessageContent> {
    let cards: Vec<ContactCard> = message.each("contacts").map(read_card).collect();
    (!cards.is_empty()).then_some(MessageContent::Contacts(cards))
}

fn read_card(card: Node<'_>) -> ContactCard {
    let name = card.get("name");
    ContactCard {
        name: name
            .filled("formatted_name")
            .or_else(|| name.filled("first_name"))
            .map(Sensitive::from),
        phones: card
            .each("phones")
            .filter_map(|phone| phone.filled("phone").or_else(|| phone.filled("wa_id")))
            .map(Sensitive::from)
            .collect(),
        emails: card
            .each("emails")
            .filter_map(|email| email.filled("email"))
            .map(Sensitive::from)
            .collect(),
    }
}

fn read_interactive(body: Node<'_>) -> Interactive {
    let kind = body.filled("type").unwrap_or_default();
    let reply = body.get(&kind);
    read_tap(&kind, reply).unwrap_or_else(|| Interactive::Unknown(body.raw()))
}

fn read_tap(kind: &str, reply: Node<'_>) -> Option<Interactive> {
    match kind {
        "button_reply" => Some(Interactive::ButtonReply {
            id: reply.sensitive("id")?,
            title: reply.sensitive("title").unwrap_or_default(),
        }),
        "list_reply" => Some(Interactive::ListReply {
            id: reply.sensitive("id")?,
            title: reply.sensitive("title").unwrap_or_default(),
            description: reply.filled("description").map(Sensitive::from),
        }),
        "nfm_reply" if reply.is_object() => Some(Interactive::Flow(Flow {
            name: reply.filled("name"),
            body: reply.sensitive("body"),
            response_json: reply.sensitive("response_json"),
        })),
        "call_permission_reply" => Some(Interactive::CallPermission {
            accepted: reply.text("response")? == "accept",
        }),
        _ => None,
    }
}

fn read_button(body: Node<'_>) -> Option<MessageContent> {
    let (payload, text) = (body.sensitive("payload"), body.sensitive("text"));
    let has_content = payload.is_some() || text.is_some();
    has_content.then(|| MessageContent::Button {
        payload: payload.unwrap_or_default(),
        text: text.unwrap_or_default(),
    })
}

fn read_reaction(body: Node<'_>) -> Option<MessageContent> {
    Some(MessageContent::Reaction(Reaction {
        message: body.wamid("message_id")?,
        emoji: body.filled("emoji").map(Sensitive::from),
    }))
}

fn read_system(body: Node<'_>) -> SystemNotice {
    let kind = body.filled("type").unwrap_or_default();
    match kind.as_str() {
        // The second name is from the on-premises API and still occurs.
        "user_changed_number" | "customer_changed_number" => SystemNotice::NumberChanged {
            new_number: body
                .filled("wa_id")
                .or_else(|| body.filled("new_wa_id"))
                .map(Sensitive::from),
        },
        "user_changed_user_id" => SystemNotice::UserIdChanged {
            new_id: body.user_id("user_id"),
        },
        "customer_identity_changed" | "user_identity_changed" => SystemNotice::IdentityChanged,
        _ => SystemNotice::Other {
            kind: kind.chars().take(KIND_LIMIT_CHARS).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(message: &Value) -> MessageContent {
        read_content(Node::new(message))
    }

    #[test]
    fn any_kind_without_content_is_a_placeholder_with_the_unavailable_error() {
        for kind in ["unsupported", "text", "image", "hologram"] {
            let content = read(&json!({
                "type": kind, "errors": [{"code": 131_051}, {"code": "131060"}],
            }));

            assert!(content.is_placeholder(), "{kind}");
        }
    }

    #[test]
    fn content_takes_precedence_over_an_error() {
        let content = read(&json!({
            "type": "text", "text": {"body": "hi"}, "errors": [{"code": 131_060}],
        }));

        assert_eq!(content, MessageContent::Text("hi".into()));
    }

    #[test]
    fn a_file_with_an_error_keeps_its_caption_and_the_code() {
        let content = read(&json!({
            "type": "video", "video": {"caption": "us"}, "errors": [{"code": 131_052}],
        }));

        let MessageContent::Media(media) = content else {
            panic!("{content:?}");
        };
        assert_eq!(media.caption, Some("us".into()));
        assert_eq!((media.id, media.error_code), (None, Some(131_052)));
    }

    #[test]
    fn a_removed_reaction_has_an_empty_emoji_or_none() {
        for body in [
            json!({"message_id": "wamid.R", "emoji": ""}),
            json!({"message_id": "wamid.R"}),
        ] {
            let content = read(&json!({"type": "reaction", "reaction": body}));
            assert!(
                matches!(&content, MessageContent::Reaction(reaction) if reaction.emoji.is_none())
            );
        }
    }

    #[test]
    fn a_message_without_content_or_kind_is_kept_whole() {
        for message in [
            json!({"type": "text"}),
            json!({"type": "text", "text": "hi"}),
            json!({"type": "location", "location": {"latitude": 1}}),
            json!({"type": "hologram", "hologram": {"depth": 3}, "errors": [{"code": 1}]}),
            json!({}),
        ] {
            let content = read(&message);
            assert!(
                matches!(&content, MessageContent::Unknown { raw, .. } if *raw.expose() == message),
                "{message}"
            );
        }
    }

    #[test]
    fn a_location_is_read_from_strings_and_numbers() {
        let content = read(&json!({
            "type": "location", "location": {"latitude": "37.4", "longitude": -122},
        }));

        assert!(matches!(content, MessageContent::Location(_)));
    }
}
