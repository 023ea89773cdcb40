use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The namespace from which all our own ids are derived, so that every process at any time derives the same id from
/// the same cause. Never change it.
const NAMESPACE: Uuid = Uuid::from_u128(0x8f6f_2f4e_5c1b_4e0c_9a53_3d1f_c1a3_7b11);

/// The text is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an id of the form {prefix}_<32 hex digits>")]
pub struct IdError {
    /// The prefix the id should have had.
    pub prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// The prefix of the id's text form, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps an id read back from storage.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare id, for storage.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or(IdError { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

macro_rules! derived_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        id!($(#[$doc])* $name, $prefix);

        impl $name {
            /// Derives the id from `cause`. The same cause always gives the same id.
            pub fn derived_from(cause: &str) -> Self {
                Self(Uuid::new_v5(&NAMESPACE, format!("{}:{cause}", $prefix).as_bytes()))
            }
        }
    };
}

id!(
    /// The id of a user, the same on every channel. Only [`UserIdKey`](crate::UserIdKey) derives it, from the user's
    /// canonical address.
    UserId, "usr"
);
derived_id!(
    /// The id of a message from a user; also the `idempotencyKey` and run id of its turn. Derived from the channel's
    /// own id.
    MessageId, "msg"
);
derived_id!(
    /// The id of a reply to a user. Derived from the transcript row or the notice that caused it.
    ReplyId, "rpl"
);
derived_id!(
    /// The id of one piece of a reply, as sent to the channel. The channel returns it in every status of the piece.
    DeliveryId, "dlv"
);
derived_id!(
    /// The id of a sandbox: an assistant's container (or external address) with its volume and secrets.
    SandboxId, "sbx"
);
derived_id!(
    /// The id of a phone call. Derived from Twilio's id of the call.
    CallId, "cal"
);
derived_id!(
    /// The id of an invite. Derived from its code, which is random.
    InviteId, "inv"
);

impl UserId {
    /// Nobody: events that name no user are routed and ordered under this id.
    pub const UNKNOWN: Self = Self(Uuid::nil());

    /// The id under which reports about a message are ordered if its user is unknown.
    pub const fn in_place_of(message: MessageId) -> Self {
        Self(message.0)
    }
}

impl MessageId {
    /// The id of a caller's utterance. `turn` counts the utterances of the call from 1; turn 0 stands for the ringing
    /// phone.
    pub fn of_utterance(call: CallId, turn: u32) -> Self {
        Self::derived_from(&format!("call:{call}:{turn}"))
    }

    /// The id of the warning to a user about a call that somebody made as them.
    pub fn of_call_warning(call: CallId) -> Self {
        Self::derived_from(&format!("call:{call}:warning"))
    }

    /// The id of the end of a phone call.
    pub fn of_call_end(call: CallId) -> Self {
        Self::derived_from(&format!("call:{call}:end"))
    }
}

/// WhatsApp's own id of a message, incoming or outgoing. Opaque.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wamid(String);

impl Wamid {
    /// Wraps the id as Meta wrote it.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as Meta wrote it. It contains the phone number in base64, so it must not be logged.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Wamid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wamid.…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_cause_always_gives_the_same_id() {
        assert_eq!(
            MessageId::derived_from("wamid.A").to_string(),
            "msg_b770c499ef95559caa8b6be4ed65f7c8"
        );
    }

    #[test]
    fn ids_of_different_kinds_differ_even_for_the_same_cause() {
        assert_ne!(
            MessageId::derived_from("x").as_uuid(),
            ReplyId::derived_from("x").as_uuid()
        );
    }

    #[test]
    fn each_utterance_of_a_call_and_its_end_keep_their_ids() {
        let call = CallId::derived_from("CA00000000000000000000000000000001");

        let ids = [
            MessageId::of_utterance(call, 0),
            MessageId::of_utterance(call, 1),
            MessageId::of_call_end(call),
        ];

        insta::assert_debug_snapshot!(ids, @"
        [
            msg_09cd899c25cc5bac957cdd6439987b71,
            msg_4366de5d60455fcc96c317de5a0872a2,
            msg_5fec10ac8605541581625dc043b67adc,
        ]
        ");
    }

    #[test]
    fn an_id_is_parsed_from_its_text_and_an_id_of_another_kind_is_refused() {
        let id = UserId::in_place_of(MessageId::derived_from("wamid.A"));

        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("msg_00".parse::<UserId>(), Err(IdError { prefix: "usr" }));
    }

    #[test]
    fn debug_output_hides_a_wamid_because_it_contains_the_phone_number() {
        assert_eq!(
            format!("{:?}", Wamid::new("wamid.HBgLMTU1NTEyMzQ1Njc")),
            "wamid.…"
        );
    }
}
