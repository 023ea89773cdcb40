use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use crate::signature::is_same_secret;

/// Longest challenge that we return. Meta's have some ten digits.
const CHALLENGE_LIMIT_CHARS: usize = 128;

/// Why a subscription is not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// The request is not a subscription; answer 400.
    #[error("hub.mode is not `subscribe`, or hub.challenge is missing or invalid")]
    Malformed,
    /// The token is not ours; answer 403.
    #[error("hub.verify_token is not ours")]
    Refused,
}

/// Verifies the `GET` request with which Meta sets up the webhook, and returns the challenge to answer with, as the
/// whole body in plain text. `query` is the raw query string. An empty `token` matches nothing.
pub fn verify_subscription(query: &str, token: &SecretString) -> Result<String, SubscriptionError> {
    let query = Query::read(query);
    let challenge = query
        .first("hub.challenge")
        .filter(|challenge| is_valid(challenge))
        .ok_or(SubscriptionError::Malformed)?;
    if query.first("hub.mode") != Some("subscribe") {
        return Err(SubscriptionError::Malformed);
    }
    let theirs = query.first("hub.verify_token").unwrap_or_default();
    let ours = token.expose_secret();
    let is_ours = is_same_secret(ours.as_bytes(), theirs.as_bytes()) && !ours.is_empty();
    if is_ours {
        Ok(challenge.to_owned())
    } else {
        Err(SubscriptionError::Refused)
    }
}

fn is_valid(challenge: &str) -> bool {
    (1..=CHALLENGE_LIMIT_CHARS).contains(&challenge.len())
        && challenge.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// A query string, decoded.
struct Query(Vec<(String, String)>);

impl Query {
    fn read(query: &str) -> Self {
        // `Url` is the only form decoder among the crates we already use.
        let Ok(mut url) = Url::parse("http://webhook/") else {
            return Self(Vec::new());
        };
        url.set_query(Some(query));
        Self(url.query_pairs().into_owned().collect())
    }

    fn first(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verify(query: &str, token: &str) -> Result<String, SubscriptionError> {
        verify_subscription(query, &SecretString::from(token))
    }

    #[test]
    fn the_right_token_gets_the_challenge() {
        assert_eq!(
            verify(
                "hub.mode=subscribe&hub.challenge=42&hub.verify_token=a%2Bb%20c",
                "a+b c"
            ),
            Ok("42".to_owned())
        );
    }

    #[test]
    fn a_wrong_or_missing_token_is_refused() {
        for query in [
            "hub.mode=subscribe&hub.challenge=42&hub.verify_token=nope",
            "hub.mode=subscribe&hub.challenge=42&hub.verify_token=",
            "hub.mode=subscribe&hub.challenge=42",
        ] {
            assert_eq!(verify(query, "token"), Err(SubscriptionError::Refused));
        }
    }

    #[test]
    fn an_empty_configured_token_matches_nothing() {
        let query = "hub.mode=subscribe&hub.challenge=42&hub.verify_token=";

        assert_eq!(verify(query, ""), Err(SubscriptionError::Refused));
    }

    #[test]
    fn a_request_that_is_not_a_subscription_is_malformed() {
        for query in [
            "",
            "hub.challenge=42&hub.verify_token=token",
            "hub.mode=unsubscribe&hub.challenge=42&hub.verify_token=token",
            "hub.mode=subscribe&hub.verify_token=token",
            "hub.mode=subscribe&hub.challenge=%3Cscript%3E&hub.verify_token=token",
        ] {
            assert_eq!(verify(query, "token"), Err(SubscriptionError::Malformed));
        }
    }
}
