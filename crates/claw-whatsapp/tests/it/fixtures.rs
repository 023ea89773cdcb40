//! Checks against the shared collection of recorded payloads, which is not part of the repository.

use std::{fs, path::PathBuf};

use claw_domain::{Interactive, MediaKind, MessageContent};
use claw_whatsapp::{
    signature::{AppSecrets, HEADER, Signature},
    webhook::{InboundMessage, Item, SubscriptionError, parse, verify_subscription},
};
use secrecy::SecretString;
use serde_json::Value;

/// The collection's folder, or `None` if there is none next to this checkout.
fn folder() -> Option<PathBuf> {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/whatsapp");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: the shared fixtures are not next to this checkout");
    None
}

pub fn read(name: &str) -> Option<Vec<u8>> {
    Some(fs::read(folder()?.join(name)).unwrap())
}

fn cases(name: &str) -> Vec<Value> {
    read(name).map_or_else(Vec::new, |json| serde_json::from_slice(&json).unwrap())
}

fn items(name: &str) -> Option<Vec<Item>> {
    Some(parse(&read(name)?).unwrap().items)
}

fn message(name: &str) -> Option<InboundMessage> {
    match items(name)?.remove(0) {
        Item::Message(message) => Some(*message),
        item @ (Item::Status(_)
        | Item::AccountError(_)
        | Item::Other(_)
        | Item::Unattributable(_)) => panic!("{name}: {item:?}"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn every_signature_case_has_its_stated_verdict() {
    for case in cases("signature_cases.json") {
        let body = read(text(&case["body_file"])).unwrap();
        let secrets = AppSecrets::parse(&SecretString::from(text(&case["app_secret"]))).unwrap();

        let header = Some(text(&case["header"]).as_bytes());
        let signature = Signature::parse(header);
        let verdict = signature.and_then(|signature| secrets.verify(signature, &body));

        assert_eq!(Value::Bool(verdict.is_ok()), case["valid"], "{case}");
    }
    assert_eq!(HEADER, "x-hub-signature-256");
}

#[test]
fn every_signature_of_the_index_matches_its_file() {
    let Some(index) = read("INDEX.md") else {
        return;
    };
    let secrets = AppSecrets::parse(&SecretString::from("clawkaka-fake-app-secret-0001")).unwrap();
    for row in String::from_utf8(index).unwrap().lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, name, .., header, _] = cells[..] else {
            continue;
        };
        if let Some(header) = header.strip_prefix('`').filter(|h| h.starts_with("sha256")) {
            let body = read(name).unwrap();
            let header = header.trim_end_matches('`').as_bytes();
            let signature = Signature::parse(Some(header)).unwrap();
            assert_eq!(secrets.verify(signature, &body), Ok(()), "{name}");
        }
    }
}

#[test]
fn every_subscription_case_has_its_stated_answer() {
    for case in cases("verify_get_cases.json") {
        let token = SecretString::from(text(&case["verify_token"]));

        let answer = match verify_subscription(text(&case["query"]), &token) {
            Ok(challenge) => (200, Value::from(challenge)),
            Err(SubscriptionError::Malformed) => (400, Value::Null),
            Err(SubscriptionError::Refused) => (403, Value::Null),
        };

        assert_eq!(Value::from(answer.0), case["expect_status"], "{case}");
        assert_eq!(answer.1, case["expect_body"], "{case}");
    }
}

/// Each message file with the kind of its content.
const MESSAGES: [(&str, &str); 30] = [
    ("text_basic.json", "text"),
    ("text_product_inquiry.json", "text"),
    ("text_referral_ctwa.json", "text"),
    ("text_reply_context.json", "text"),
    ("text_forwarded.json", "text"),
    ("text_forwarded_many.json", "text"),
    ("text_unicode_escaped.json", "text"),
    ("text_two_messages_one_user.json", "text"),
    ("group_text.json", "text"),
    ("referral_ad.json", "text"),
    ("bsuid_with_phone.json", "text"),
    ("audio_meta_example.json", "voice"),
    ("audio_file_not_voice.json", "audio"),
    ("image_with_url.json", "image"),
    ("media_with_url.json", "image"),
    ("media_download_error_400.json", "image"),
    ("video.json", "video"),
    ("document.json", "document"),
    ("document_accented_filename.json", "document"),
    ("sticker.json", "sticker"),
    ("sticker_animated.json", "sticker"),
    ("location.json", "location"),
    ("location_current.json", "location"),
    ("contacts.json", "contacts"),
    ("interactive_list_reply.json", "interactive"),
    ("interactive_button_reply.json", "interactive"),
    ("button_template_quick_reply.json", "button"),
    ("order.json", "order"),
    ("request_welcome.json", "request_welcome"),
    ("reaction_meta.json", "reaction"),
];

const MORE_MESSAGES: [(&str, &str); 5] = [
    ("flow_completion.json", "interactive"),
    ("callback_button.json", "interactive"),
    ("callback_list_description.json", "interactive"),
    ("call_permission_update.json", "interactive"),
    ("edit_image_caption.json", "edit"),
];

const STATUSES: [(&str, &str); 4] = [
    ("status_delivered.json", "delivered"),
    ("status_sent.json", "sent"),
    ("status_read.json", "read"),
    ("status_sent_with_tracker.json", "sent"),
];

const OTHER_FIELDS: [(&str, &str); 6] = [
    ("user_preferences_stop.json", "user_preferences"),
    (
        "template_status_update.json",
        "message_template_status_update",
    ),
    ("account_update_restriction.json", "account_update"),
    ("call_connect_user_initiated.json", "calls"),
    ("call_terminate.json", "calls"),
    ("history_sync.json", "history"),
];

#[test]
fn every_message_file_has_messages_of_its_kind_with_number_and_time() {
    for (name, kind) in MESSAGES.into_iter().chain(MORE_MESSAGES) {
        for item in items(name).unwrap_or_default() {
            let Item::Message(message) = item else {
                panic!("{name}: {item:?}")
            };
            assert_eq!(message.content.kind(), kind, "{name}");
            assert!(message.sent_at.is_some(), "{name}");
            assert!(message.phone_number_id.is_some(), "{name}");
        }
    }
}

#[test]
fn every_status_file_has_its_status() {
    for (name, status) in STATUSES {
        for item in items(name).unwrap_or_default() {
            let Item::Status(report) = item else {
                panic!("{name}: {item:?}")
            };
            assert_eq!(report.status, status, "{name}");
            assert!(
                report.state.is_some() && report.recipient.is_some(),
                "{name}"
            );
        }
    }
}

#[test]
fn other_fields_are_not_read_as_messages() {
    for (name, field) in OTHER_FIELDS {
        for item in items(name).unwrap_or_default() {
            assert!(
                matches!(&item, Item::Other(other) if other.field == field),
                "{name}: {item:?}"
            );
        }
    }
}

#[test]
fn every_file_is_tested() {
    let Some(folder) = folder() else { return };
    let named: Vec<&str> = MESSAGES
        .into_iter()
        .chain(MORE_MESSAGES)
        .chain(STATUSES)
        .chain(OTHER_FIELDS)
        .map(|(name, _)| name)
        .chain(["status_failed_131049.json", "errors_level_value.json"])
        .chain(["signature_cases.json", "verify_get_cases.json"])
        .collect();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        // The answers of the Cloud API are tested in `cloud_api`.
        let is_body = path.extension().is_some_and(|e| e == "json") && !name.starts_with("api_");
        assert!(!is_body || named.contains(&name), "{name}");
    }
}

#[test]
fn the_failed_status_and_the_account_error_keep_their_codes() {
    if let Some(items) = items("status_failed_131049.json") {
        assert!(matches!(&items[..], [Item::Status(status)] if status.errors[0].code == 131_049));
    }
    if let Some(items) = items("errors_level_value.json") {
        assert!(matches!(&items[..], [Item::AccountError(error)] if error.error.code == 130_429));
    }
}

#[test]
fn escaped_texts_are_decoded() {
    let Some(message) = message("text_unicode_escaped.json") else {
        return;
    };

    assert_eq!(
        message.content,
        MessageContent::Text("Grüße aus Köln – äöå".into())
    );
}

#[test]
fn a_batch_keeps_its_order() {
    let Some(items) = items("text_two_messages_one_user.json") else {
        return;
    };

    let texts: Vec<_> = items
        .iter()
        .filter_map(|item| match item {
            Item::Message(message) => Some(&message.content),
            Item::Status(_) | Item::AccountError(_) | Item::Other(_) | Item::Unattributable(_) => {
                None
            }
        })
        .collect();

    assert_eq!(
        texts,
        [
            &MessageContent::Text("first".into()),
            &MessageContent::Text("second".into())
        ]
    );
}

#[test]
fn a_message_with_number_and_id_has_both() {
    let Some(message) = message("bsuid_with_phone.json") else {
        return;
    };

    assert_eq!(message.wa_user_id.unwrap().expose(), "IN.2081978709342942");
    assert_eq!(message.name, Some("Muhsin".into()));
}

#[test]
fn a_file_with_an_error_keeps_the_file_and_the_error() {
    let Some(message) = message("media_download_error_400.json") else {
        return;
    };

    let MessageContent::Media(media) = message.content else {
        panic!("no file")
    };
    assert_eq!(media.kind, MediaKind::Image);
    assert_eq!(media.error_code, Some(400));
    assert!(media.id.is_some() && media.caption.is_some());
}

#[test]
fn groups_referrals_and_contexts_are_read() {
    if let Some(message) = message("group_text.json") {
        assert!(message.group.is_some());
    }
    if let Some(message) = message("text_referral_ctwa.json") {
        assert_eq!(message.referral.unwrap().source_type.as_deref(), Some("ad"));
    }
    if let Some(message) = message("text_forwarded_many.json") {
        assert!(message.context.unwrap().frequently_forwarded);
    }
    if let Some(message) = message("text_product_inquiry.json") {
        let context = message.context.unwrap();
        assert!(context.referred_product.is_some() && context.quoted.is_some());
    }
    if let Some(message) = message("call_permission_update.json") {
        let accepted = Interactive::CallPermission { accepted: true };
        assert_eq!(message.content, MessageContent::Interactive(accepted));
    }
}
