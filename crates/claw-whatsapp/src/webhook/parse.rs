use serde_json::Value;

use super::{
    AccountError, Item, Lack, Notification, OtherField, Unattributable, lenient::Node,
    message::read_message, repair::repaired, status::read_status,
};

/// Why a whole body cannot be read. An unreadable message inside it is not an error.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// It is not JSON, or is nested deeper than 128 levels, which no notification is.
    #[error("reading the webhook body as JSON")]
    Json(#[source] serde_json::Error),
    /// It is JSON, but not a notification.
    #[error("the webhook body has no list of entries")]
    Envelope,
}

/// Reads a webhook body, whose signature the caller must have verified.
pub fn parse(body: &[u8]) -> Result<Notification, ParseError> {
    let value: Value = serde_json::from_str(&repaired(body)).map_err(ParseError::Json)?;
    let root = Node::new(&value);
    if !value.get("entry").is_some_and(Value::is_array) {
        return Err(ParseError::Envelope);
    }
    let is_ours = root.text("object").as_deref() == Some("whatsapp_business_account");
    let items = root
        .each("entry")
        .flat_map(|entry| entry.each("changes"))
        .flat_map(|change| match change.text("field").as_deref() {
            Some("messages") if is_ours => read_messages(change.get("value")),
            Some(field) if is_ours => vec![other(known_field(field), change)],
            _ => vec![other(OTHER, change)],
        })
        .collect();
    Ok(Notification { items })
}

/// Reads a change of the field `messages`, the only one with new messages from users. `history` and
/// `smb_message_echoes` contain old messages and our own.
fn read_messages(value: Node<'_>) -> Vec<Item> {
    let phone_number_id = value.get("metadata").filled("phone_number_id");
    let number = phone_number_id.as_deref();
    let messages = value.each("messages").map(|node| {
        read_message(node, value, number).map_or_else(
            |lack| unattributable(node, number, lack),
            |message| Item::Message(Box::new(message)),
        )
    });
    let statuses = value.each("statuses").map(|node| {
        read_status(node, value, number).map_or_else(
            |lack| unattributable(node, number, lack),
            |status| Item::Status(Box::new(status)),
        )
    });
    let errors = value.errors().map(|error| {
        Item::AccountError(AccountError {
            phone_number_id: phone_number_id.clone(),
            error,
        })
    });
    let items: Vec<Item> = messages.chain(statuses).chain(errors).collect();
    if items.is_empty() {
        return vec![unattributable(value, number, Lack::Shape)];
    }
    items
}

fn unattributable(node: Node<'_>, phone_number_id: Option<&str>, lack: Lack) -> Item {
    Item::Unattributable(Unattributable {
        phone_number_id: phone_number_id.map(str::to_owned),
        lack,
        raw: node.raw(),
    })
}

fn other(field: &'static str, change: Node<'_>) -> Item {
    Item::Other(OtherField {
        field,
        value: change.get("value").raw(),
    })
}

const OTHER: &str = "other";

/// The fields that Meta documents, except `messages`.
const FIELDS: [&str; 21] = [
    "account_alerts",
    "account_review_update",
    "account_update",
    "business_capability_update",
    "calls",
    "group_lifecycle_update",
    "group_participants_update",
    "group_settings_update",
    "group_status_update",
    "history",
    "message_template_components_update",
    "message_template_quality_update",
    "message_template_status_update",
    "phone_number_name_update",
    "phone_number_quality_update",
    "security",
    "smb_app_state_sync",
    "smb_message_echoes",
    "template_category_update",
    "user_id_update",
    "user_preferences",
];

fn known_field(name: &str) -> &'static str {
    FIELDS
        .into_iter()
        .find(|field| *field == name)
        .unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn very_deep_nesting_is_an_error_and_not_a_crash() {
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));

        assert!(matches!(parse(deep.as_bytes()), Err(ParseError::Json(_))));
    }

    #[test]
    fn a_body_that_is_not_a_notification_is_an_error() {
        for body in ["{}", "[]", "null", r#"{"entry":{}}"#, r#""entry""#] {
            assert!(
                matches!(parse(body.as_bytes()), Err(ParseError::Envelope)),
                "{body}"
            );
        }
        assert!(matches!(parse(b""), Err(ParseError::Json(_))));
    }

    #[test]
    fn a_notification_without_updates_is_empty() {
        let body = br#"{"object":"whatsapp_business_account","entry":[{},{"changes":[]}]}"#;

        assert_eq!(parse(body).unwrap(), Notification::default());
    }

    #[test]
    fn messages_of_another_product_are_not_read() {
        let body = br#"{"object":"page","entry":[{"changes":[{"field":"messages","value":{"messages":[{}]}}]}]}"#;

        let items = parse(body).unwrap().items;

        assert!(matches!(&items[..], [Item::Other(other)] if other.field == "other"));
    }

    #[test]
    fn a_change_without_readable_items_is_kept() {
        let body = br#"{"object":"whatsapp_business_account","entry":[{"changes":[{"field":"messages","value":{"messages":7}}]}]}"#;

        let items = parse(body).unwrap().items;

        assert!(matches!(&items[..], [Item::Unattributable(item)] if item.lack == Lack::Shape));
    }
}
