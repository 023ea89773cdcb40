use claw_domain::{Address, DeliveryState};

use super::{Lack, Status, lenient::Node};

/// Longest name of a status that we keep; Meta's have up to nine characters.
const STATUS_LIMIT_CHARS: usize = 32;

/// Reads one status. `value` is the JSON object around it.
pub fn read_status(
    status: Node<'_>,
    value: Node<'_>,
    phone_number_id: Option<&str>,
) -> Result<Status, Lack> {
    if !status.is_object() {
        return Err(Lack::Shape);
    }
    let contact = contact_of(status, value);
    let wa_user_id = status
        .user_id("recipient_user_id")
        .or_else(|| contact?.user_id("user_id"));
    let recipient = status
        .phone("recipient_id")
        .or_else(|| contact.and_then(|contact| contact.phone("wa_id")))
        .or_else(|| wa_user_id.clone().map(Address::WhatsApp));
    let name = name_of(status);
    Ok(Status {
        phone_number_id: phone_number_id.map(str::to_owned),
        recipient,
        wa_user_id,
        wamid: status.wamid("id").ok_or(Lack::Id)?,
        state: state_named(&name),
        status: name,
        at: status.time("timestamp"),
        tracker: status.filled("biz_opaque_callback_data"),
        errors: status.errors().collect(),
    })
}

fn contact_of<'a>(status: Node<'_>, value: Node<'a>) -> Option<Node<'a>> {
    let number = status.filled("recipient_id");
    let user_id = status.filled("recipient_user_id");
    let is_same = |ours: &Option<String>, theirs| ours.is_some() && *ours == theirs;
    value.each("contacts").find(|contact| {
        is_same(&number, contact.filled("wa_id")) || is_same(&user_id, contact.filled("user_id"))
    })
}

/// The status's name. It becomes part of a bus message header, so only plain words are kept.
fn name_of(status: Node<'_>) -> String {
    status
        .filled("status")
        .filter(|name| name.len() <= STATUS_LIMIT_CHARS)
        .filter(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        .unwrap_or_else(|| "other".to_owned())
}

fn state_named(name: &str) -> Option<DeliveryState> {
    match name {
        "sent" => Some(DeliveryState::Sent),
        "delivered" => Some(DeliveryState::Delivered),
        "read" => Some(DeliveryState::Read),
        "played" => Some(DeliveryState::Played),
        "failed" => Some(DeliveryState::Failed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use claw_domain::{DeliveryId, PhoneNumber};
    use serde_json::{Value, json};

    use super::*;

    fn read(status: &Value) -> Status {
        let value = json!({});
        read_status(Node::new(status), Node::new(&value), Some("1055")).unwrap()
    }

    #[test]
    fn a_status_carries_our_id() {
        let id = DeliveryId::derived_from("x");
        let ours = json!({"id": "wamid.B", "status": "sent", "biz_opaque_callback_data": id});
        let theirs = json!({"id": "wamid.B", "status": "sent", "biz_opaque_callback_data": "x"});

        assert_eq!(read(&ours).delivery(), Some(id));
        assert_eq!(read(&theirs).delivery(), None);
    }

    #[test]
    fn a_failure_keeps_its_code_title_and_details() {
        let status = read(&json!({
            "id": "wamid.B", "status": "failed", "recipient_id": "15550000001", "timestamp": 1,
            "errors": [{"code": 131_026, "title": "Undeliverable", "error_data": {"details": "d"}}],
        }));

        assert_eq!(status.state, Some(DeliveryState::Failed));
        assert_eq!(status.errors[0].code, 131_026);
        assert_eq!(status.errors[0].title.as_deref(), Some("Undeliverable"));
        assert_eq!(status.errors[0].details, Some("d".into()));
    }

    #[test]
    fn an_unknown_status_keeps_a_plain_name_only() {
        let new = read(&json!({"id": "wamid.B", "status": "screenshotted"}));
        let odd = read(&json!({"id": "wamid.B", "status": "sent\r\nX: y"}));

        assert_eq!((new.state, new.status.as_str()), (None, "screenshotted"));
        assert_eq!((odd.state, odd.status.as_str()), (None, "other"));
    }

    #[test]
    fn the_recipient_is_a_number_or_an_id_or_unknown() {
        let number = read(&json!({"id": "w", "status": "sent", "recipient_id": "15550000001"}));
        let id = read(&json!({"id": "w", "status": "sent", "recipient_user_id": "US.1"}));
        let nobody = read(&json!({"id": "w", "status": "failed"}));

        let expected = PhoneNumber::try_from("15550000001").unwrap();
        assert_eq!(number.recipient, Some(Address::Phone(expected)));
        assert!(matches!(id.recipient, Some(Address::WhatsApp(_))));
        assert_eq!(nobody.recipient, None);
    }
}
