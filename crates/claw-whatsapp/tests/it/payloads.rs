//! Synthetic bodies of every documented shape, and invalid ones.

use claw_domain::{Address, DeliveryState, MessageContent, SystemNotice};
use claw_whatsapp::webhook::{InboundMessage, Item, Lack, Status, parse};
use serde_json::json;

fn items(name: &str) -> Vec<Item> {
    let path = format!("{}/tests/payloads/{name}", env!("CARGO_MANIFEST_DIR"));
    parse(&std::fs::read(path).unwrap()).unwrap().items
}

fn message(item: &Item) -> &InboundMessage {
    match item {
        Item::Message(message) => message,
        Item::Status(_) | Item::AccountError(_) | Item::Other(_) | Item::Unattributable(_) => {
            panic!("no message: {item:?}")
        }
    }
}

fn status(item: &Item) -> &Status {
    match item {
        Item::Status(status) => status,
        Item::Message(_) | Item::AccountError(_) | Item::Other(_) | Item::Unattributable(_) => {
            panic!("no status: {item:?}")
        }
    }
}

#[test]
fn every_type_is_read() {
    let contents: Vec<_> = items("every_type.json")
        .iter()
        .map(|item| message(item).content.clone())
        .collect();

    insta::assert_json_snapshot!(contents);
}

#[test]
fn every_message_has_its_sender_number_name_and_time() {
    for item in items("every_type.json") {
        let message = message(&item);

        assert!(matches!(message.address, Address::Phone(_)));
        assert_eq!(message.wa_user_id.as_ref().unwrap().expose(), "US.1000");
        assert_eq!(message.name, Some("Ada".into()));
        assert_eq!(message.phone_number_id.as_deref(), Some("1055500001"));
        assert!(message.sent_at.is_some());
    }
}

#[test]
fn system_messages_are_distinguished() {
    let notices: Vec<_> = items("system.json")
        .iter()
        .map(|item| message(item).content.clone())
        .collect();

    let MessageContent::System(SystemNotice::NumberChanged { new_number }) = &notices[0] else {
        panic!("{notices:?}")
    };
    assert_eq!(*new_number, Some("15555550199".into()));
    let MessageContent::System(SystemNotice::UserIdChanged { new_id }) = &notices[1] else {
        panic!("{notices:?}")
    };
    assert_eq!(new_id.as_ref().unwrap().expose(), "US.1001");
    assert_eq!(
        notices[2],
        MessageContent::System(SystemNotice::IdentityChanged)
    );
    let kind = "user_moved_to_mars".to_owned();
    assert_eq!(
        notices[3],
        MessageContent::System(SystemNotice::Other { kind })
    );
}

#[test]
fn a_sender_with_a_hidden_number_has_an_address_and_a_name() {
    let items = items("hidden_number.json");
    let message = message(&items[0]);

    assert!(matches!(&message.address, Address::WhatsApp(id) if id.expose() == "US.2000"));
    assert_eq!(message.name, Some("Grace".into()));
}

#[test]
fn invalid_items_in_a_batch_are_set_aside_and_the_others_read() {
    let items = items("batch.json");

    let summaries: Vec<String> = items
        .iter()
        .map(|item| match item {
            Item::Message(message) => {
                format!("message of {}", message.name.as_ref().unwrap().expose())
            }
            Item::Status(status) => format!("status {}", status.status),
            Item::AccountError(error) => format!("error {}", error.error.code),
            Item::Other(other) => format!("field {}", other.field),
            Item::Unattributable(item) => format!("lacks {}", item.lack.as_str()),
        })
        .collect();

    assert_eq!(
        summaries,
        [
            "message of Ada",
            "lacks sender",
            "lacks shape",
            "message of Bob",
            "status read",
            "lacks id",
            "status delivered",
            "field smb_message_echoes",
            "field other",
            "error 131031",
        ]
    );
}

#[test]
fn an_item_set_aside_is_kept_whole() {
    let items = items("batch.json");

    let Item::Unattributable(nobody) = &items[1] else {
        panic!("{items:?}")
    };

    assert_eq!(nobody.lack, Lack::Sender);
    assert_eq!(nobody.raw.expose()["text"]["body"], json!("from nobody"));
}

#[test]
fn a_placeholder_differs_from_the_real_message_with_its_id() {
    let items = items("unavailable_then_real.json");
    let (placeholder, real) = (message(&items[0]), message(&items[1]));

    assert_eq!(placeholder.wamid, real.wamid);
    assert!(placeholder.content.is_placeholder());
    assert_eq!(real.content, MessageContent::Text("here it is".into()));
}

#[test]
fn known_and_unknown_statuses_are_read() {
    let items = items("statuses.json");
    let states: Vec<_> = items.iter().map(|item| status(item).state).collect();

    assert_eq!(
        states,
        [
            Some(DeliveryState::Sent),
            Some(DeliveryState::Delivered),
            Some(DeliveryState::Read),
            Some(DeliveryState::Played),
            Some(DeliveryState::Failed),
            None,
        ]
    );
    assert!(status(&items[0]).delivery().is_some());
    assert_eq!(status(&items[4]).errors[0].code, 131_026);
    assert_eq!(status(&items[5]).status, "postponed");
}

#[test]
fn broken_escapes_cost_one_character_and_not_the_batch() {
    let items = items("broken_escapes.json");

    let texts: Vec<_> = items.iter().map(|item| &message(item).content).collect();

    assert_eq!(
        texts,
        [
            &MessageContent::Text("cut\u{fffd} and zero\u{fffd}".into()),
            &MessageContent::Text("whole".into())
        ]
    );
}
