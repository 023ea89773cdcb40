use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer, SigningKey};
use rand::{rand_core::UnwrapErr, rngs::SysRng};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::{Digest, Sha256};

/// The Ed25519 key that proves to OpenClaw who we are. The key bytes are wiped on drop.
#[derive(Clone)]
pub struct DeviceKey {
    signing: SigningKey,
}

/// The fields that a signature covers, under OpenClaw's names. Each must equal its counterpart in
/// `connect`, and the scopes must be in the same order.
pub(crate) struct SignedFields<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) client_mode: &'a str,
    pub(crate) role: &'a str,
    pub(crate) scopes: &'a [&'a str],
    /// Milliseconds since 1970: the `ts` of the challenge. OpenClaw tolerates 120 s.
    pub(crate) signed_at_ms: u64,
    pub(crate) token: &'a SecretString,
    /// The nonce of the challenge; valid for one connection.
    pub(crate) nonce: &'a str,
    /// The platform that `connect` names, but in lower case.
    pub(crate) platform: &'a str,
}

impl DeviceKey {
    /// A new key from the operating system's random numbers. Panics if they are not available.
    pub fn generate() -> Self {
        Self {
            signing: SigningKey::generate(&mut UnwrapErr(SysRng)),
        }
    }

    /// The key derived from `seed`.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self {
            signing: SigningKey::from_bytes(seed),
        }
    }

    /// The seed, for encrypted storage.
    pub fn seed(&self) -> SecretBox<[u8; 32]> {
        SecretBox::init_with(|| self.signing.to_bytes())
    }

    /// The device id: lower-case hex of the SHA-256 of the public key.
    pub fn id(&self) -> String {
        hex::encode(Sha256::digest(self.signing.verifying_key().as_bytes()))
    }

    /// The public key in the encoding of `connect` and of the approver inside the container.
    pub fn public_key_base64url(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.signing.verifying_key().as_bytes())
    }

    /// The signature of a handshake's v3 payload, as base64url without padding.
    pub(crate) fn sign(&self, fields: &SignedFields<'_>) -> String {
        let payload = self.payload(fields);
        URL_SAFE_NO_PAD.encode(
            self.signing
                .sign(payload.expose_secret().as_bytes())
                .to_bytes(),
        )
    }

    /// The last field, the device family, stays empty.
    fn payload(&self, fields: &SignedFields<'_>) -> SecretString {
        SecretString::from(format!(
            "v3|{}|{}|{}|{}|{}|{}|{}|{}|{}|",
            self.id(),
            fields.client_id,
            fields.client_mode,
            fields.role,
            fields.scopes.join(","),
            fields.signed_at_ms,
            fields.token.expose_secret(),
            fields.nonce,
            fields.platform,
        ))
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_recorded_signature_is_reproduced_exactly() {
        let vector = vector();
        let token = SecretString::from("FAKE-GATEWAY-TOKEN");
        let fields = fields(&token);
        let key = DeviceKey::from_seed(&[7; 32]);

        assert_eq!(key.id(), vector["fields"]["deviceId"]);
        assert_eq!(key.public_key_base64url(), vector["publicKeyBase64Url"]);
        assert_eq!(key.payload(&fields).expose_secret(), vector["payloadV3"]);
        assert_eq!(key.sign(&fields), vector["signatureV3"]);
    }

    #[test]
    fn a_key_restored_from_its_seed_is_the_same_device() {
        let key = DeviceKey::generate();

        let again = DeviceKey::from_seed(key.seed().expose_secret());

        assert_eq!(again.id(), key.id());
    }

    #[test]
    fn two_new_keys_differ() {
        assert_ne!(DeviceKey::generate().id(), DeviceKey::generate().id());
    }

    #[test]
    fn a_printed_key_shows_its_id_and_not_its_seed() {
        let key = DeviceKey::from_seed(&[7; 32]);

        assert_eq!(format!("{key:?}"), format!("DeviceKey({})", key.id()));
    }

    fn fields(token: &SecretString) -> SignedFields<'_> {
        SignedFields {
            client_id: "gateway-client",
            client_mode: "backend",
            role: "operator",
            scopes: &["operator.read", "operator.write", "operator.admin"],
            signed_at_ms: 1_795_327_141_510,
            token,
            nonce: "5197d6c5-7d3c-4f7c-ad1c-0b5c7b00a95a",
            platform: "linux",
        }
    }

    fn vector() -> Value {
        serde_json::from_str(include_str!(
            "../tests/captures/device-signature-vectors.json"
        ))
        .unwrap()
    }
}
