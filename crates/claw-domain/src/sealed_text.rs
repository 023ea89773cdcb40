use std::fmt;

use serde::{Deserialize, Serialize};

/// A text that a user wrote or said, encrypted so that only one service can read it. The crate `claw-seal` seals and
/// opens it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedText(String);

impl SealedText {
    /// Wraps a text that is already encrypted.
    pub fn of_encoded(encoded: String) -> Self {
        Self(encoded)
    }

    /// The encrypted text in its printable form.
    pub fn encoded(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SealedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sealed")
    }
}
