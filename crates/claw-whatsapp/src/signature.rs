//! Verification of Meta's webhook signature: HMAC-SHA256 over the body as sent.
//!
//! Meta escapes non-ASCII characters before it signs the body. A body that was parsed and serialized again has
//! another signature, so verification needs the raw bytes.

use claw_domain::{NoSecret, SecretList};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The header with the signature. The older SHA-1 header is ignored.
pub const HEADER: &str = "x-hub-signature-256";

const PREFIX: &str = "sha256=";

/// Length of a SHA-256 digest.
const DIGEST_BYTES: usize = 32;

/// The value of a signature header, not yet compared with a body.
#[derive(Debug, Clone, Copy)]
pub struct Signature([u8; DIGEST_BYTES]);

/// The app secrets that we accept: one, or two during a rotation.
#[derive(Debug, Clone)]
pub struct AppSecrets(SecretList);

/// Why a signature was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature header.
    #[error("the signature header is missing")]
    Missing,
    /// The header is not `sha256=` and 64 hex digits.
    #[error("the signature header is malformed")]
    Malformed,
    /// None of our secrets produces this signature.
    #[error("the signature does not match the body")]
    Mismatch,
}

impl Signature {
    /// Reads the header, which needs no body: a request without a well-formed one can be refused at once.
    pub fn parse(header: Option<&[u8]>) -> Result<Self, SignatureError> {
        let header = header.ok_or(SignatureError::Missing)?;
        let digits = header
            .strip_prefix(PREFIX.as_bytes())
            .ok_or(SignatureError::Malformed)?;
        let mut digest = [0; DIGEST_BYTES];
        hex::decode_to_slice(digits, &mut digest).map_err(|_| SignatureError::Malformed)?;
        Ok(Self(digest))
    }
}

impl AppSecrets {
    /// Reads a comma-separated list of secrets.
    pub fn parse(list: &SecretString) -> Result<Self, NoSecret> {
        SecretList::parse(list).map(Self)
    }

    /// Checks a signature against the body exactly as received. Tries every secret, each in constant time.
    pub fn verify(&self, signature: Signature, body: &[u8]) -> Result<(), SignatureError> {
        let mut is_known = false;
        for secret in self.0.expose() {
            is_known |= mac(secret.as_bytes(), body)
                .verify_slice(&signature.0)
                .is_ok();
        }
        if is_known {
            Ok(())
        } else {
            Err(SignatureError::Mismatch)
        }
    }
}

/// The header value that Meta would send for this body, for simulators and tests.
pub fn sign(secret: &SecretString, body: &[u8]) -> String {
    let digest = mac(secret.expose_secret().as_bytes(), body)
        .finalize()
        .into_bytes();
    format!("{PREFIX}{}", hex::encode(digest))
}

/// Whether two secrets are equal. The time taken does not depend on how much of them is equal.
pub(crate) fn is_same_secret(ours: &[u8], theirs: &[u8]) -> bool {
    let ours = mac(b"comparison", ours).finalize().into_bytes();
    mac(b"comparison", theirs).verify_slice(&ours).is_ok()
}

fn mac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key)
        .expect("HMAC takes a key of any length")
        .chain_update(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"object":"whatsapp_business_account"}"#;

    fn secrets(list: &str) -> AppSecrets {
        AppSecrets::parse(&SecretString::from(list)).unwrap()
    }

    fn header(secret: &str) -> String {
        sign(&SecretString::from(secret), BODY)
    }

    fn signed_with(secret: &str) -> Signature {
        Signature::parse(Some(header(secret).as_bytes())).unwrap()
    }

    #[test]
    fn during_a_rotation_either_secret_is_accepted_and_no_other() {
        let secrets = secrets("new, old");

        for secret in ["new", "old"] {
            assert_eq!(secrets.verify(signed_with(secret), BODY), Ok(()));
        }
        assert_eq!(
            secrets.verify(signed_with("other"), BODY),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn one_changed_byte_breaks_the_signature() {
        let mut body = BODY.to_vec();
        body[0] = b'[';

        assert_eq!(
            secrets("s").verify(signed_with("s"), &body),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn a_header_of_another_form_is_malformed() {
        let good = header("s");
        for header in [
            "",
            "sha256=",
            &good["sha256=".len()..],
            &good.replace("sha256", "sha1"),
            &good[..good.len() - 2],
            &format!("{good}00"),
            &format!(" {good}"),
            &good.replace("sha256=", "SHA256="),
            &format!("sha256={}", "g".repeat(64)),
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
    fn secrets_are_compared_whole() {
        assert!(is_same_secret(b"vibecoding", b"vibecoding"));
        assert!(!is_same_secret(b"vibecoding", b"vibecodin"));
        assert!(!is_same_secret(b"vibecoding", b""));
    }
}
