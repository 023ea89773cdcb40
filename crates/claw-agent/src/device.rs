use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer, SigningKey};
use rand::{rand_core::UnwrapErr, rngs::SysRng};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::{Digest, Sha256};

/// The Ed25519 key that proves to a gateway who we are. The key bytes are wiped when it is dropped.
#[derive(Clone)]
pub struct DeviceKey {
    signing: SigningKey,
}

/// What a signature covers, in the words of the gateway. Everything must equal what `connect`
/// sends, `scopes` in the same order.
pub struct SignedFields<'a> {
    /// `client.id`.
    pub client_id: &'a str,
    /// `client.mode`.
    pub client_mode: &'a str,
    /// `role`.
    pub role: &'a str,
    /// `scopes`.
    pub scopes: &'a [&'a str],
    /// Milliseconds since 1970; the challenge's own `ts`. The gateway tolerates 120 s.
    pub signed_at_ms: u64,
    /// `auth.token`.
    pub token: &'a SecretString,
    /// The challenge's nonce; good for one connection.
    pub nonce: &'a str,
    /// `client.platform`, lower case. A device approved under one platform must keep it.
    pub platform: &'a str,
}

impl DeviceKey {
    /// A new key from the operating system's randomness. Panics if there is none.
    pub fn generate() -> Self {
        Self {
            signing: SigningKey::generate(&mut UnwrapErr(SysRng)),
        }
    }

    /// The key of this seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self {
            signing: SigningKey::from_bytes(seed),
        }
    }

    /// The seed, to be sealed and stored.
    pub fn seed(&self) -> SecretBox<[u8; 32]> {
        SecretBox::init_with(|| self.signing.to_bytes())
    }

    /// The device id: lower-case hex of the SHA-256 of the public key.
    pub fn id(&self) -> String {
        hex::encode(Sha256::digest(self.signing.verifying_key().as_bytes()))
    }

    /// The public key as `connect` and the container's approver spell it.
    pub fn public_key_base64url(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.signing.verifying_key().as_bytes())
    }

    /// Signs the v3 payload of a handshake; base64url without padding.
    pub fn sign(&self, fields: &SignedFields<'_>) -> String {
        let payload = self.payload(fields);
        URL_SAFE_NO_PAD.encode(
            self.signing
                .sign(payload.expose_secret().as_bytes())
                .to_bytes(),
        )
    }

    /// The last field is the device family, which we do not state.
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
    fn the_recorded_vector_is_reproduced_to_the_last_byte() {
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
    fn a_key_made_again_from_its_seed_is_the_same_device() {
        let key = DeviceKey::generate();

        let again = DeviceKey::from_seed(key.seed().expose_secret());

        assert_eq!(again.id(), key.id());
    }

    #[test]
    fn two_new_keys_differ() {
        assert_ne!(DeviceKey::generate().id(), DeviceKey::generate().id());
    }

    #[test]
    fn printing_a_key_shows_its_id_and_nothing_of_the_seed() {
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
