use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

/// Largest difference between `signedAt` and OpenClaw's clock.
const TOLERANCE_MS: i64 = 120_000;

/// A device's signature and the values that it covers, as in `connect`.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) device_id: &'a str,
    pub(crate) public_key: &'a str,
    pub(crate) signature: &'a str,
    pub(crate) at_ms: i64,
    pub(crate) nonce: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) client_mode: &'a str,
    pub(crate) role: &'a str,
    pub(crate) scopes: &'a [String],
    pub(crate) token: &'a str,
    pub(crate) platform: &'a str,
    pub(crate) device_family: &'a str,
}

/// The reason for which a device's signature is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceError {
    IdMismatch,
    Expired,
    NonceMismatch,
    Signature,
}

impl DeviceError {
    /// The message, `details.code` and `details.reason` of the refusal.
    pub(crate) fn texts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::IdMismatch => (
                "device identity mismatch",
                "DEVICE_AUTH_DEVICE_ID_MISMATCH",
                "device-id-mismatch",
            ),
            Self::Expired => (
                "device signature expired",
                "DEVICE_AUTH_SIGNATURE_EXPIRED",
                "device-signature-stale",
            ),
            Self::NonceMismatch => (
                "device nonce mismatch",
                "DEVICE_AUTH_NONCE_MISMATCH",
                "device-nonce-mismatch",
            ),
            Self::Signature => (
                "device signature invalid",
                "DEVICE_AUTH_SIGNATURE_INVALID",
                "device-signature",
            ),
        }
    }
}

/// Checks id, age, nonce and signature, in OpenClaw's order.
pub(crate) fn check(signed: &Signed, nonce: &str, now_ms: i64) -> Result<(), DeviceError> {
    let public_key = decode(signed.public_key).ok_or(DeviceError::IdMismatch)?;
    if hex::encode(Sha256::digest(&public_key)) != signed.device_id {
        return Err(DeviceError::IdMismatch);
    }
    if signed.at_ms.abs_diff(now_ms) > TOLERANCE_MS.unsigned_abs() {
        return Err(DeviceError::Expired);
    }
    if signed.nonce != nonce {
        return Err(DeviceError::NonceMismatch);
    }
    if is_signed(signed, &public_key) {
        Ok(())
    } else {
        Err(DeviceError::Signature)
    }
}

fn is_signed(signed: &Signed, public_key: &[u8]) -> bool {
    let Ok(public_key) = <&[u8; 32]>::try_from(public_key) else {
        return false;
    };
    let Ok(key) = VerifyingKey::from_bytes(public_key) else {
        return false;
    };
    let Some(signature) = decode(signed.signature) else {
        return false;
    };
    let Ok(signature) = Signature::from_slice(&signature) else {
        return false;
    };
    let v2 = payload(signed, "v2");
    let platform = signed.platform.trim().to_lowercase();
    let family = signed.device_family.trim().to_lowercase();
    let v3 = format!("{}|{platform}|{family}", payload(signed, "v3"));
    [v3, v2]
        .iter()
        .any(|payload| key.verify_strict(payload.as_bytes(), &signature).is_ok())
}

fn payload(signed: &Signed, version: &str) -> String {
    format!(
        "{version}|{}|{}|{}|{}|{}|{}|{}|{}",
        signed.device_id,
        signed.client_id,
        signed.client_mode,
        signed.role,
        signed.scopes.join(","),
        signed.at_ms,
        signed.token,
        signed.nonce,
    )
}

/// Decodes base64 in the URL-safe or the standard alphabet.
fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD
        .decode(text)
        .or_else(|_| STANDARD.decode(text))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "5197d6c5-7d3c-4f7c-ad1c-0b5c7b00a95a";
    const AT_MS: i64 = 1_795_327_141_510;

    #[test]
    fn the_recorded_signatures_of_both_versions_are_accepted() {
        let scopes = scopes();
        for signature in [V3, V2] {
            assert_eq!(check(&recorded(signature, &scopes), NONCE, AT_MS), Ok(()));
        }
    }

    #[test]
    fn every_changed_field_is_refused_with_its_own_error() {
        let scopes = scopes();
        let mut reordered = scopes.clone();
        reordered.reverse();
        let wrong_token = Signed {
            token: "another",
            ..recorded(V3, &scopes)
        };
        let id = Signed {
            device_id: "00",
            ..recorded(V3, &scopes)
        };

        let check_now = |signed: &Signed| check(signed, NONCE, AT_MS).unwrap_err();
        assert_eq!(check_now(&recorded(V3, &reordered)), DeviceError::Signature);
        assert_eq!(check_now(&wrong_token), DeviceError::Signature);
        assert_eq!(check_now(&id), DeviceError::IdMismatch);
        let good = recorded(V3, &scopes);
        assert_eq!(
            check(&good, "other", AT_MS),
            Err(DeviceError::NonceMismatch)
        );
        assert_eq!(check(&good, NONCE, AT_MS + 120_000), Ok(()));
        assert_eq!(
            check(&good, NONCE, AT_MS + 120_001),
            Err(DeviceError::Expired)
        );
    }

    const V2: &str =
        "yAa9sJbRXFzYgyPXCCKfFEiHRRLHoe8adI-FB_W0owEqM8k5X_N5zWoTDRQWkBgotjGyaL67sSMeFvqFj89yAQ";
    const V3: &str =
        "4uGQ4XzghNAuLRHFgSjCpl60Fc-5ZQDPXNj57Gniz_HA68Dl5Xl74wdpKvtAvJb7FlNQ0cNc1V1g7IlWfwx5Ag";

    fn scopes() -> Vec<String> {
        ["operator.read", "operator.write", "operator.admin"]
            .map(str::to_owned)
            .to_vec()
    }

    fn recorded<'a>(signature: &'a str, scopes: &'a [String]) -> Signed<'a> {
        Signed {
            device_id: "fe812c12f3ab4ce6ac5db69ac352f906cb1b11ef43fb33e252ef7ff552263889",
            public_key: "6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw",
            signature,
            at_ms: AT_MS,
            nonce: NONCE,
            client_id: "gateway-client",
            client_mode: "backend",
            role: "operator",
            scopes,
            token: "FAKE-GATEWAY-TOKEN",
            platform: "linux",
            device_family: "",
        }
    }
}
