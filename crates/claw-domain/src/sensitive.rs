use std::fmt;

use serde::{Deserialize, Serialize};

/// A text or value that identifies a user or was written by one. It is serialized and stored, but never printed.
///
/// `Debug` shows `…`, there is no `Display`, and the only way to the value is [`Sensitive::expose`],
/// which is easy to search for.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sensitive<T>(T);

impl<T> Sensitive<T> {
    /// Wraps `value` so that it is not printed.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Never pass it to a log, a span, a metric label or a subject.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value itself. The warning of [`Sensitive::expose`] applies.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl From<String> for Sensitive<String> {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl From<&str> for Sensitive<String> {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

impl<T> fmt::Debug for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensitive_text_is_serialized_as_it_is_and_printed_as_an_ellipsis() {
        let text = Sensitive::from("the door code is 4711");

        assert_eq!(format!("{text:?}"), "…");
        assert_eq!(
            serde_json::to_string(&text).unwrap(),
            "\"the door code is 4711\""
        );
    }
}
