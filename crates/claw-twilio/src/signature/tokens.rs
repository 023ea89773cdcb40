use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use claw_domain::{NoSecret, SecretList};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;

use super::url::{spellings, upgrade_spellings};
use crate::form::Form;

/// The header with the signature.
pub const HEADER: &str = "x-twilio-signature";

/// The header whose value is the same on every retry of a request.
pub const IDEMPOTENCY_HEADER: &str = "i-twilio-idempotency-token";

/// Length of a SHA-1 digest.
const DIGEST_BYTES: usize = 20;

/// The value of a signature header, not yet compared with a request.
#[derive(Debug, Clone, Copy)]
pub struct Signature([u8; DIGEST_BYTES]);

/// The account's auth tokens that we accept: one, or two while the primary one is being rotated.
#[derive(Debug, Clone)]
pub struct AuthTokens(SecretList);

/// Why a signature was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature header.
    #[error("the signature header is missing")]
    Missing,
    /// The header is not the base64 encoding of 20 bytes.
    #[error("the signature header is malformed")]
    Malformed,
    /// None of our tokens produces this signature. The usual cause is a wrong public URL.
    #[error("the signature does not match the request")]
    Mismatch,
}

impl Signature {
    /// Reads the header, which needs no body: a request without a well-formed one can be refused at once.
    pub fn parse(header: Option<&[u8]>) -> Result<Self, SignatureError> {
        let digest = STANDARD.decode(header.ok_or(SignatureError::Missing)?).ok();
        digest
            .and_then(|digest| digest.try_into().ok())
            .map(Self)
            .ok_or(SignatureError::Malformed)
    }
}

impl AuthTokens {
    /// Reads a comma-separated list of tokens.
    pub fn parse(list: &SecretString) -> Result<Self, NoSecret> {
        SecretList::parse(list).map(Self)
    }

    /// Checks a form POST. The signature covers the URL, then every field's name and value, sorted by name.
    pub fn verify_form(
        &self,
        signature: Signature,
        url: &str,
        form: &Form,
    ) -> Result<(), SignatureError> {
        self.verify(signature, &spellings(url), &signed_fields(form))
    }

    /// Checks a WebSocket upgrade. The signature covers the `wss://` URL from the TwiML, whatever scheme the
    /// request arrived with.
    pub fn verify_upgrade(&self, signature: Signature, url: &str) -> Result<(), SignatureError> {
        self.verify(signature, &upgrade_spellings(url), b"")
    }

    /// Tries every token with every spelling of the URL, each in constant time.
    fn verify(
        &self,
        signature: Signature,
        urls: &[String],
        fields: &[u8],
    ) -> Result<(), SignatureError> {
        let mut is_known = false;
        for token in self.0.expose() {
            for url in urls {
                let mac = mac(token.as_bytes(), url.as_bytes(), fields);
                is_known |= mac.verify_slice(&signature.0).is_ok();
            }
        }
        if is_known {
            Ok(())
        } else {
            Err(SignatureError::Mismatch)
        }
    }
}

/// The header value that Twilio would send for this URL and form, for simulators and tests. The form of a
/// request without a body is empty.
pub fn sign(token: &SecretString, url: &str, form: &Form) -> String {
    let key = token.expose_secret().as_bytes();
    let mac = mac(key, url.as_bytes(), &signed_fields(form));
    STANDARD.encode(mac.finalize().into_bytes())
}

/// The signed bytes of a form: names in byte order, each followed by its distinct values in byte order, without
/// separators.
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

    fn signed(token: &str, url: &str, pairs: &[(&str, &str)]) -> Signature {
        let header = sign(&SecretString::from(token), url, &form(pairs));
        Signature::parse(Some(header.as_bytes())).unwrap()
    }

    #[test]
    fn during_a_rotation_either_token_is_accepted_and_no_other() {
        for (token, expected) in [
            ("new", Ok(())),
            ("old", Ok(())),
            ("other", Err(SignatureError::Mismatch)),
        ] {
            let header = signed(token, URL, &[("A", "1")]);
            let verdict = tokens("new, old").verify_form(header, URL, &form(&[("A", "1")]));
            assert_eq!(verdict, expected, "{token}");
        }
    }

    #[test]
    fn a_repeated_name_is_signed_with_its_distinct_values_in_order() {
        assert_eq!(
            signed_fields(&form(&[("b", "2"), ("a", "x"), ("b", "1"), ("b", "2")])),
            b"axb1b2"
        );
    }

    #[test]
    fn empty_values_spaces_and_invalid_utf8_are_signed_unchanged() {
        let raw = Form::parse(b"Empty=&Blank=+x+&Odd=%FF");
        assert_eq!(signed_fields(&raw), b"Blank x EmptyOdd\xFF");
    }

    #[test]
    fn one_changed_field_breaks_the_signature() {
        let header = signed("t", URL, &[("From", "+14155550101")]);
        let changed = form(&[("From", "+14155550102")]);

        assert_eq!(
            tokens("t").verify_form(header, URL, &changed),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn a_header_that_is_not_twenty_base64_bytes_is_malformed() {
        for header in [
            "",
            "AAAA",
            "not base64 at all, really!!",
            "bSjQTWZmB8b6dAUgWX7rOgTwyf4",
        ] {
            assert_eq!(
                Signature::parse(Some(header.as_bytes())).err(),
                Some(SignatureError::Malformed),
                "{header:?}"
            );
        }
        assert_eq!(Signature::parse(None).err(), Some(SignatureError::Missing));
    }

    #[test]
    fn an_upgrade_is_verified_against_the_wss_url_whatever_its_scheme_and_port() {
        let header = signed("t", "wss://voice.example.com/voice/relay/abc", &[]);
        for seen in [
            "https://voice.example.com/voice/relay/abc",
            "wss://voice.example.com/voice/relay/abc",
            "wss://voice.example.com:443/voice/relay/abc",
        ] {
            assert_eq!(tokens("t").verify_upgrade(header, seen), Ok(()), "{seen}");
        }
        assert_eq!(
            tokens("t").verify_upgrade(header, "https://voice.example.com/voice/relay/abd"),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn the_signature_of_an_upgrade_does_not_verify_a_form() {
        let header = signed("t", "wss://voice.example.com/x", &[]);
        assert_eq!(
            tokens("t").verify_form(header, "https://voice.example.com/x", &form(&[])),
            Err(SignatureError::Mismatch)
        );
    }
}
