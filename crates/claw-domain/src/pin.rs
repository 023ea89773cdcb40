use std::fmt;

/// Smallest number of digits of a PIN.
const PIN_DIGITS_MIN: usize = 4;
/// Largest number of digits of a PIN.
const PIN_DIGITS_MAX: usize = 8;

/// The text is not a PIN. The error does not contain the text, which may be a PIN with a typing error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a PIN has {PIN_DIGITS_MIN} to {PIN_DIGITS_MAX} digits")]
pub struct PinError;

/// A PIN with which a caller proves who they are if their number does not. It cannot be printed, serialized or
/// compared; only the store, which keeps it encrypted, checks it.
#[derive(Clone)]
pub struct Pin(String);

impl Pin {
    /// The number of digits of the longest PIN.
    pub const MAX_DIGITS: usize = PIN_DIGITS_MAX;

    /// The digits. For the store only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Pin {
    type Error = PinError;

    fn try_from(text: &str) -> Result<Self, PinError> {
        let is_pin = (PIN_DIGITS_MIN..=PIN_DIGITS_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit());
        is_pin.then(|| Self(text.to_owned())).ok_or(PinError)
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_has_four_to_eight_digits_and_nothing_else() {
        for pin in ["0000", "12345678"] {
            assert_eq!(Pin::try_from(pin).unwrap().expose(), pin);
        }
        for text in ["", "123", "123456789", "12 34", "12a4", "+1234", "١٢٣٤"] {
            assert_eq!(Pin::try_from(text).unwrap_err(), PinError, "{text:?}");
        }
    }

    #[test]
    fn debug_output_hides_a_pin() {
        assert_eq!(format!("{:?}", Pin::try_from("4711").unwrap()), "…");
    }
}
