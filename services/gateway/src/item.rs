use claw_chat::{Item, Notice, Plan};
use claw_domain::{Attestation, CallId, MessageContent, Origin, Sensitive, VoiceKind};
use claw_events::{CallerInput, Utterance};
use claw_store::{Call, VoiceMessage, WaitingMessage};

/// `WaitingMessage::content_kind` of a message whose content is stored as text, not as JSON.
const TEXT: &str = "text";

/// A message read from the database, which may have been sent to the assistant before.
pub(crate) fn item_of_stored(message: &WaitingMessage) -> Item {
    let (heard, mut plan) = match message.origin {
        Origin::WhatsApp { .. } => (None, Plan::of_content(&content_of(message))),
        Origin::Voice { call, turn, kind } => plan_stored_call(call, turn, kind, message),
    };
    // A message that was sent to the assistant was not a command.
    if let Plan::Obey(_, text) = &plan
        && message.batch.is_some()
    {
        plan = Plan::Ask(text.clone());
    }
    Item {
        id: message.id,
        origin: message.origin.clone(),
        heard,
        sequence: message.sequence,
        taken_at: message.taken_at,
        plan,
        batch: message.batch,
        may_have_been_sent: true,
    }
}

/// An event of a call that was just stored.
pub(crate) fn item_of_call(
    message: &VoiceMessage,
    plan: Plan,
    heard: Option<Sensitive<String>>,
) -> Item {
    Item {
        id: message.id,
        origin: Origin::Voice {
            call: message.call,
            turn: message.turn,
            kind: message.kind,
        },
        heard,
        sequence: message.sequence,
        taken_at: message.now,
        plan,
        batch: None,
        may_have_been_sent: false,
    }
}

/// A caller's input goes to their assistant.
pub(crate) fn plan_spoken(utterance: &Utterance) -> Plan {
    match &utterance.words {
        CallerInput::Words(text) => Plan::asking(text.expose()),
        CallerInput::Keys(keys) => {
            Plan::asking(&format!("(I pressed {} on the phone.)", keys.expose()))
        }
        // Intake opens it first.
        CallerInput::Sealed(_) => Plan::NoAnswer,
    }
}

/// The plan for the end of a call. A caller we could not connect is told that they can call again: this
/// queues behind their [`Plan::PutThrough`], so their assistant is ready then.
pub(crate) fn plan_call_end(call: &Call) -> Plan {
    if call.is_open() && call.turns > 0 {
        Plan::WrapUp(call.id)
    } else if call.setup_awaited {
        Plan::Say(Notice::AssistantReady)
    } else {
        Plan::NoAnswer
    }
}

/// What a user has to know about a call from their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallWarning {
    /// The caller was put through as the user, without proof.
    CalledAsUser,
    /// The caller gave a wrong PIN, at least once.
    WrongPin,
}

/// The warning about a call, if there is one.
pub(crate) fn warning_of(call: &Call) -> Option<CallWarning> {
    let has_given_pin = call.pin_tries > 0;
    let is_attested = call.attestation == Some(Attestation::Full);
    if call.wrong_pins > 0 {
        Some(CallWarning::WrongPin)
    } else if call.is_open() && !has_given_pin && !is_attested {
        Some(CallWarning::CalledAsUser)
    } else {
        None
    }
}

/// The plan for a stored event of a call, and the part of an interrupted answer that the caller had heard.
fn plan_stored_call(
    call: CallId,
    turn: u32,
    kind: VoiceKind,
    message: &WaitingMessage,
) -> (Option<Sensitive<String>>, Plan) {
    let plan = match kind {
        VoiceKind::CallStarted => Plan::PutThrough(call),
        VoiceKind::Speech => {
            let utterance = serde_json::from_str::<Utterance>(message.content.expose());
            return utterance.map_or((None, Plan::NoAnswer), |utterance| {
                let plan = plan_spoken(&utterance);
                (utterance.heard, plan)
            });
        }
        // The caller has said something.
        VoiceKind::CallEnded if turn > 0 => Plan::WrapUp(call),
        VoiceKind::CallEnded => Plan::Say(Notice::AssistantReady),
        VoiceKind::CallWarning => Plan::Warn(call),
    };
    (None, plan)
}

/// Text is stored as it is, other content as JSON: see `intake`.
fn content_of(message: &WaitingMessage) -> MessageContent {
    if message.content_kind == TEXT {
        return MessageContent::Text(message.content.clone());
    }
    serde_json::from_str(message.content.expose()).unwrap_or_else(|_| MessageContent::Unknown {
        kind: message.content_kind.clone(),
        raw: Sensitive::new(serde_json::Value::Null),
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_user_is_warned_of_wrong_pins_and_of_callers_who_proved_nothing() {
        let opened_at = Some(DateTime::UNIX_EPOCH);
        let open = |attestation| Call {
            opened_at,
            ..call(attestation)
        };
        for attestation in Attestation::ALL {
            let expected = (attestation != Attestation::Full).then_some(CallWarning::CalledAsUser);
            assert_eq!(warning_of(&open(attestation)), expected, "{attestation:?}");
            assert_eq!(warning_of(&call(attestation)), None, "{attestation:?}");
            let unlocked = Call {
                pin_tries: 1,
                ..open(attestation)
            };
            assert_eq!(warning_of(&unlocked), None, "{attestation:?}");
            for opened_at in [None, opened_at] {
                let guessed = Call {
                    opened_at,
                    pin_tries: 2,
                    wrong_pins: 1,
                    ..call(attestation)
                };
                assert_eq!(warning_of(&guessed), Some(CallWarning::WrongPin));
            }
        }
    }

    fn call(attestation: Attestation) -> Call {
        Call {
            id: CallId::derived_from("CA1"),
            user: claw_testkit::user("ada"),
            attestation: Some(attestation),
            started_at: DateTime::UNIX_EPOCH,
            turns: 0,
            last_turn: 0,
            last_spoken_at: None,
            setup_awaited: false,
            opened_at: None,
            unstored_turn: 0,
            pin_tries: 0,
            wrong_pins: 0,
            end: None,
        }
    }
}
