use chrono::{DateTime, Utc};
use claw_domain::{Address, CallId, CallOutcome, Language, MessageId, Sensitive, Trust, UserId};
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::{Event, Stream};

/// Something happened in a call. One kind of event for all of it: who hears of a call hears of its steps
/// in their order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallProgressed {
    /// Derived from Twilio's id of the call.
    pub call: CallId,
    /// Whose number it is.
    pub user: UserId,
    /// The number.
    pub address: Address,
    /// Whether the caller is who the number says.
    pub trust: Trust,
    /// When we heard of it.
    pub at: DateTime<Utc>,
    /// What happened.
    pub step: CallStep,
}

/// A step of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(tag = "type", content = "content", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum CallStep {
    /// Somebody calls; nobody has answered yet.
    Started,
    /// The caller said something, or pressed keys.
    Spoke(Utterance),
    /// It is over. Told once for each call: Twilio repeats, and final states do not change.
    Ended {
        /// How long it was, in whole seconds.
        seconds: u32,
        /// How it ended.
        outcome: CallOutcome,
    },
}

impl CallStep {
    /// The step's name in metrics: the same as on the wire.
    pub fn as_str(&self) -> &'static str {
        self.into()
    }
}

/// What the caller said or keyed in before the assistant's turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Utterance {
    /// Counts within the call, from 1; grows, with gaps.
    pub number: u32,
    /// What was understood.
    pub words: CallerInput,
    /// The language it was understood in, as a BCP 47 tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// When the caller cut the answer before this one short: what of it they had heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<Sensitive<String>>,
}

/// What a caller gave us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "content", rename_all = "snake_case")]
pub enum CallerInput {
    /// Words, as Twilio understood them.
    Words(Sensitive<String>),
    /// Keys pressed.
    Keys(Sensitive<String>),
}

impl CallProgressed {
    /// The id of the step as something that may want an answer.
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

    /// With the person: a caller who hides their number is nobody's until they key one.
    fn dedup_key(&self) -> String {
        format!("{}:{}", self.id(), self.user)
    }
}

/// What a call has come to, for who talks with the caller. Not an event: the latest counts, under the
/// call's id in a bucket, for some hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallStatus {
    /// The assistant listens.
    Ready {
        /// In which language, if they chose one; otherwise in that of their number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        language: Option<Language>,
    },
    /// The caller's assistant is being made, or woken up.
    SettingUp,
    /// The caller has to prove who they are with the PIN they set in the chat.
    NeedsPin {
        /// They have tried, and it was another.
        was_wrong: bool,
    },
    /// Nothing proves who calls, and no PIN is set or no try is left.
    Refused,
}

/// What came of one turn, for who talks with the caller: the first that is written stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "content", rename_all = "snake_case")]
pub enum TurnStatus {
    /// Say this.
    Speech(Speech),
    /// Nobody waits for it in the call any more: the answer goes to the chat.
    GivenUp,
    /// The assistant failed: they may ask again.
    Failed,
    /// It was no question (a PIN): what the call has come to tells how to go on.
    SeeCall,
}

/// What is said to a caller: no notation, and no longer than is good to hear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speech {
    /// The words.
    pub text: Sensitive<String>,
    /// There was more of it, which is in the chat.
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
            user: address.user(),
            address,
            trust: Trust::Trusted,
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
    fn a_step_is_told_once_and_no_two_are_one() {
        let steps = [CallStep::Started, spoke(1), spoke(2), ENDED].map(progressed);

        let keys: HashSet<String> = steps.iter().map(Event::dedup_key).collect();

        assert_eq!(keys.len(), steps.len());
    }

    #[test]
    fn subjects_of_a_call_hold_routing_only() {
        let ended = progressed(ENDED);

        assert_eq!(subject_of(&ended), format!("in.call.{}", ended.user));
    }

    #[test]
    fn what_came_of_a_turn_keeps_its_shape() {
        insta::assert_json_snapshot!((
            CallStatus::NeedsPin { was_wrong: false },
            CallStatus::Ready { language: None },
            CallStatus::Ready {
                language: Some(Language::German)
            },
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
