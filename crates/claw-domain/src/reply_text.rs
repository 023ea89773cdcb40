use serde::{Deserialize, Serialize};

use crate::Sensitive;

/// The text of a reply, in Markdown. At most [`ReplyText::MOST_BYTES`] long: a longer text is cut as soon as it becomes
/// a reply, and ends with a line that says so. An assistant may write megabytes, and one event, row or conversion of
/// that size would hold up its user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Sensitive<String>", into = "Sensitive<String>")]
pub struct ReplyText(Sensitive<String>);

impl ReplyText {
    /// Longest text of a reply, the note included. Twice as much as one reply may take in the chat in most scripts.
    /// JSON makes at most 6 bytes of one, so an event with such a text is shorter than 1 MB, which is what the bus
    /// takes.
    pub const MOST_BYTES: usize = 128 * 1024;

    /// The text. The warning of [`Sensitive::expose`] applies.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// Ends a text that was cut.
const REST_IS_MISSING: &str = "\n\n[… the rest was too long to send]";

impl From<Sensitive<String>> for ReplyText {
    fn from(text: Sensitive<String>) -> Self {
        if text.expose().len() <= Self::MOST_BYTES {
            return Self(text);
        }
        let mut cut = text.into_exposed();
        cut.truncate(cut.floor_char_boundary(Self::MOST_BYTES - REST_IS_MISSING.len()));
        cut.push_str(REST_IS_MISSING);
        cut.shrink_to_fit();
        Self(cut.into())
    }
}

impl From<ReplyText> for Sensitive<String> {
    fn from(text: ReplyText) -> Self {
        text.0
    }
}

impl From<String> for ReplyText {
    fn from(text: String) -> Self {
        Sensitive::new(text).into()
    }
}

impl From<&str> for ReplyText {
    fn from(text: &str) -> Self {
        Sensitive::from(text).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_ends_with_a_line_that_says_so() {
        let whole = "ä".repeat(ReplyText::MOST_BYTES / 2);
        let longer = format!("{whole}.");

        assert_eq!(ReplyText::from(whole.as_str()).expose(), whole);
        let cut = ReplyText::from(longer.as_str());
        assert!(cut.expose().len() <= ReplyText::MOST_BYTES);
        assert!(
            cut.expose()
                .ends_with("ä\n\n[… the rest was too long to send]")
        );
        assert_eq!(ReplyText::from(cut.expose()), cut);
    }

    #[test]
    fn a_text_is_serialized_as_it_is_and_cut_when_it_is_read() {
        let json = serde_json::to_string(&ReplyText::from("Logged.")).unwrap();
        let huge = serde_json::to_string(&"a".repeat(1_000_000)).unwrap();

        assert_eq!(json, "\"Logged.\"");
        let read: ReplyText = serde_json::from_str(&huge).unwrap();
        assert_eq!(read.expose().len(), ReplyText::MOST_BYTES);
        assert_eq!(format!("{read:?}"), "ReplyText(…)");
    }
}
