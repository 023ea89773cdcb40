use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

/// Whether the caller's number proves who calls. Anybody can forge a caller id.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Trust {
    /// The number is shown and failed no verification, so the caller is taken for its user.
    Trusted,
    /// The number is hidden, was keyed in, or failed the carrier's verification. Until the right PIN is given, the
    /// caller gets no user's data and cannot act for a user.
    Unverified,
}

impl Trust {
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
