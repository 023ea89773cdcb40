use claw_domain::{Address, MessageContext, Referral};

use super::{InboundMessage, Lack, content::read_content, lenient::Node};

/// Reads one message. `value` is the JSON object around it, which describes the sender.
pub fn read_message(
    message: Node<'_>,
    value: Node<'_>,
    phone_number_id: Option<&str>,
) -> Result<InboundMessage, Lack> {
    if !message.is_object() {
        return Err(Lack::Shape);
    }
    let wamid = message.wamid("id").ok_or(Lack::Id)?;
    let contact = contact_of(message, value);
    let wa_user_id = message
        .user_id("from_user_id")
        .or_else(|| contact?.user_id("user_id"));
    let address = number_of(message, contact)
        .or_else(|| wa_user_id.clone().map(Address::WhatsApp))
        .or_else(|| former_id_of(message))
        .ok_or(Lack::Sender)?;
    Ok(InboundMessage {
        phone_number_id: phone_number_id.map(str::to_owned),
        address,
        wa_user_id,
        name: contact
            .and_then(|contact| contact.get("profile").filled("name"))
            .map(Into::into),
        wamid,
        sent_at: message.time("timestamp"),
        content: read_content(message),
        context: message.find("context").and_then(read_context),
        referral: message.find("referral").map(read_referral),
        group: message.filled("group_id"),
    })
}

/// The sender's entry in `contacts`, matched by id, because positions do not correspond in a batch.
fn contact_of<'a>(message: Node<'_>, value: Node<'a>) -> Option<Node<'a>> {
    let from = message.filled("from");
    let from_user_id = message.filled("from_user_id");
    let is_same = |ours: &Option<String>, theirs| ours.is_some() && *ours == theirs;
    value.each("contacts").find(|contact| {
        is_same(&from, contact.filled("wa_id")) || is_same(&from_user_id, contact.filled("user_id"))
    })
}

fn number_of(message: Node<'_>, contact: Option<Node<'_>>) -> Option<Address> {
    message
        .phone("from")
        .or_else(|| contact.and_then(|contact| contact.phone("wa_id")))
}

/// The sender's previous id, which may be the only one in a message about a changed id.
fn former_id_of(message: Node<'_>) -> Option<Address> {
    message
        .get("system")
        .user_id("previous_user_id")
        .map(Address::WhatsApp)
}

fn read_context(context: Node<'_>) -> Option<MessageContext> {
    let context = MessageContext {
        quoted: context.wamid("id"),
        forwarded: context.is_true("forwarded"),
        frequently_forwarded: context.is_true("frequently_forwarded"),
        referred_product: context.find("referred_product").map(Node::raw),
    };
    (context != MessageContext::default()).then_some(context)
}

fn read_referral(referral: Node<'_>) -> Referral {
    Referral {
        source_type: referral.filled("source_type"),
        source_id: referral.filled("source_id"),
        headline: referral.sensitive("headline"),
        ctwa_clid: referral.sensitive("ctwa_clid"),
    }
}

#[cfg(test)]
mod tests {
    use claw_domain::{MessageContent, PhoneNumber, Wamid, WhatsAppUserId};
    use serde_json::{Value, json};

    use super::*;

    fn read(message: &Value, contacts: &Value) -> Result<InboundMessage, Lack> {
        let value = json!({ "contacts": contacts });
        read_message(Node::new(message), Node::new(&value), Some("1055"))
    }

    fn phone(digits: &str) -> Address {
        Address::Phone(PhoneNumber::try_from(digits).unwrap())
    }

    fn hidden(id: &str) -> Address {
        Address::WhatsApp(WhatsAppUserId::try_from(id).unwrap())
    }

    fn text(extra: &Value) -> Value {
        let mut message = json!({
            "id": "wamid.A", "timestamp": "1749416383", "type": "text", "text": {"body": "hi"},
        });
        for (key, value) in extra.as_object().unwrap() {
            message[key] = value.clone();
        }
        message
    }

    #[test]
    fn names_are_matched_by_id_and_not_by_position() {
        let contacts = json!([
            {"wa_id": "15550000001", "profile": {"name": "Bob"}},
            {"wa_id": "15550000002", "user_id": "US.2", "profile": {"name": "Ada"}},
        ]);

        let message = read(&text(&json!({"from": "15550000002"})), &contacts).unwrap();

        assert_eq!(message.name, Some("Ada".into()));
        assert_eq!(message.wa_user_id.unwrap().expose(), "US.2");
    }

    #[test]
    fn the_number_takes_precedence_over_the_id() {
        let message = text(&json!({"from": "15550000001", "from_user_id": "US.1"}));

        assert_eq!(
            read(&message, &json!([])).unwrap().address,
            phone("15550000001")
        );
    }

    #[test]
    fn a_number_is_taken_from_the_contacts_if_the_message_has_none() {
        let contacts = json!([{"wa_id": "15550000001", "user_id": "US.1"}]);

        let message = read(&text(&json!({"from_user_id": "US.1"})), &contacts).unwrap();

        assert_eq!(message.address, phone("15550000001"));
    }

    #[test]
    fn a_sender_with_a_hidden_number_is_known_by_id() {
        let message = read(&text(&json!({"from_user_id": "US.1"})), &json!([])).unwrap();

        assert_eq!(message.address, hidden("US.1"));
    }

    #[test]
    fn a_message_without_a_sender_is_not_attributed_to_the_only_contact() {
        let contacts = json!([{"wa_id": "15550000001"}]);

        assert_eq!(read(&text(&json!({})), &contacts), Err(Lack::Sender));
    }

    #[test]
    fn a_message_without_an_id_or_shape_is_refused() {
        let mut message = text(&json!({"from": "15550000001"}));
        message["id"] = Value::Null;

        assert_eq!(read(&message, &json!([])), Err(Lack::Id));
        assert_eq!(read(&json!("text"), &json!([])), Err(Lack::Shape));
    }

    #[test]
    fn a_message_without_a_time_is_read() {
        let message = read(
            &text(&json!({"from": "15550000001", "timestamp": null})),
            &json!([]),
        )
        .unwrap();

        assert_eq!(message.sent_at, None);
        assert_eq!(message.content, MessageContent::Text("hi".into()));
    }

    #[test]
    fn quotes_and_forwards_are_read() {
        let quoting = json!({"from": "15550000001", "context": {"id": "wamid.Q", "from": "1"}});
        let forwarded = json!({"from": "15550000001", "context": {"forwarded": true}});

        let quoting = read(&text(&quoting), &json!([])).unwrap().context.unwrap();
        let forwarded = read(&text(&forwarded), &json!([]))
            .unwrap()
            .context
            .unwrap();

        assert_eq!(quoting.quoted, Some(Wamid::new("wamid.Q")));
        assert!(forwarded.forwarded && forwarded.quoted.is_none());
    }

    #[test]
    fn a_message_about_a_changed_id_belongs_to_the_previous_id() {
        let message = json!({
            "id": "wamid.S", "type": "system",
            "system": {"type": "user_changed_user_id", "previous_user_id": "US.1", "user_id": "US.2"},
        });

        assert_eq!(read(&message, &json!([])).unwrap().address, hidden("US.1"));
    }
}
