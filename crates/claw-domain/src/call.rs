use serde::{
    Deserialize, Serialize,
    de::{
        IntoDeserializer,
        value::{Error, StrDeserializer},
    },
};

/// Whether a caller is who their number says. Anybody can forge a caller id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Nothing speaks against the number: its person is on the line.
    Trusted,
    /// The number is hidden, missing, or was not vouched for: nothing of anybody's is told or done.
    Unverified,
}

impl Trust {
    /// The name used in storage and metrics: the same as on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Unverified => "unverified",
        }
    }

    /// The trust of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        named(name)
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// It was answered, and somebody hung up.
    Completed,
    /// The line was busy.
    Busy,
    /// It could not be put through.
    Failed,
    /// Nobody answered.
    NoAnswer,
    /// The caller hung up before it was answered.
    Canceled,
}

impl CallOutcome {
    /// The name used in storage and metrics: the same as on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::NoAnswer => "no_answer",
            Self::Canceled => "canceled",
        }
    }

    /// The outcome of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        named(name)
    }
}

/// Reads as from the wire, so that no list of names can lag behind the variants.
fn named<'de, T: Deserialize<'de>>(name: &'de str) -> Option<T> {
    let name: StrDeserializer<'de, Error> = name.into_deserializer();
    T::deserialize(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_and_every_trust_is_found_again_by_its_name() {
        use CallOutcome::{Busy, Canceled, Completed, Failed, NoAnswer};
        for outcome in [Completed, Busy, Failed, NoAnswer, Canceled] {
            assert_eq!(CallOutcome::from_name(outcome.as_str()), Some(outcome));
        }
        for trust in [Trust::Trusted, Trust::Unverified] {
            assert_eq!(Trust::from_name(trust.as_str()), Some(trust));
        }
        assert_eq!(CallOutcome::from_name("no-answer"), None);
    }
}
