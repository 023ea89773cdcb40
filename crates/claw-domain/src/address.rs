use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text could not be parsed as an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not 6 to 15 digits with an optional leading `+`.
    #[error("a phone number has 6 to 15 digits after an optional +")]
    PhoneNumber,
    /// Empty, too long, or with blanks or control characters.
    #[error(
        "a business-scoped user id has 1 to {MAX_USER_ID_CHARS} printable characters without blanks"
    )]
    WhatsAppUserId,
}

/// Longest business-scoped id we accept: Meta documents a country code, a dot, and up to 128
/// characters, with a further `ENT.` in the parent form.
const MAX_USER_ID_CHARS: usize = 160;

/// A phone number in E.164. WhatsApp's `4915…` and Twilio's `+4915…` are the same number.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// The number with its leading `+`. For a channel's API or our own row; never for a log.
    pub fn expose_e164(&self) -> &str {
        &self.0
    }

    /// The number without its `+`, as WhatsApp's API takes it.
    pub fn expose_digits(&self) -> &str {
        &self.0[1..]
    }

    /// The same number as the phone network writes it. WhatsApp writes some numbers of Mexico with one digit more,
    /// and some of Brazil with one less. Compare numbers of different channels in this form only.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let digits = self.expose_digits();
        if let Some(national) = digits.strip_prefix("521")
            && national.len() == 10
        {
            return Self(format!("+52{national}"));
        }
        if let Some(national) = digits.strip_prefix("55")
            && let Some((area, subscriber)) = national.split_at_checked(2)
            && subscriber.len() == 8
            && subscriber.starts_with(['6', '7', '8', '9'])
        {
            return Self(format!("+55{area}9{subscriber}"));
        }
        self.clone()
    }
}

impl TryFrom<&str> for PhoneNumber {
    type Error = AddressError;

    fn try_from(text: &str) -> Result<Self, AddressError> {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let plausible =
            (6..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if plausible {
            Ok(Self(format!("+{digits}")))
        } else {
            Err(AddressError::PhoneNumber)
        }
    }
}

impl TryFrom<String> for PhoneNumber {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::try_from(text.as_str())
    }
}

impl From<PhoneNumber> for String {
    fn from(phone: PhoneNumber) -> Self {
        phone.0
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("+…")
    }
}

/// A business-scoped user id, an opaque text. WhatsApp sends it for users who hide their number.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WhatsAppUserId(String);

impl WhatsAppUserId {
    /// The id as Meta wrote it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for WhatsAppUserId {
    type Error = AddressError;

    fn try_from(text: &str) -> Result<Self, AddressError> {
        let plausible = (1..=MAX_USER_ID_CHARS).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic());
        if plausible {
            Ok(Self(text.to_owned()))
        } else {
            Err(AddressError::WhatsAppUserId)
        }
    }
}

impl TryFrom<String> for WhatsAppUserId {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::try_from(text.as_str())
    }
}

impl From<WhatsAppUserId> for String {
    fn from(id: WhatsAppUserId) -> Self {
        id.0
    }
}

impl fmt::Debug for WhatsAppUserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Where a user can be reached. If both forms are known, the number is used: it also identifies the user's phone
/// calls, and it is the same in every business portfolio.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// A phone number, valid for WhatsApp and for calls.
    Phone(PhoneNumber),
    /// WhatsApp's own id of a user with a hidden number.
    #[serde(rename = "whatsapp")]
    WhatsApp(WhatsAppUserId),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_that_whatsapp_and_the_phone_network_spell_differently_have_one_canonical_form() {
        for (spelling, canonical) in [
            // Mexico: WhatsApp writes the 1 that once marked mobile numbers.
            ("5215512345678", "+525512345678"),
            ("525512345678", "+525512345678"),
            // Brazil: WhatsApp omits the 9 that mobile numbers begin with.
            ("553187654321", "+5531987654321"),
            ("5531987654321", "+5531987654321"),
            // A Brazilian landline, and numbers that only look similar.
            ("553132654321", "+553132654321"),
            ("52155123456", "+52155123456"),
            ("15215512345", "+15215512345"),
        ] {
            let phone = PhoneNumber::try_from(spelling).unwrap();
            assert_eq!(phone.canonical().expose_e164(), canonical, "{spelling}");
            assert_eq!(phone.canonical().canonical(), phone.canonical());
        }
    }

    #[test]
    fn a_text_that_is_not_a_number_is_refused() {
        for text in [
            "",
            "+",
            "12345",
            "anonymous",
            "+49 151",
            "1234567890123456",
            "٤٩١٥١١٢٣٤",
        ] {
            assert_eq!(
                PhoneNumber::try_from(text),
                Err(AddressError::PhoneNumber),
                "{text:?}"
            );
        }
    }

    #[test]
    fn debug_output_hides_addresses() {
        let phone = Address::Phone(PhoneNumber::try_from("15551234567").unwrap());
        let hidden =
            Address::WhatsApp(WhatsAppUserId::try_from("US.13491208655302741918").unwrap());

        assert_eq!(format!("{phone:?} {hidden:?}"), "Phone(+…) WhatsApp(…)");
    }

    proptest! {
        #[test]
        fn a_parsed_number_keeps_its_digits(digits in "[1-9][0-9]{5,14}") {
            let phone = PhoneNumber::try_from(digits.as_str()).unwrap();
            prop_assert_eq!(phone.expose_digits(), digits.as_str());
            prop_assert_eq!(PhoneNumber::try_from(phone.expose_e164()).unwrap(), phone);
        }
    }
}
