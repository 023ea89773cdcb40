use chrono::{DateTime, Utc};
use claw_domain::{
    Address, Attestation, CallId, CallOutcome, Language, MessageId, SealedText, Sensitive, UserId,
};
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::{Event, Stream};

/// A step of a phone call happened. All steps are events of one type, so that a consumer gets them in their order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallProgressed {
    /// The id of the call, derived from Twilio's.
    pub call: CallId,
    /// The user of the caller's number.
    pub user: UserId,
    /// The address made from the caller's number.
    pub address: Address,
    /// What the network says about the caller's number. The gateway decides what follows from it.
    pub attestation: Attestation,
    /// When ingress received Twilio's request about the step.
    pub at: DateTime<Utc>,
    /// The step, with its details.
    pub step: CallStep,
}

/// A step of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(tag = "type", content = "content", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum CallStep {
    /// The phone is ringing.
    Started,
    /// The caller said something or pressed keys.
    Spoke(Utterance),
    /// The call is over. Published once for each call: Twilio repeats its reports, and a final state does not change.
    Ended {
        /// The duration of the call in whole seconds.
        seconds: u32,
        /// How the call ended, as Twilio reported it.
        outcome: CallOutcome,
    },
}

impl CallStep {
    /// The step's name in metrics, which is the same as on the wire.
    pub fn as_str(&self) -> &'static str {
        self.into()
    }
}

/// What the caller said or keyed in before one answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Utterance {
    /// The number of the utterance within the call, from 1. Numbers grow, but may have gaps.
    pub number: u32,
    /// The words or keys, as Twilio understood them.
    pub words: CallerInput,
    /// The BCP 47 tag of the language in which Twilio understood the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The part of the previous answer that the caller heard, if they interrupted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<Sensitive<String>>,
}

/// The input of a caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "content", rename_all = "snake_case")]
pub enum CallerInput {
    /// Spoken words, as Twilio's speech recognition understood them.
    Words(Sensitive<String>),
    /// The keys that the caller pressed: digits, `*` and `#`.
    Keys(Sensitive<String>),
    /// The JSON of one of the others, sealed for the gateway: it may be a PIN, because the caller was not yet put
    /// through.
    Sealed(SealedText),
}

impl CallerInput {
    /// The ASCII digits that the caller said or pressed; none of a sealed input.
    pub fn digits(&self) -> String {
        match self {
            Self::Words(text) | Self::Keys(text) => {
                text.expose().chars().filter(char::is_ascii_digit).collect()
            }
            Self::Sealed(_) => String::new(),
        }
    }
}

impl CallProgressed {
    /// The id of the message that stands for this step in the user's queue.
    pub fn id(&self) -> MessageId {
        match &self.step {
            CallStep::Started => MessageId::of_utterance(self.call, 0),
            CallStep::Spoke(utterance) => MessageId::of_utterance(self.call, utterance.number),
            CallStep::Ended { .. } => MessageId::of_call_end(self.call),
        }
    }
}

impl Event for CallProgressed {
    const STREAM: Stream = Stream::Inbound;
    const FACT: &'static str = "call";

    fn user(&self) -> UserId {
        self.user
    }

    /// Includes the user, because a caller with a hidden number becomes another user once they key in a number.
    fn dedup_key(&self) -> String {
        format!("{}:{}", self.id(), self.user)
    }
}

/// The state of a live call, which tells ingress what to say to the caller. It is not an event: the latest value is
/// kept in a bucket under the call's id, for some hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallStatus {
    /// The assistant is ready to answer the caller.
    Ready {
        /// The language that the user chose, or else that of their number; `None` if both are unknown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        language: Option<Language>,
        /// Whether we may write to the caller on WhatsApp.
        has_chat: bool,
    },
    /// The caller's assistant is being set up or started.
    SettingUp {
        /// Whether we may write to the caller on WhatsApp.
        has_chat: bool,
    },
    /// The number is new. Nothing is set up before somebody there has spoken or pressed a key.
    NewCaller,
    /// The caller has to give the PIN that the user set in the chat.
    NeedsPin {
        /// Whether the caller has just given a wrong PIN.
        was_wrong: bool,
    },
    /// The caller cannot prove who they are: no PIN is set, the operator wants better proof, or no try is left.
    Refused,
    /// The user is suspended.
    Suspended,
}

impl CallStatus {
    /// The language of a call that is put through, if it is known.
    pub const fn language(self) -> Option<Language> {
        match self {
            Self::Ready { language, .. } => language,
            Self::SettingUp { .. }
            | Self::NewCaller
            | Self::NeedsPin { .. }
            | Self::Refused
            | Self::Suspended => None,
        }
    }

    /// Whether we may write to the caller on WhatsApp; `None` if that is not known yet.
    pub const fn has_chat(self) -> Option<bool> {
        match self {
            Self::Ready { has_chat, .. } | Self::SettingUp { has_chat } => Some(has_chat),
            Self::NewCaller | Self::NeedsPin { .. } | Self::Refused | Self::Suspended => None,
        }
    }
}

/// The result of one utterance, which tells ingress what to say to the caller. The first value that is written stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "content", rename_all = "snake_case")]
pub enum TurnStatus {
    /// The answer, to be spoken.
    Speech(Speech),
    /// The caller no longer waits for the answer, which is sent to the chat.
    GivenUp,
    /// The assistant failed; the caller may ask again.
    Failed,
    /// The utterance needed no answer: it was a PIN, or a new caller's first words. [`CallStatus`] tells how to go on.
    SeeCall,
}

/// A text to be spoken to a caller, without Markdown and cut to a length that is comfortable to listen to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speech {
    /// The plain text, in the language of the answer.
    pub text: Sensitive<String>,
    /// Whether the answer was longer; the chat has the whole of it.
    pub is_cut: bool,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use claw_domain::PhoneNumber;

    use super::*;
    use crate::subject_of;

    fn progressed(step: CallStep) -> CallProgressed {
        let address = Address::Phone(PhoneNumber::try_from("15551234567").unwrap());
        CallProgressed {
            call: CallId::derived_from("CA1"),
            user: "usr_18acce9cb8d55882a19accce2dfb9f91".parse().unwrap(),
            address,
            attestation: Attestation::Full,
            at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            step,
        }
    }

    fn spoke(number: u32) -> CallStep {
        CallStep::Spoke(Utterance {
            number,
            words: CallerInput::Words("hello".into()),
            language: Some("en-US".into()),
            heard: None,
        })
    }

    const ENDED: CallStep = CallStep::Ended {
        seconds: 63,
        outcome: CallOutcome::Completed,
    };

    #[test]
    fn the_steps_of_a_call_keep_their_shapes() {
        insta::assert_json_snapshot!([CallStep::Started, spoke(1), ENDED].map(progressed));
    }

    #[test]
    fn every_step_of_a_call_has_a_dedup_key_of_its_own() {
        let steps = [CallStep::Started, spoke(1), spoke(2), ENDED].map(progressed);

        let keys: HashSet<String> = steps.iter().map(Event::dedup_key).collect();

        assert_eq!(keys.len(), steps.len());
    }

    #[test]
    fn the_subject_of_a_step_contains_only_the_user_id() {
        let ended = progressed(ENDED);

        assert_eq!(subject_of(&ended), format!("in.call.{}", ended.user));
    }

    #[test]
    fn the_statuses_of_a_call_and_a_turn_keep_their_shapes() {
        insta::assert_json_snapshot!((
            CallStatus::NeedsPin { was_wrong: false },
            CallStatus::Ready {
                language: None,
                has_chat: true
            },
            CallStatus::Ready {
                language: Some(Language::German),
                has_chat: false
            },
            CallStatus::SettingUp { has_chat: false },
            CallStatus::NewCaller,
            TurnStatus::Speech(Speech {
                text: "Two rotis.".into(),
                is_cut: false
            }),
            TurnStatus::GivenUp,
            TurnStatus::Failed,
            TurnStatus::SeeCall,
        ));
    }
}
