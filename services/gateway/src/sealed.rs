//! Opens what ingress has sealed because it may be a PIN.

use std::borrow::Cow;

use claw_bus::HandlerError;
use claw_chat::{PIN_PLACEHOLDER, UNUSABLE_PIN_PLACEHOLDER, is_about_a_pin, pin_of};
use claw_domain::{MessageContent, Pin};
use claw_events::{CallProgressed, CallerInput, MessageReceived, Utterance};
use claw_seal::{Binding, NotOpened, OpeningKey};

/// The content of a message as it may be stored.
pub(crate) struct OpenedMessage<'a> {
    /// The content, with a placeholder in place of a PIN.
    pub(crate) content: Cow<'a, MessageContent>,
    /// The PIN that the message sets.
    pub(crate) pin: Option<Pin>,
}

impl<'a> OpenedMessage<'a> {
    /// Takes the PIN out of a message. Fails for good if the message was sealed for another key.
    pub(crate) fn of(key: &OpeningKey, message: &'a MessageReceived) -> Result<Self, HandlerError> {
        let text = if let MessageContent::SealedPin(sealed) = &message.content {
            let binding = Binding {
                message: message.id,
                user: message.user,
            };
            key.open(binding, sealed).map_err(rejection)?
        } else if let MessageContent::Text(text) = &message.content
            && is_about_a_pin(text.expose())
        {
            text.clone()
        } else {
            return Ok(Self {
                content: Cow::Borrowed(&message.content),
                pin: None,
            });
        };
        let pin = pin_of(text.expose());
        let placeholder = if pin.is_some() {
            PIN_PLACEHOLDER
        } else {
            UNUSABLE_PIN_PLACEHOLDER
        };
        Ok(Self {
            content: Cow::Owned(MessageContent::Text(placeholder.into())),
            pin,
        })
    }
}

/// What a caller said or keyed in, in plain. Fails for good if it was sealed for another key.
pub(crate) fn open_utterance<'a>(
    key: &OpeningKey,
    call: &CallProgressed,
    utterance: &'a Utterance,
) -> Result<Cow<'a, Utterance>, HandlerError> {
    let CallerInput::Sealed(sealed) = &utterance.words else {
        return Ok(Cow::Borrowed(utterance));
    };
    let binding = Binding {
        message: call.id(),
        user: call.user,
    };
    let json = key.open(binding, sealed).map_err(rejection)?;
    let words = serde_json::from_str(json.expose()).map_err(|_| rejection(NotOpened))?;
    Ok(Cow::Owned(Utterance {
        words,
        ..utterance.clone()
    }))
}

fn rejection(error: NotOpened) -> HandlerError {
    HandlerError::reject(
        anyhow::Error::new(error).context("is PIN_PUBLIC_KEY of ingress that of PIN_PRIVATE_KEY?"),
    )
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use claw_domain::{Address, Attestation, CallId, MessageId, PhoneNumber, UserId, Wamid};
    use claw_events::CallStep;
    use claw_testkit::user;

    use super::*;

    #[test]
    fn the_pin_of_a_message_is_taken_out_and_a_placeholder_remains() {
        for (text, pin, placeholder) in [
            ("pin 4711", Some("4711"), PIN_PLACEHOLDER),
            ("My PIN is: 47 11!", Some("4711"), PIN_PLACEHOLDER),
            ("pin 12", None, UNUSABLE_PIN_PLACEHOLDER),
            (PIN_PLACEHOLDER, None, UNUSABLE_PIN_PLACEHOLDER),
        ] {
            for sealed in [true, false] {
                let message = message(text, sealed);

                let opened = OpenedMessage::of(&key(), &message).unwrap();

                assert_eq!(opened.pin.as_ref().map(Pin::expose), pin, "{text:?}");
                let expected = MessageContent::Text(placeholder.into());
                assert_eq!(*opened.content, expected, "{text:?}");
            }
        }
    }

    #[test]
    fn a_message_without_a_pin_stays_as_it_is() {
        let message = message("what is my pin 4711?", false);

        let opened = OpenedMessage::of(&key(), &message).unwrap();

        assert!(opened.pin.is_none());
        assert_eq!(*opened.content, message.content);
    }

    #[test]
    fn a_sealed_pin_in_the_message_of_another_user_is_rejected() {
        let mut message = message("pin 4711", true);
        message.user = user("mallory");

        assert!(matches!(
            OpenedMessage::of(&key(), &message),
            Err(HandlerError::Reject { .. })
        ));
    }

    #[test]
    fn sealed_words_open_for_their_utterance_only() {
        let words = CallerInput::Keys("4711#".into());
        let mut call = call(1, words.clone());
        let CallStep::Spoke(plain) = call.step.clone() else {
            panic!("not an utterance");
        };
        let binding = Binding {
            message: call.id(),
            user: call.user,
        };
        let json = serde_json::to_string(&words).unwrap();
        let sealed = Utterance {
            words: CallerInput::Sealed(key().sealing_key().seal(binding, &json)),
            ..plain.clone()
        };

        assert_eq!(*open_utterance(&key(), &call, &sealed).unwrap(), plain);
        assert_eq!(*open_utterance(&key(), &call, &plain).unwrap(), plain);
        call.user = user("mallory");
        assert!(open_utterance(&key(), &call, &sealed).is_err());
    }

    fn key() -> OpeningKey {
        OpeningKey::parse(&"1".repeat(64)).unwrap()
    }

    fn message(text: &str, sealed: bool) -> MessageReceived {
        let wamid = Wamid::new("wamid.A");
        let binding = Binding {
            message: MessageId::derived_from(wamid.as_str()),
            user: user("ada"),
        };
        let content = if sealed {
            MessageContent::SealedPin(key().sealing_key().seal(binding, text))
        } else {
            MessageContent::Text(text.into())
        };
        MessageReceived {
            id: binding.message,
            user: binding.user,
            address: address(),
            wa_user_id: None,
            name: None,
            wamid,
            sent_at: DateTime::UNIX_EPOCH,
            content,
            context: None,
            referral: None,
            group: None,
        }
    }

    fn call(number: u32, words: CallerInput) -> CallProgressed {
        CallProgressed {
            call: CallId::derived_from("CA1"),
            user: UserId::UNKNOWN,
            address: address(),
            attestation: Attestation::NoVerdict,
            at: DateTime::UNIX_EPOCH,
            step: CallStep::Spoke(Utterance {
                number,
                words,
                language: None,
                heard: None,
            }),
        }
    }

    fn address() -> Address {
        Address::Phone(PhoneNumber::try_from("15551234567").unwrap())
    }
}
