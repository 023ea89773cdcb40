use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Everything we name ourselves is derived in this namespace, so that two processes (and two
/// years) derive the same id from the same cause. Never change it.
const NAMESPACE: Uuid = Uuid::from_u128(0x8f6f_2f4e_5c1b_4e0c_9a53_3d1f_c1a3_7b11);

/// A text that is not an id of the expected kind.
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
            /// What the id begins with when written.
            pub const PREFIX: &'static str = $prefix;

            /// The id that follows from `cause`: the same cause always gives the same id.
            pub fn derived_from(cause: &str) -> Self {
                Self(Uuid::new_v5(&NAMESPACE, format!("{}:{cause}", $prefix).as_bytes()))
            }

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

id!(
    /// A person, whichever channel they use. Derived from their canonical address.
    UserId, "usr"
);
id!(
    /// One message a person sent us; also the `idempotencyKey` and run id of its turn. Derived from
    /// the channel's own id.
    MessageId, "msg"
);
id!(
    /// One thing to say to a person. Derived from the transcript row or the notice that caused it.
    ReplyId, "rpl"
);
id!(
    /// One piece of a reply as sent to the channel; returned to us in every status about it.
    DeliveryId, "dlv"
);
id!(
    /// One assistant's container (or address) with its volume and secrets.
    SandboxId, "sbx"
);
id!(
    /// One phone call.
    CallId, "cal"
);

impl MessageId {
    /// The id of a turn of a phone call: what the person said for the `turn`th time, from 1. Turn 0 is the
    /// ringing.
    pub fn of_utterance(call: CallId, turn: u32) -> Self {
        Self::derived_from(&format!("call:{call}:{turn}"))
    }

    /// The id of the end of a phone call.
    pub fn of_call_end(call: CallId) -> Self {
        Self::derived_from(&format!("call:{call}:end"))
    }
}

/// WhatsApp's id of a message, theirs or ours. Opaque.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wamid(String);

impl Wamid {
    /// Wraps the id as Meta wrote it.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as Meta wrote it. It encodes the phone number in base64: keep it out of logs.
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
    fn the_same_cause_gives_the_same_id_for_ever() {
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
    fn each_turn_of_a_call_and_its_end_have_an_id_for_ever() {
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
    fn an_id_survives_writing_and_reading_and_refuses_another_kind() {
        let id = UserId::derived_from("+4915112345678");

        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("msg_00".parse::<UserId>(), Err(IdError { prefix: "usr" }));
    }

    #[test]
    fn a_wamid_does_not_print_because_it_holds_the_phone_number() {
        assert_eq!(
            format!("{:?}", Wamid::new("wamid.HBgLMTU1NTEyMzQ1Njc")),
            "wamid.…"
        );
    }
}
