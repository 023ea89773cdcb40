use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::url::{spellings, upgrade_spellings};
use crate::form::Form;

/// The header that carries the signature.
pub const HEADER: &str = "x-twilio-signature";

/// The header that is the same on every repeat of one request.
pub const IDEMPOTENCY_HEADER: &str = "i-twilio-idempotency-token";

/// The query parameter with the hash of a body that is no form.
const BODY_HASH: &str = "bodySHA256";

/// Length of a SHA-1 digest.
const DIGEST_BYTES: usize = 20;

/// The account's auth tokens we accept: one, or two while the primary one is being rotated.
#[derive(Debug, Clone)]
pub struct AuthTokens(Vec<SecretString>);

/// Why a list of auth tokens cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no auth token given: at least one is needed, several are separated by commas")]
pub struct NoAuthToken;

/// Why a request is not believed to come from Twilio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No signature header.
    #[error("the signature header is missing")]
    Missing,
    /// Not the base64 of 20 bytes.
    #[error("the signature header is malformed")]
    Malformed,
    /// No token of ours gives this signature. Most often the public URL is configured wrongly.
    #[error("the signature does not fit the request")]
    Mismatch,
    /// A body that is no form, and no hash of it in the signed URL: nothing proves it.
    #[error("the body is not covered by the signature")]
    UnsignedBody,
}

impl AuthTokens {
    /// Reads a comma-separated list. Blank entries are skipped: an empty token would accept anyone.
    pub fn parse(list: &SecretString) -> Result<Self, NoAuthToken> {
        let tokens: Vec<_> = list
            .expose_secret()
            .split(',')
            .map(str::trim)
            .filter(|token| !token.is_empty())
            .map(SecretString::from)
            .collect();
        if tokens.is_empty() {
            return Err(NoAuthToken);
        }
        Ok(Self(tokens))
    }

    /// Checks a form POST: the URL is followed by every field's name and value, sorted by name.
    pub fn verify_form(
        &self,
        header: Option<&[u8]>,
        url: &str,
        form: &Form,
    ) -> Result<(), SignatureError> {
        self.verify(header, &spellings(url), &signed_fields(form))
    }

    /// Checks a request without a body: only the URL with its query is signed.
    pub fn verify_get(&self, header: Option<&[u8]>, url: &str) -> Result<(), SignatureError> {
        self.verify(header, &spellings(url), b"")
    }

    /// Checks a body that is no form, JSON for example: the signed URL carries its SHA-256 in hex.
    pub fn verify_body(
        &self,
        header: Option<&[u8]>,
        url: &str,
        body: &[u8],
    ) -> Result<(), SignatureError> {
        self.verify(header, &spellings(url), b"")?;
        let stated = body_hash_in(url).ok_or(SignatureError::UnsignedBody)?;
        if is_same(&stated, &Sha256::digest(body)) {
            Ok(())
        } else {
            Err(SignatureError::Mismatch)
        }
    }

    /// Checks the upgrade of a WebSocket: the `wss://` URL of the TwiML is signed, whatever scheme the
    /// request came in with.
    pub fn verify_upgrade(&self, header: Option<&[u8]>, url: &str) -> Result<(), SignatureError> {
        self.verify(header, &upgrade_spellings(url), b"")
    }

    /// Every token is tried with every spelling of the URL, each in constant time.
    fn verify(
        &self,
        header: Option<&[u8]>,
        urls: &[String],
        fields: &[u8],
    ) -> Result<(), SignatureError> {
        let digest = digest_of(header.ok_or(SignatureError::Missing)?)?;
        let mut is_known = false;
        for token in &self.0 {
            for url in urls {
                let mac = mac(token.expose_secret().as_bytes(), url.as_bytes(), fields);
                is_known |= mac.verify_slice(&digest).is_ok();
            }
        }
        if is_known {
            Ok(())
        } else {
            Err(SignatureError::Mismatch)
        }
    }
}

/// The header's value for this URL and form, as Twilio would send it. For simulators and tests; without
/// a body the form is empty.
pub fn sign(token: &SecretString, url: &str, form: &Form) -> String {
    let key = token.expose_secret().as_bytes();
    let mac = mac(key, url.as_bytes(), &signed_fields(form));
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Names in byte order; the values of one name once each, sorted; empty values included; no separators.
fn signed_fields(form: &Form) -> Vec<u8> {
    let mut fields: BTreeMap<&[u8], BTreeSet<&[u8]>> = BTreeMap::new();
    for (name, value) in form.pairs() {
        fields.entry(name).or_default().insert(value);
    }
    let values = fields
        .iter()
        .flat_map(|(name, values)| values.iter().flat_map(|value| [*name, *value]));
    values.flatten().copied().collect()
}

fn body_hash_in(url: &str) -> Option<Vec<u8>> {
    let (_, query) = url.split_once('?')?;
    let query = Form::parse(query.split('#').next().unwrap_or_default().as_bytes());
    hex::decode(query.get(BODY_HASH)?.as_bytes()).ok()
}

fn digest_of(header: &[u8]) -> Result<[u8; DIGEST_BYTES], SignatureError> {
    STANDARD
        .decode(header)
        .ok()
        .and_then(|digest| digest.try_into().ok())
        .ok_or(SignatureError::Malformed)
}

/// Told in a time that does not depend on how much the two share.
fn is_same(ours: &[u8], theirs: &[u8]) -> bool {
    let ours = mac(b"comparison", ours, b"").finalize().into_bytes();
    mac(b"comparison", theirs, b"").verify_slice(&ours).is_ok()
}

fn mac(key: &[u8], url: &[u8], fields: &[u8]) -> Hmac<Sha1> {
    Hmac::<Sha1>::new_from_slice(key)
        .expect("HMAC takes a key of any length")
        .chain_update(url)
        .chain_update(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://voice.example.com/voice/webhook/voice?turn=1";

    fn tokens(list: &str) -> AuthTokens {
        AuthTokens::parse(&SecretString::from(list)).unwrap()
    }

    fn form(pairs: &[(&str, &str)]) -> Form {
        Form::from_pairs(pairs.iter().copied())
    }

    fn signed(token: &str, url: &str, pairs: &[(&str, &str)]) -> Vec<u8> {
        sign(&SecretString::from(token), url, &form(pairs)).into_bytes()
    }

    #[test]
    fn during_a_rotation_either_token_is_accepted_and_no_other() {
        for (token, expected) in [
            ("new", Ok(())),
            ("old", Ok(())),
            ("other", Err(SignatureError::Mismatch)),
        ] {
            let header = signed(token, URL, &[("A", "1")]);
            let verdict = tokens("new, old").verify_form(Some(&header), URL, &form(&[("A", "1")]));
            assert_eq!(verdict, expected, "{token}");
        }
    }

    #[test]
    fn a_list_without_a_token_is_refused() {
        for list in ["", " ", ",", " , "] {
            assert!(AuthTokens::parse(&SecretString::from(list)).is_err());
        }
    }

    #[test]
    fn a_name_that_comes_twice_counts_with_each_value_once_in_order() {
        assert_eq!(
            signed_fields(&form(&[("b", "2"), ("a", "x"), ("b", "1"), ("b", "2")])),
            b"axb1b2"
        );
    }

    #[test]
    fn empty_values_blanks_and_bytes_that_are_no_text_are_signed_as_they_are() {
        let raw = Form::parse(b"Empty=&Blank=+x+&Odd=%FF");
        assert_eq!(signed_fields(&raw), b"Blank x EmptyOdd\xFF");
    }

    #[test]
    fn one_changed_field_breaks_the_signature() {
        let header = signed("t", URL, &[("From", "+14155550101")]);
        let changed = form(&[("From", "+14155550102")]);

        assert_eq!(
            tokens("t").verify_form(Some(&header), URL, &changed),
            Err(SignatureError::Mismatch)
        );
        assert_eq!(
            tokens("t").verify_form(None, URL, &changed),
            Err(SignatureError::Missing)
        );
    }

    #[test]
    fn a_header_that_is_not_twenty_bytes_in_base64_is_malformed() {
        for header in [
            "",
            "AAAA",
            "not base64 at all, really!!",
            "bSjQTWZmB8b6dAUgWX7rOgTwyf4",
        ] {
            assert_eq!(
                tokens("t").verify_get(Some(header.as_bytes()), URL),
                Err(SignatureError::Malformed),
                "{header:?}"
            );
        }
    }

    #[test]
    fn a_body_without_its_hash_in_the_url_is_refused_though_the_url_is_signed() {
        let header = signed("t", URL, &[]);
        assert_eq!(
            tokens("t").verify_body(Some(&header), URL, b"{}"),
            Err(SignatureError::UnsignedBody)
        );
    }

    #[test]
    fn a_body_fits_its_hash_in_either_case_and_no_other_body_does() {
        let hash = hex::encode_upper(Sha256::digest(b"{}"));
        let url = format!("{URL}&bodySHA256={hash}");
        let header = signed("t", &url, &[]);

        assert_eq!(tokens("t").verify_body(Some(&header), &url, b"{}"), Ok(()));
        assert_eq!(
            tokens("t").verify_body(Some(&header), &url, b"[]"),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn an_upgrade_is_signed_over_the_wss_url_whatever_the_server_saw() {
        let header = signed("t", "wss://voice.example.com/voice/relay/abc", &[]);
        for seen in [
            "https://voice.example.com/voice/relay/abc",
            "wss://voice.example.com/voice/relay/abc",
            "wss://voice.example.com:443/voice/relay/abc",
        ] {
            assert_eq!(
                tokens("t").verify_upgrade(Some(&header), seen),
                Ok(()),
                "{seen}"
            );
        }
        assert_eq!(
            tokens("t").verify_upgrade(Some(&header), "https://voice.example.com/voice/relay/abd"),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn a_page_is_not_proven_by_the_signature_of_a_socket() {
        let header = signed("t", "wss://voice.example.com/x", &[]);
        assert_eq!(
            tokens("t").verify_get(Some(&header), "https://voice.example.com/x"),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn tokens_do_not_print() {
        assert!(!format!("{:?}", tokens("very-secret")).contains("very-secret"));
    }
}
