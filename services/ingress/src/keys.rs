use claw_chat::{PIN_PLACEHOLDER, is_about_a_pin};
use claw_domain::{MessageContent, SealedText, Sensitive, UserIdKey};
use claw_events::CallerInput;
use claw_seal::{Binding, SealingKey};
use serde_json::Value;

/// The keys of ingress.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Derives the ids of users.
    pub user_ids: UserIdKey,
    /// Seals what may be a PIN. Only the gateway can open it.
    pub pins: SealingKey,
}

impl Keys {
    /// The content without a PIN in plain. A text that sets one is sealed. In other content, such as a caption or an
    /// edited message, nobody would obey it, so it is only made unreadable.
    pub(crate) fn without_pins(&self, binding: Binding, content: MessageContent) -> MessageContent {
        if let MessageContent::Text(text) = &content {
            return if is_about_a_pin(text.expose()) {
                MessageContent::SealedPin(self.pins.seal(binding, text.expose()))
            } else {
                content
            };
        }
        let Ok(mut json) = serde_json::to_value(&content) else {
            return content;
        };
        if !hide_pins(&mut json) {
            return content;
        }
        serde_json::from_value(json).unwrap_or_else(|_| MessageContent::Unknown {
            kind: content.kind().to_owned(),
            raw: Sensitive::new(Value::Null),
        })
    }

    /// Seals the input of a caller.
    pub(crate) fn seal_input(&self, binding: Binding, input: &CallerInput) -> SealedText {
        // Cannot fail: an input holds only strings.
        let json = serde_json::to_string(input).unwrap_or_default();
        self.pins.seal(binding, &json)
    }
}

/// Replaces every string that sets a PIN; tells whether there was one.
fn hide_pins(json: &mut Value) -> bool {
    match json {
        Value::String(text) if is_about_a_pin(text) => {
            PIN_PLACEHOLDER.clone_into(text);
            true
        }
        Value::Array(items) => items
            .iter_mut()
            .fold(false, |found, item| hide_pins(item) | found),
        Value::Object(fields) => fields
            .values_mut()
            .fold(false, |found, field| hide_pins(field) | found),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// How many bytes after the word "pin" may belong to the PIN.
const PIN_REACH_BYTES: usize = 24;

/// A body that cannot be read as messages, with stars in place of the digits after each word "pin". It is kept for the
/// operator, and nothing tells which of it is a text.
pub(crate) fn without_digits_of_pins(body: &[u8]) -> Vec<u8> {
    let mut masked = body.to_vec();
    let words = body.windows(3).enumerate();
    for (start, _) in words.filter(|(_, word)| word.eq_ignore_ascii_case(b"pin")) {
        let after = masked.iter_mut().skip(start + 3).take(PIN_REACH_BYTES);
        let in_the_text = after.take_while(|byte| **byte != b'"');
        for byte in in_the_text.filter(|byte| byte.is_ascii_digit()) {
            *byte = b'*';
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use claw_domain::{Media, MediaKind, MessageId, UserId, Wamid};
    use claw_seal::OpeningKey;
    use claw_testkit::user_id_key;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_that_sets_a_pin_is_sealed_and_any_other_is_left_as_it_is() {
        for text in [
            "pin 860417",
            " Please, set my PIN to 860417! ",
            "PIN: 86-04-17",
            "pin 123",
        ] {
            let sealed = keys().without_pins(binding(), MessageContent::Text(text.into()));

            let MessageContent::SealedPin(sealed) = sealed else {
                panic!("{text:?} was not sealed");
            };
            assert_eq!(
                opening_key().open(binding(), &sealed).unwrap().expose(),
                text
            );
        }
        for text in ["hello", "what is my pin 860417?", "remove pin"] {
            let content = MessageContent::Text(text.into());
            assert_eq!(keys().without_pins(binding(), content.clone()), content);
        }
    }

    #[test]
    fn a_pin_is_in_no_other_content() {
        let caption = Media {
            kind: MediaKind::Image,
            id: Some("1".into()),
            mime_type: None,
            caption: Some("My PIN is 860417.".into()),
            filename: None,
            sha256: None,
            error_code: None,
        };
        let raw = json!({"message": {"text": {"body": "pin 860417"}, "others": ["x", 1, null]}});
        for content in [
            MessageContent::Media(caption),
            MessageContent::Edit {
                original: Some(Wamid::new("wamid.A")),
                raw: Sensitive::new(raw.clone()),
            },
            MessageContent::Unknown {
                kind: "hologram".into(),
                raw: Sensitive::new(raw),
            },
        ] {
            let kind = content.kind();
            let hidden = keys().without_pins(binding(), content);

            assert_eq!(hidden.kind(), kind);
            let json = serde_json::to_string(&hidden).unwrap();
            assert!(!json.contains("860417"), "{json}");
            assert!(json.contains(PIN_PLACEHOLDER), "{json}");
        }
    }

    #[test]
    fn an_unreadable_body_keeps_all_but_the_digits_of_a_pin() {
        let body = br#"{"id": 17, "text": "hi\nPIN: 86 04 17", "from": "15551234567"#;

        let masked = without_digits_of_pins(body);

        assert_eq!(
            String::from_utf8(masked).unwrap(),
            r#"{"id": 17, "text": "hi\nPIN: ** ** **", "from": "15551234567"#
        );
    }

    fn keys() -> Keys {
        Keys {
            user_ids: user_id_key(),
            pins: opening_key().sealing_key(),
        }
    }

    fn opening_key() -> OpeningKey {
        OpeningKey::parse(&"1".repeat(64)).unwrap()
    }

    fn binding() -> Binding {
        Binding {
            message: MessageId::derived_from("wamid.A"),
            user: UserId::UNKNOWN,
        }
    }
}
