use claw_domain::{PhoneNumber, Trust};

/// The caller, as told by the fields `From` and `StirVerstat`. Twilio describes them on its pages about
/// requests for TwiML and about trusted calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The caller shows a phone number.
    Known {
        /// The number shown, as the carrier gave it to Twilio.
        phone: PhoneNumber,
        /// Whether the caller is trusted to own that number.
        trust: Trust,
    },
    /// There is no usable number: the caller withholds it, calls from a SIP address, or shows something that is
    /// not a phone number.
    Hidden,
}

/// The numbers that carriers send in place of a withheld one: a word, spelled on a telephone keypad.
const WITHHELD: [(&str, &str); 5] = [
    ("ANONYMOUS", "266696687"),
    ("RESTRICTED", "7378742833"),
    ("BLOCKED", "2562533"),
    ("UNKNOWN", "8656696"),
    ("UNAVAILABLE", "86282452253"),
];

/// RESTRICTED has ten digits, and some carriers prefix their country code. The result could be a real number;
/// its owner is then treated as hidden and asked for a PIN. The alternative is worse: all callers with hidden
/// numbers would share one assistant.
const RESTRICTED_WITH_COUNTRY: &str = "17378742833";

/// Prefix of `StirVerstat` when verification failed, at any attestation level.
const FAILED: &str = "TN-Validation-Failed";

impl Caller {
    /// Reads the two fields; either may be absent. Only a failed verification makes a number untrusted.
    pub fn read(from: Option<&str>, stir_verstat: Option<&str>) -> Self {
        let Some(phone) = from.and_then(shown_number) else {
            return Self::Hidden;
        };
        let has_failed = stir_verstat.is_some_and(|verdict| verdict.trim().starts_with(FAILED));
        let trust = if has_failed {
            Trust::Unverified
        } else {
            Trust::Trusted
        };
        Self::Known { phone, trust }
    }
}

fn shown_number(from: &str) -> Option<PhoneNumber> {
    let phone = PhoneNumber::try_from(from.trim()).ok()?;
    let is_withheld = WITHHELD
        .iter()
        .any(|(_, keys)| *keys == phone.expose_digits())
        || phone.expose_digits() == RESTRICTED_WITH_COUNTRY;
    (!is_withheld).then_some(phone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(phone: &str, trust: Trust) -> Caller {
        let phone = PhoneNumber::try_from(phone).unwrap();
        Caller::Known { phone, trust }
    }

    #[test]
    fn a_withheld_number_is_hidden_in_every_spelling() {
        for from in [
            "",
            " ",
            "anonymous",
            "Anonymous",
            "Restricted",
            "unknown",
            "+266696687",
            "266696687",
            "+7378742833",
            "+17378742833",
            "+2562533",
            "+8656696",
            "+86282452253",
            "sip:alice@example.com",
            "client:alice",
            "12345",
        ] {
            assert_eq!(Caller::read(Some(from), None), Caller::Hidden, "{from:?}");
        }
        assert_eq!(
            Caller::read(None, Some("TN-Validation-Passed-A")),
            Caller::Hidden
        );
    }

    #[test]
    fn the_digits_of_withheld_numbers_spell_their_words() {
        for (word, keys) in WITHHELD {
            let typed: String = word.chars().map(key_of).collect();
            assert_eq!(typed, keys, "{word}");
        }
    }

    #[test]
    fn only_a_failed_verification_makes_a_number_untrusted() {
        let phone = "+14155550101";
        for verdict in [
            None,
            Some(""),
            Some("No-TN-Validation"),
            Some("TN-Validation-Passed-A"),
            Some("TN-Validation-Passed-C-Passthrough"),
        ] {
            assert_eq!(
                Caller::read(Some(phone), verdict),
                known(phone, Trust::Trusted),
                "{verdict:?}"
            );
        }
        for verdict in [
            "TN-Validation-Failed-A",
            "TN-Validation-Failed-C",
            "TN-Validation-Failed",
        ] {
            let caller = Caller::read(Some(phone), Some(verdict));
            assert_eq!(caller, known(phone, Trust::Unverified));
        }
    }

    #[test]
    fn debug_output_hides_the_number() {
        let caller = known("+14155550101", Trust::Trusted);
        assert!(!format!("{caller:?}").contains("4155"));
    }

    fn key_of(letter: char) -> char {
        match letter {
            'A'..='C' => '2',
            'D'..='F' => '3',
            'G'..='I' => '4',
            'J'..='L' => '5',
            'M'..='O' => '6',
            'P'..='S' => '7',
            'T'..='V' => '8',
            _ => '9',
        }
    }
}
