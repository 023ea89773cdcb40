use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

/// Whether a caller is who their number says. Anybody can forge a caller id.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Trust {
    /// Nothing speaks against the number: its person is on the line.
    Trusted,
    /// The number is hidden, missing, or was not vouched for: nothing of anybody's is told or done.
    Unverified,
}

impl Trust {
    /// The name in storage and metrics: the same as on the wire.
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
    /// The name in storage and metrics: the same as on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
