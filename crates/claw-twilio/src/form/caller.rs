use claw_domain::{Attestation, PhoneNumber};

/// The caller, as told by the fields `From` and `StirVerstat`. Twilio describes them on its pages about
/// requests for TwiML and about trusted calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The caller shows a phone number.
    Known {
        /// The number shown, as the carrier gave it to Twilio.
        phone: PhoneNumber,
        /// What the network says about the number.
        attestation: Attestation,
    },
    /// There is no usable number: the caller withholds it, calls from a SIP address, or shows something that is
    /// not a phone number.
    Hidden {
        /// [`Attestation::Hidden`] or [`Attestation::Sip`], for the number that the caller is asked to key in.
        attestation: Attestation,
    },
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

/// The verdict for a signature of level A that Twilio verified itself. Of `TN-Validation-Passed-A-Diverted` and
/// `TN-Validation-Passed-A-Passthrough`, the first is about the caller of a phone that forwarded the call, and the
/// second is the word of another carrier.
const PASSED_FULLY: &str = "TN-Validation-Passed-A";

/// Prefix of the verdicts of level C.
const PASSED_AT_GATEWAY: &str = "TN-Validation-Passed-C";

/// Prefix of all verdicts after a verification that did not fail.
const PASSED: &str = "TN-Validation-Passed";

/// Prefix of the verdicts after a verification that failed, at any level.
const FAILED: &str = "TN-Validation-Failed";

/// What `From` begins with if the caller has no number: SIP addresses, and Twilio's clients in browsers and apps.
const ADDRESSES: [&str; 3] = ["sip:", "sips:", "client:"];

impl Caller {
    /// Reads the two fields; either may be absent.
    pub fn read(from: Option<&str>, stir_verstat: Option<&str>) -> Self {
        match from.and_then(shown_number) {
            Some(phone) => Self::Known {
                phone,
                attestation: attestation_of(stir_verstat),
            },
            None if from.is_some_and(is_address) => Self::Hidden {
                attestation: Attestation::Sip,
            },
            None => Self::Hidden {
                attestation: Attestation::Hidden,
            },
        }
    }
}

/// The meaning of `StirVerstat`. A value that we do not know is no verdict.
fn attestation_of(stir_verstat: Option<&str>) -> Attestation {
    let verdict = stir_verstat.unwrap_or_default().trim();
    if verdict == PASSED_FULLY {
        Attestation::Full
    } else if verdict.starts_with(PASSED_AT_GATEWAY) {
        Attestation::Gateway
    } else if verdict.starts_with(PASSED) {
        Attestation::Partial
    } else if verdict.starts_with(FAILED) {
        Attestation::Failed
    } else {
        Attestation::NoVerdict
    }
}

fn is_address(from: &str) -> bool {
    let from = from.trim().to_ascii_lowercase();
    ADDRESSES.iter().any(|scheme| from.starts_with(scheme))
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

    fn known(phone: &str, attestation: Attestation) -> Caller {
        let phone = PhoneNumber::try_from(phone).unwrap();
        Caller::Known { phone, attestation }
    }

    fn hidden(attestation: Attestation) -> Caller {
        Caller::Hidden { attestation }
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
            "12345",
        ] {
            let caller = Caller::read(Some(from), None);
            assert_eq!(caller, hidden(Attestation::Hidden), "{from:?}");
        }
        assert_eq!(
            Caller::read(None, Some("TN-Validation-Passed-A")),
            hidden(Attestation::Hidden)
        );
    }

    #[test]
    fn an_address_proves_no_number_even_if_it_contains_one() {
        for from in [
            "sip:alice@example.com",
            "SIP:+14155550101@example.com",
            "client:alice",
        ] {
            let caller = Caller::read(Some(from), Some("TN-Validation-Passed-A"));
            assert_eq!(caller, hidden(Attestation::Sip), "{from:?}");
        }
    }

    #[test]
    fn the_digits_of_withheld_numbers_spell_their_words() {
        for (word, keys) in WITHHELD {
            let typed: String = word.chars().map(key_of).collect();
            assert_eq!(typed, keys, "{word}");
        }
    }

    #[test]
    fn only_a_signature_of_level_a_that_twilio_verified_is_a_full_attestation() {
        let phone = "+14155550101";
        for (verdict, attestation) in [
            ("TN-Validation-Passed-A", Attestation::Full),
            ("TN-Validation-Passed-A-Diverted", Attestation::Partial),
            ("TN-Validation-Passed-A-Passthrough", Attestation::Partial),
            ("TN-Validation-Passed-B", Attestation::Partial),
            ("TN-Validation-Passed-C", Attestation::Gateway),
            ("TN-Validation-Passed-C-Passthrough", Attestation::Gateway),
            ("TN-Validation-Failed", Attestation::Failed),
            ("TN-Validation-Failed-A", Attestation::Failed),
            ("TN-Validation-Failed-A-Diverted", Attestation::Failed),
            ("No-TN-Validation", Attestation::NoVerdict),
            ("something new", Attestation::NoVerdict),
            ("", Attestation::NoVerdict),
        ] {
            let caller = Caller::read(Some(phone), Some(verdict));
            assert_eq!(caller, known(phone, attestation), "{verdict:?}");
        }
        let caller = Caller::read(Some(phone), None);
        assert_eq!(caller, known(phone, Attestation::NoVerdict));
    }

    #[test]
    fn debug_output_hides_the_number() {
        let caller = known("+14155550101", Attestation::Full);
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
