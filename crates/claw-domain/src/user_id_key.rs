use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Builder;

use crate::{Address, UserId};

/// Length of the key in bytes.
const KEY_BYTES: usize = 32;

/// Length of an id in bytes.
const ID_BYTES: usize = 16;

/// The text is not a key. The error does not contain the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hex digits")]
pub struct UserIdKeyError;

/// The secret key of an installation, with which the ids of its users are derived from their addresses. Without the
/// key an id does not give the number away; with another key every user would be a stranger.
#[derive(Clone)]
pub struct UserIdKey([u8; KEY_BYTES]);

impl UserIdKey {
    /// Reads the key from its hex digits.
    pub fn parse(digits: &str) -> Result<Self, UserIdKeyError> {
        let mut key = [0; KEY_BYTES];
        hex::decode_to_slice(digits, &mut key).map_err(|_| UserIdKeyError)?;
        Ok(Self(key))
    }

    /// The id of the user at `address`, the same on every channel. It is derived without a look-up, so every process
    /// with the key gets the same id.
    pub fn user_of(&self, address: &Address) -> UserId {
        let digest = match address {
            Address::Phone(phone) => self.digest("phone", phone.canonical().expose_e164()),
            Address::WhatsApp(id) => self.digest("whatsapp", id.expose()),
        };
        UserId::from_uuid(Builder::from_custom_bytes(digest).into_uuid())
    }

    /// A value by which a process recognizes the key that an installation began with. It does not give the key away.
    pub fn check_value(&self) -> String {
        hex::encode(self.digest("check", "clawkaka"))
    }

    /// The first half of the HMAC-SHA-256 of a value of this kind.
    fn digest(&self, kind: &str, value: &str) -> [u8; ID_BYTES] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes any key");
        mac.update(format!("{kind}:{value}").as_bytes());
        let mut half = [0; ID_BYTES];
        let whole = mac.finalize().into_bytes();
        half.copy_from_slice(&whole[..ID_BYTES]);
        half
    }
}

impl fmt::Debug for UserIdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserIdKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PhoneNumber, WhatsAppUserId};

    #[test]
    fn an_installation_always_derives_the_same_id_and_another_one_derives_another() {
        let ada = phone("15551234567");

        assert_eq!(
            key('0').user_of(&ada).to_string(),
            "usr_5aaba68616a387b2a2cfbbbe7016e34e"
        );
        assert_ne!(key('1').user_of(&ada), key('0').user_of(&ada));
    }

    #[test]
    fn whatsapp_s_and_twilio_s_spelling_of_a_number_give_the_same_user() {
        for (whatsapp, twilio) in [
            ("4915112345678", "+4915112345678"),
            ("5215512345678", "+525512345678"),
            ("553187654321", "+5531987654321"),
        ] {
            assert_eq!(
                key('0').user_of(&phone(whatsapp)),
                key('0').user_of(&phone(twilio)),
                "{twilio}"
            );
        }
    }

    #[test]
    fn a_business_scoped_id_of_the_same_digits_is_another_user() {
        let id = WhatsAppUserId::try_from("+15551234567").unwrap();

        assert_ne!(
            key('0').user_of(&Address::WhatsApp(id)),
            key('0').user_of(&phone("15551234567"))
        );
    }

    #[test]
    fn the_check_value_recognizes_a_key_and_is_no_user() {
        assert_eq!(key('0').check_value(), "d6986134bcf8ca801a88166c8efee810");
        assert_ne!(key('1').check_value(), key('0').check_value());
    }

    #[test]
    fn a_malformed_key_is_refused_and_no_key_is_printed() {
        for digits in ["", "00", &"g".repeat(64), &"0".repeat(66)] {
            assert_eq!(UserIdKey::parse(digits).unwrap_err(), UserIdKeyError);
        }
        assert_eq!(format!("{:?}", key('0')), "UserIdKey(…)");
    }

    fn key(digit: char) -> UserIdKey {
        UserIdKey::parse(&digit.to_string().repeat(64)).unwrap()
    }

    fn phone(number: &str) -> Address {
        Address::Phone(PhoneNumber::try_from(number).unwrap())
    }
}
