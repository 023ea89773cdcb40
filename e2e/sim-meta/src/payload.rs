//! Webhook bodies, byte for byte as Meta writes them: non-ASCII as lower-case `\uXXXX`, slashes as
//! `\/`. The signature covers these bytes, so verification fails in a receiver that serialises them again.

use std::io;

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::{Value, json, ser::Formatter};
use sha2::Sha256;
use strum::IntoStaticStr;

use super::world::Sent;

/// Statuses in one `changes` item; more go into further items, so that a receiver must read all items.
const STATUSES_PER_CHANGE: usize = 10;

/// The WhatsApp business account the simulated number belongs to.
const ACCOUNT_ID: &str = "102290129340398";

/// The business number as users see it.
const DISPLAY_NUMBER: &str = "15550783881";

/// A status report on one send.
#[derive(Debug, Clone)]
pub(crate) struct StatusUpdate {
    pub(crate) sent: std::sync::Arc<Sent>,
    pub(crate) kind: StatusKind,
    pub(crate) at_ms: i64,
}

/// The value of `status` in a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub(crate) enum StatusKind {
    Sent,
    Delivered,
    Read,
    /// The send failed with this error code.
    Failed(i64),
}

/// The webhook body with one message of a user. `message` is the entry of `messages[]`.
pub(crate) fn of_message(phone_number_id: &str, contact: &Value, message: &Value) -> Vec<u8> {
    let value = json!({
        "messaging_product": "whatsapp",
        "metadata": metadata(phone_number_id),
        "contacts": [contact],
        "messages": [message],
    });
    to_meta_bytes(&envelope(&[change(&value)]))
}

/// The webhook body with these statuses.
pub(crate) fn of_statuses(phone_number_id: &str, updates: &[StatusUpdate]) -> Vec<u8> {
    let changes: Vec<Value> = updates
        .chunks(STATUSES_PER_CHANGE)
        .map(|chunk| {
            change(&json!({
                "messaging_product": "whatsapp",
                "metadata": metadata(phone_number_id),
                "statuses": chunk.iter().map(status).collect::<Vec<_>>(),
            }))
        })
        .collect();
    to_meta_bytes(&envelope(&changes))
}

/// The value of `X-Hub-Signature-256` for `body`.
pub(crate) fn signature(app_secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(app_secret.as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn envelope(changes: &[Value]) -> Value {
    json!({
        "object": "whatsapp_business_account",
        "entry": [{ "id": ACCOUNT_ID, "changes": changes }],
    })
}

fn change(value: &Value) -> Value {
    json!({ "value": value, "field": "messages" })
}

fn metadata(phone_number_id: &str) -> Value {
    json!({ "display_phone_number": DISPLAY_NUMBER, "phone_number_id": phone_number_id })
}

fn status(update: &StatusUpdate) -> Value {
    let sent = &update.sent;
    let mut status = json!({
        "id": sent.wamid,
        "status": update.kind.into_str(),
        "timestamp": (update.at_ms / 1000).to_string(),
    });
    let recipient = if sent.is_to_user_id {
        "recipient_user_id"
    } else {
        "recipient_id"
    };
    status[recipient] = json!(sent.to);
    if let Some(tracker) = &sent.tracker {
        status["biz_opaque_callback_data"] = json!(tracker);
    }
    if let StatusKind::Failed(code) = update.kind {
        status["errors"] = json!([{
            "code": code,
            "title": "Message undeliverable",
            "message": "Message undeliverable",
            "error_data": { "details": "Message Undeliverable." },
            "href": "/documentation/business-messaging/whatsapp/support/error-codes",
        }]);
    } else {
        status["pricing"] = json!({
            "billable": false,
            "pricing_model": "PMP",
            "type": "free_customer_service",
            "category": "service",
        });
    }
    status
}

/// Serialises `value` as Meta does.
pub(crate) fn to_meta_bytes(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, MetaFormatter);
    value
        .serialize(&mut serializer)
        .expect("a JSON value always serialises");
    bytes
}

struct MetaFormatter;

impl Formatter for MetaFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut plain_from = 0;
        for (at, c) in fragment.char_indices() {
            if c.is_ascii() && c != '/' {
                continue;
            }
            writer.write_all(&fragment.as_bytes()[plain_from..at])?;
            plain_from = at + c.len_utf8();
            if c == '/' {
                writer.write_all(b"\\/")?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        writer.write_all(&fragment.as_bytes()[plain_from..])
    }
}
