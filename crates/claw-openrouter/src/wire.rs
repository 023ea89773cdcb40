//! Their JSON. Unknown fields are ignored, missing ones forgiven where we can do without.

use std::fmt;

use claw_model_keys::{KeyHash, KeyInfo, SpendLimit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Their words in an error are kept up to this length: enough to act on, too short to hide a page.
const MESSAGE_LIMIT_CHARS: usize = 200;

/// Money is a float on the wire.
const TOLERANCE_USD: f64 = 0.000_001;

#[derive(Debug, Serialize)]
pub(crate) struct CreateKey<'a> {
    name: &'a str,
    limit: f64,
    limit_reset: &'static str,
}

impl<'a> CreateKey<'a> {
    pub(crate) const fn new(name: &'a str, limit: SpendLimit) -> Self {
        Self {
            name,
            limit: limit.usd,
            // OpenRouter names the periods as our settings do.
            limit_reset: limit.reset.as_str(),
        }
    }
}

/// The answer to a creation; the only one that holds a secret, so it cannot be printed.
#[derive(Deserialize)]
pub(crate) struct CreatedKey {
    pub(crate) data: KeyObject,
    pub(crate) key: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct KeyPage {
    pub(crate) data: Vec<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct KeyObject {
    hash: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    disabled: Option<bool>,
    #[serde(default)]
    limit: Option<f64>,
    #[serde(default)]
    limit_reset: Option<String>,
}

impl KeyObject {
    pub(crate) fn hash(&self) -> KeyHash {
        KeyHash::new(self.hash.as_str())
    }

    pub(crate) fn has_limit(&self, asked: SpendLimit) -> bool {
        let same_amount = self
            .limit
            .is_some_and(|taken| (taken - asked.usd).abs() < TOLERANCE_USD);
        same_amount && self.limit_reset.as_deref() == Some(asked.reset.as_str())
    }

    /// The limit for people to read.
    pub(crate) fn limit_in_words(&self) -> String {
        let reset = self.limit_reset.as_deref().unwrap_or("for ever");
        match self.limit {
            Some(usd) => format!("{usd} USD {reset}"),
            None => "none".to_owned(),
        }
    }
}

impl From<KeyObject> for KeyInfo {
    fn from(object: KeyObject) -> Self {
        Self {
            hash: KeyHash::new(object.hash),
            name: object.name.unwrap_or_default(),
            disabled: object.disabled.unwrap_or_default(),
        }
    }
}

/// The `error` object that stands in refusals, and now and then in an answer of status 200.
#[derive(Debug, Default)]
pub(crate) struct Complaint {
    /// A number by their schema; seen as text or null, which count as absent.
    pub(crate) code: Option<u16>,
    /// Cut short, and with anything that looks like a key taken out.
    pub(crate) message: String,
}

impl Complaint {
    /// What the body complains of, if it does.
    pub(crate) fn of(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let error = body.get("error").filter(|error| !error.is_null())?;
        let code = error.get("code").and_then(Value::as_u64);
        let message = error.get("message").or(Some(error)).and_then(Value::as_str);
        Some(Self {
            code: code.and_then(|code| code.try_into().ok()),
            message: without_keys(message.unwrap_or_default()),
        })
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

fn without_keys(message: &str) -> String {
    let words = message.split_whitespace();
    let safe = words.map(|word| if word.contains("sk-") { "…" } else { word });
    let joined = safe.collect::<Vec<_>>().join(" ");
    joined.chars().take(MESSAGE_LIMIT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use claw_model_keys::LimitReset;

    use super::*;

    #[test]
    fn a_complaint_is_found_whatever_the_type_of_its_code() {
        let cases = [
            (
                r#"{"error":{"code":429,"message":"slow down"}}"#,
                Some(429),
                "slow down",
            ),
            (
                r#"{"error":{"code":"server_error","message":"oops"}}"#,
                None,
                "oops",
            ),
            (r#"{"error":{"code":null,"message":"oops"}}"#, None, "oops"),
            (r#"{"error":"oops"}"#, None, "oops"),
        ];
        for (body, code, message) in cases {
            let complaint = Complaint::of(body.as_bytes()).unwrap();
            assert_eq!(
                (complaint.code, complaint.message.as_str()),
                (code, message),
                "{body}"
            );
        }
        for body in [r#"{"data":[]}"#, r#"{"error":null}"#, "<html>", ""] {
            assert!(Complaint::of(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn a_message_is_cut_short_and_holds_no_key() {
        let message = without_keys(&format!("the key sk-or-v1-abc {}", "x ".repeat(300)));

        assert!(message.starts_with("the key … x"), "{message}");
        assert_eq!(message.chars().count(), MESSAGE_LIMIT_CHARS);
    }

    #[test]
    fn a_limit_counts_as_taken_only_with_its_amount_and_its_period() {
        let asked = SpendLimit {
            usd: 5.0,
            reset: LimitReset::Daily,
        };
        let taken = |json: &str| {
            serde_json::from_str::<KeyObject>(json)
                .unwrap()
                .has_limit(asked)
        };

        assert!(taken(r#"{"hash":"h","limit":5,"limit_reset":"daily"}"#));
        assert!(taken(
            r#"{"hash":"h","limit":5.0000000001,"limit_reset":"daily"}"#
        ));
        assert!(!taken(r#"{"hash":"h","limit":null,"limit_reset":"daily"}"#));
        assert!(!taken(r#"{"hash":"h","limit":5,"limit_reset":null}"#));
        assert!(!taken(r#"{"hash":"h","limit":50,"limit_reset":"daily"}"#));
    }
}
