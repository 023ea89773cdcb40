use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use crate::signature::is_same_secret;

/// Longest challenge we echo. Meta's are some ten digits.
const CHALLENGE_LIMIT_CHARS: usize = 128;

/// Why a subscription is not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// Not a subscription request at all; answer 400.
    #[error("hub.mode is not subscribe, or hub.challenge is missing or odd")]
    Malformed,
    /// Somebody without our token; answer 403.
    #[error("hub.verify_token is not ours")]
    Refused,
}

/// Answers Meta's `GET` that sets up the webhook: the challenge to send back as the whole body, as plain
/// text. `query` is the raw query string. An empty configured token confirms nobody.
pub fn verify_subscription(query: &str, token: &SecretString) -> Result<String, SubscriptionError> {
    let query = Query::read(query);
    let challenge = query
        .first("hub.challenge")
        .filter(|challenge| is_plausible(challenge))
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

fn is_plausible(challenge: &str) -> bool {
    (1..=CHALLENGE_LIMIT_CHARS).contains(&challenge.len())
        && challenge.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// A query string, decoded.
struct Query(Vec<(String, String)>);

impl Query {
    fn read(query: &str) -> Self {
        // A URL is the only public way to the form decoder among the crates already here.
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
    fn who_knows_the_token_gets_the_challenge_back() {
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
    fn an_empty_configured_token_confirms_nobody() {
        let query = "hub.mode=subscribe&hub.challenge=42&hub.verify_token=";

        assert_eq!(verify(query, ""), Err(SubscriptionError::Refused));
    }

    #[test]
    fn what_is_no_subscription_request_is_malformed() {
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
