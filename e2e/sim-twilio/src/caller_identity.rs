use serde::{Deserialize, Serialize};

/// The facts that the network reports about a caller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallerIdentity {
    /// The caller's number with `+`, or what Twilio reports instead (`anonymous`, `+266696687`, `sip:…`).
    pub from: String,
    /// `StirVerstat`; absent if the network does not verify the number.
    pub stir: Option<String>,
    /// The caller's name, if the network reports it.
    pub name: Option<String>,
    /// The number that forwarded the call to ours.
    pub forwarded_from: Option<String>,
}

impl CallerIdentity {
    /// The `StirVerstat` of a caller whose carrier vouches for the number.
    const FULLY_ATTESTED: &str = "TN-Validation-Passed-A";

    /// A caller who shows this number, with a `+`, and for whom the network vouches fully.
    pub fn attested(number: &str) -> Self {
        Self {
            stir: Some(Self::FULLY_ATTESTED.to_owned()),
            ..Self::from(number)
        }
    }
}

impl From<&str> for CallerIdentity {
    fn from(number: &str) -> Self {
        Self {
            from: number.to_owned(),
            ..Self::default()
        }
    }
}
