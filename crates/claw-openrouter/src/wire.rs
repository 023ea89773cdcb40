//! The JSON of the API. Unknown fields are ignored; fields that we can do without may be missing.

use std::fmt;

use claw_model_keys::{KeyHash, KeyInfo, SpendLimit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest part of OpenRouter's error message that is kept: enough to act on, too short for an HTML page.
const MESSAGE_LIMIT_CHARS: usize = 200;

/// Amounts are floating-point numbers in the API.
const TOLERANCE_USD: f64 = 0.000_001;

#[derive(Debug, Serialize)]
pub(crate) struct CreateKey<'a> {
    name: &'a str,
    limit: f64,
    limit_reset: &'static str,
}

impl<'a> CreateKey<'a> {
    pub(crate) fn new(name: &'a str, limit: SpendLimit) -> Self {
        Self {
            name,
            limit: limit.usd,
            // OpenRouter names the periods as our settings do.
            limit_reset: limit.reset.as_str(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct ChangeKey {
    pub(crate) disabled: bool,
}

/// The answer to a creation. The only answer with a secret, so it does not implement `Debug`.
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

    /// The limit as text for the operator.
    pub(crate) fn limit_in_words(&self) -> String {
        let reset = self.limit_reset.as_deref().unwrap_or("without a period");
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
        }
    }
}

/// The `error` object of refusals; some answers with status 200 contain one too.
#[derive(Debug, Default)]
pub(crate) struct ApiError {
    /// A number according to the schema. Text and null, which also occur, count as absent.
    pub(crate) code: Option<u16>,
    /// Cut short, with everything that looks like a key removed.
    pub(crate) message: String,
}

impl ApiError {
    /// The error in a body, if there is one.
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

impl fmt::Display for ApiError {
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
    fn an_error_is_found_with_a_code_of_any_type() {
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
            let api_error = ApiError::of(body.as_bytes()).unwrap();
            assert_eq!(
                (api_error.code, api_error.message.as_str()),
                (code, message),
                "{body}"
            );
        }
        for body in [r#"{"data":[]}"#, r#"{"error":null}"#, "<html>", ""] {
            assert!(ApiError::of(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn a_message_is_cut_short_and_contains_no_key() {
        let message = without_keys(&format!("the key sk-or-v1-abc {}", "x ".repeat(300)));

        assert!(message.starts_with("the key … x"), "{message}");
        assert_eq!(message.chars().count(), MESSAGE_LIMIT_CHARS);
    }

    #[test]
    fn a_limit_counts_as_applied_only_with_the_requested_amount_and_period() {
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
