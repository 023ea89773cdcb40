use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

/// What the telephone network says about a caller's number (STIR/SHAKEN). Anybody can show any number, so only
/// [`Attestation::Full`] proves that the number is the caller's.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Attestation {
    /// Level A: the caller's carrier vouches that the number is the caller's, and its signature was verified.
    Full,
    /// Level B: the carrier knows its customer, but not whether the number is theirs. Also level A if the call was
    /// diverted, or if another carrier passed the verdict on without a signature.
    Partial,
    /// Level C: the call came from a network that vouches for nothing.
    Gateway,
    /// The number is shown, and nobody has verified it. So are all calls from outside the United States and Canada.
    NoVerdict,
    /// The verification failed, so the number is probably forged.
    Failed,
    /// The caller withholds their number, and has keyed this one in.
    Hidden,
    /// The caller has a SIP address and no number, and has keyed this one in.
    Sip,
}

impl Attestation {
    /// Every value, from the strongest to the weakest.
    pub const ALL: [Self; 7] = [
        Self::Full,
        Self::Partial,
        Self::Gateway,
        Self::NoVerdict,
        Self::Failed,
        Self::Hidden,
        Self::Sip,
    ];

    /// Whether the network shows the number and has not found it to be forged.
    pub const fn is_shown(self) -> bool {
        matches!(
            self,
            Self::Full | Self::Partial | Self::Gateway | Self::NoVerdict
        )
    }

    /// The name in storage and metrics, which is the same as on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How a call ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum CallOutcome {
    /// The call was answered and later hung up by either side.
    Completed,
    /// The line was busy.
    Busy,
    /// The call could not be connected.
    Failed,
    /// It rang until the time limit and was not answered.
    NoAnswer,
    /// The caller hung up before the call was answered.
    Canceled,
}

impl CallOutcome {
    /// The name in storage and metrics, which is the same as on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
