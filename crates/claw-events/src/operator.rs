use std::fmt;

use claw_domain::{CallId, FailureReason, SandboxId, UserId};
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// Something that an operator must know, because only an operator can fix it. Contains ids and codes, but no phone
/// numbers and no texts of users. `Display` says what has happened and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum OperatorEvent {
    /// A sandbox sent more than an assistant ever does, and was disconnected.
    SandboxFlooded {
        /// The user of the sandbox.
        user: UserId,
        /// The sandbox that was disconnected.
        sandbox: SandboxId,
    },
    /// A sandbox could not be started, or ended again and again. It is tried again later.
    SandboxFailed {
        /// The user of the sandbox.
        user: UserId,
        /// The sandbox that was given up.
        sandbox: SandboxId,
        /// Why the last attempt failed.
        reason: FailureReason,
    },
    /// Sandboxes have their containers and volumes in another container engine than the provisioner's.
    SandboxesElsewhere {
        /// The id of their engine.
        engine: String,
        /// How many there are.
        sandboxes: u32,
    },
    /// Sandboxes have something to do and stay asleep, because all places are taken.
    NoPlaceToWake {
        /// How many there are.
        sandboxes: u32,
    },
    /// People wait in line, because all places are taken and nobody gives one up.
    NoPlaceForPeople {
        /// How many there are.
        people: u32,
    },
    /// The sandboxes that are to be kept ready for newcomers cannot be started, or end by themselves.
    PoolFailing {
        /// Why the last one failed.
        reason: FailureReason,
    },
    /// The container engine refuses a port on which no process seems to listen.
    PortRefused {
        /// The port, which sandboxes do without for a while.
        port: u16,
    },
    /// A turn failed because the spending limit of the user's model key is reached.
    ModelKeySpent {
        /// The user whose assistant cannot answer.
        user: UserId,
        /// The sandbox that holds the key.
        sandbox: SandboxId,
    },
    /// A turn failed because the model provider rejects the user's model key.
    ModelKeyRefused {
        /// The user whose assistant cannot answer.
        user: UserId,
        /// The sandbox that holds the key.
        sandbox: SandboxId,
    },
    /// A call in which nobody gave the right PIN ended with a wrong one.
    PinGuessed {
        /// The user whose PIN was tried. Told in the chat.
        user: UserId,
        /// The call.
        call: CallId,
    },
    /// The network says that a caller who shows a user's number has probably forged it.
    NumberForged {
        /// The user whose number it is.
        user: UserId,
        /// The call.
        call: CallId,
    },
    /// WhatsApp refuses everything that we send. Replies are kept and retried every minute.
    WhatsappRefused {
        /// Meta's error code, if its answer contained one.
        code: Option<i64>,
    },
    /// WhatsApp refused the template of `WHATSAPP_TEMPLATE`, and a reply was lost.
    TemplateRefused {
        /// Meta's error code, if its answer contained one.
        code: Option<i64>,
    },
    /// Newcomers are refused, because as many as allowed have come in.
    NewcomersRefused {
        /// The setting that limits them.
        setting: String,
        /// The most newcomers that the setting lets in.
        limit: u32,
    },
    /// Meta reported a change of our account, number or templates that may restrict us.
    WhatsappAccountChanged {
        /// The name of the webhook field.
        field: String,
        /// The names and states in it, without anything about people.
        details: String,
    },
}

/// How urgent an operator event is: the level of its log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Many users are affected, or somebody is attacked.
    Error,
    /// One user is affected, or newcomers.
    Warning,
}

impl OperatorEvent {
    /// Every kind that [`kind`](Self::kind) returns.
    pub const KINDS: [&str; 15] = [
        "sandbox_flooded",
        "sandbox_failed",
        "sandboxes_elsewhere",
        "no_place_to_wake",
        "no_place_for_people",
        "pool_failing",
        "port_refused",
        "model_key_spent",
        "model_key_refused",
        "pin_guessed",
        "number_forged",
        "whatsapp_refused",
        "template_refused",
        "newcomers_refused",
        "whatsapp_account_changed",
    ];

    /// The name of the kind in subjects and metrics.
    pub fn kind(&self) -> &'static str {
        self.into()
    }

    /// How urgent the event is.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::SandboxFlooded { .. }
            | Self::SandboxesElsewhere { .. }
            | Self::NoPlaceToWake { .. }
            | Self::NoPlaceForPeople { .. }
            | Self::WhatsappRefused { .. }
            | Self::TemplateRefused { .. }
            | Self::WhatsappAccountChanged { .. } => Severity::Error,
            Self::SandboxFailed { .. }
            | Self::PortRefused { .. }
            | Self::PoolFailing { .. }
            | Self::ModelKeySpent { .. }
            | Self::ModelKeyRefused { .. }
            | Self::PinGuessed { .. }
            | Self::NumberForged { .. }
            | Self::NewcomersRefused { .. } => Severity::Warning,
        }
    }

    /// The deduplication key. Of the events with the same key, one is stored per hour.
    pub fn dedup_key(&self) -> String {
        let what = match self {
            Self::SandboxFlooded { sandbox, .. }
            | Self::ModelKeySpent { sandbox, .. }
            | Self::ModelKeyRefused { sandbox, .. } => sandbox.to_string(),
            Self::SandboxFailed {
                sandbox, reason, ..
            } => format!("{sandbox}:{}", reason.as_str()),
            Self::SandboxesElsewhere { engine, .. } => engine.clone(),
            Self::NoPlaceToWake { .. }
            | Self::NoPlaceForPeople { .. }
            | Self::PoolFailing { .. } => "all".to_owned(),
            Self::PortRefused { port } => port.to_string(),
            Self::PinGuessed { user, .. } | Self::NumberForged { user, .. } => user.to_string(),
            Self::WhatsappRefused { code } | Self::TemplateRefused { code } => {
                code.map_or_else(|| "none".to_owned(), |code| code.to_string())
            }
            Self::NewcomersRefused { setting, .. } => setting.clone(),
            Self::WhatsappAccountChanged { field, details } => format!("{field}:{details}"),
        };
        format!("operator:{}:{what}", self.kind())
    }
}

impl fmt::Display for OperatorEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code_of = |code: &Option<i64>| {
            code.map_or_else(
                || "gave no code".to_owned(),
                |code| format!("gave the code {code}"),
            )
        };
        match self {
            Self::SandboxFlooded { user, sandbox } => write!(
                f,
                "{sandbox} of {user} sends more data than an assistant ever should, so the gateway disconnected it. The \
                 gateway reconnects after increasing delays. If this continues, inspect the container"
            ),
            Self::SandboxFailed {
                user,
                sandbox,
                reason,
            } => write!(
                f,
                "{sandbox} of {user} failed to start, or keeps stopping: {}. The provisioner retries after increasing \
                 delays of up to an hour, and when the user writes. Look the reason up in docs/operations.md, under \
                 \"A sandbox does not start\". To retry at once, run `clawkaka sandbox wake {user}`",
                reason.as_str()
            ),
            Self::SandboxesElsewhere { engine, sandboxes } => write!(
                f,
                "the provisioner cannot start or wake {}: the volumes are in the container engine {engine}, and the \
                 provisioner is connected to a different engine. Connect it to that engine, or see \
                 docs/operations.md if that host is lost",
                count_of(*sandboxes)
            ),
            Self::NoPlaceToWake { sandboxes } => write!(
                f,
                "{} cannot start for a job, a heartbeat or a retry, because all places are taken. They start as soon as \
                 others sleep. The lowest value of clawkaka_sandbox_room names the limit; docs/operations.md says under \
                 \"Room\" how to raise it",
                count_of(*sandboxes)
            ),
            Self::NoPlaceForPeople { people } => write!(
                f,
                "people wait for a place, because all are taken: {people} now. The lowest value of clawkaka_sandbox_room \
                 names the limit; docs/operations.md says under \"Room\" how to raise it"
            ),
            Self::PoolFailing { reason } => write!(
                f,
                "the sandboxes of the warm pool fail to start: {}. The provisioner retries after increasing delays of up \
                 to an hour; meanwhile newcomers wait for a start of their own",
                reason.as_str()
            ),
            Self::PortRefused { port } => write!(
                f,
                "the container engine reports that port {port} is in use, but no process seems to listen on it. The \
                 provisioner uses other ports instead. If this is reported again and again, restart the engine"
            ),
            Self::ModelKeySpent { user, sandbox } => write!(
                f,
                "the model key of {sandbox} of {user} has reached its spending limit, and the assistant cannot \
                 answer until the limit is reset"
            ),
            Self::ModelKeyRefused { user, sandbox } => write!(
                f,
                "the model provider rejects the model key of {sandbox} of {user}, and the assistant cannot answer. \
                 Check at the provider whether the key was deleted or disabled"
            ),
            Self::PinGuessed { user, call } => write!(
                f,
                "the caller of {call} gave a wrong PIN for {user} and did not give the right one. The user was told. \
                 If this goes on, somebody is guessing"
            ),
            Self::NumberForged { user, call } => write!(
                f,
                "the network says that the caller of {call} has forged the number of {user}. The caller gets nowhere \
                 without the user's PIN"
            ),
            Self::WhatsappRefused { code } => write!(
                f,
                "WhatsApp refuses to send for us and {}. Replies are kept and retried every minute. Look the code \
                 up in Meta's list: 0 and 190 need a new WHATSAPP_ACCESS_TOKEN; for 3, 10, 33, 100 and 200 to 299 \
                 check WHATSAPP_SENDER_PHONE_NUMBER_ID and the token's permissions; 131042 needs a payment method; \
                 for the others see the account's quality page in WhatsApp Manager",
                code_of(code)
            ),
            Self::TemplateRefused { code } => write!(
                f,
                "WhatsApp refuses the template of WHATSAPP_TEMPLATE and {}. Check in WhatsApp Manager that the \
                 template is approved in this language, is not paused, and has exactly one parameter, in its body",
                code_of(code)
            ),
            Self::NewcomersRefused { setting, limit } => write!(
                f,
                "newcomers are refused, because {limit} have come in ({setting}). If they are welcome, raise the \
                 limit; if a script sends them, set ADMISSION to invite"
            ),
            Self::WhatsappAccountChanged { field, details } => {
                write!(f, "Meta sent {field}: {details}. See WhatsApp Manager")
            }
        }
    }
}

/// A number of sandboxes, in words for a sentence.
fn count_of(sandboxes: u32) -> String {
    if sandboxes == 1 {
        "1 sandbox".to_owned()
    } else {
        format!("{sandboxes} sandboxes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_kind() -> Vec<OperatorEvent> {
        let user = "usr_18acce9cb8d55882a19accce2dfb9f91".parse().unwrap();
        let sandbox = SandboxId::derived_from("s");
        let call = CallId::derived_from("CA1");
        vec![
            OperatorEvent::SandboxFlooded { user, sandbox },
            OperatorEvent::SandboxFailed {
                user,
                sandbox,
                reason: FailureReason::ImageMissing,
            },
            OperatorEvent::SandboxesElsewhere {
                engine: "ABCD:EFGH".to_owned(),
                sandboxes: 3,
            },
            OperatorEvent::NoPlaceToWake { sandboxes: 2 },
            OperatorEvent::NoPlaceForPeople { people: 4 },
            OperatorEvent::PoolFailing {
                reason: FailureReason::ImageMissing,
            },
            OperatorEvent::PortRefused { port: 30_000 },
            OperatorEvent::ModelKeySpent { user, sandbox },
            OperatorEvent::ModelKeyRefused { user, sandbox },
            OperatorEvent::PinGuessed { user, call },
            OperatorEvent::NumberForged { user, call },
            OperatorEvent::WhatsappRefused { code: Some(190) },
            OperatorEvent::TemplateRefused { code: None },
            OperatorEvent::NewcomersRefused {
                setting: "ADMISSION_PER_HOUR".to_owned(),
                limit: 100,
            },
            OperatorEvent::WhatsappAccountChanged {
                field: "account_update".to_owned(),
                details: "event=\"DISABLED_UPDATE\"".to_owned(),
            },
        ]
    }

    #[test]
    fn every_kind_is_listed_and_is_one_token_of_a_subject() {
        let kinds: Vec<_> = every_kind().iter().map(OperatorEvent::kind).collect();

        assert_eq!(kinds, OperatorEvent::KINDS);
        for kind in kinds {
            assert!(
                kind.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            );
        }
    }

    #[test]
    fn an_operator_event_keeps_its_shape() {
        let events = every_kind();

        insta::assert_json_snapshot!(&events[1..], @r#"
        [
          {
            "kind": "sandbox_failed",
            "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
            "sandbox": "sbx_51bf688409f758aba6e8b5050477c16d",
            "reason": "image_missing"
          },
          {
            "kind": "sandboxes_elsewhere",
            "engine": "ABCD:EFGH",
            "sandboxes": 3
          },
          {
            "kind": "no_place_to_wake",
            "sandboxes": 2
          },
          {
            "kind": "no_place_for_people",
            "people": 4
          },
          {
            "kind": "pool_failing",
            "reason": "image_missing"
          },
          {
            "kind": "port_refused",
            "port": 30000
          },
          {
            "kind": "model_key_spent",
            "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
            "sandbox": "sbx_51bf688409f758aba6e8b5050477c16d"
          },
          {
            "kind": "model_key_refused",
            "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
            "sandbox": "sbx_51bf688409f758aba6e8b5050477c16d"
          },
          {
            "kind": "pin_guessed",
            "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
            "call": "cal_777f9f735cf25f13bae77cca68a74ad4"
          },
          {
            "kind": "number_forged",
            "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
            "call": "cal_777f9f735cf25f13bae77cca68a74ad4"
          },
          {
            "kind": "whatsapp_refused",
            "code": 190
          },
          {
            "kind": "template_refused",
            "code": null
          },
          {
            "kind": "newcomers_refused",
            "setting": "ADMISSION_PER_HOUR",
            "limit": 100
          },
          {
            "kind": "whatsapp_account_changed",
            "field": "account_update",
            "details": "event=\"DISABLED_UPDATE\""
          }
        ]
        "#);
    }

    #[test]
    fn different_things_have_different_keys() {
        let mut keys: Vec<_> = every_kind().iter().map(OperatorEvent::dedup_key).collect();
        let count = keys.len();

        keys.sort();
        keys.dedup();

        assert_eq!(keys.len(), count);
    }
}
