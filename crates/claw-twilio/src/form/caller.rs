use claw_domain::{PhoneNumber, Trust};

/// Who calls, as far as `From` and `StirVerstat` tell. Twilio describes both on its page on the requests
/// it makes for TwiML and on the one on trusted calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// With a number.
    Known {
        /// The number they show.
        phone: PhoneNumber,
        /// How far it may be believed.
        trust: Trust,
    },
    /// Without one: withheld, from a SIP address, or nothing we can call back.
    Hidden,
}

/// What carriers send in place of a withheld number: a word spelled on a telephone's keys.
const WITHHELD: [(&str, &str); 5] = [
    ("ANONYMOUS", "266696687"),
    ("RESTRICTED", "7378742833"),
    ("BLOCKED", "2562533"),
    ("UNKNOWN", "8656696"),
    ("UNAVAILABLE", "86282452253"),
];

/// One of them has ten digits, and some carriers put their country code in front. It could be somebody's
/// number: they are asked for a PIN, which is better than all who hide sharing one assistant.
const RESTRICTED_WITH_COUNTRY: &str = "17378742833";

/// What `StirVerstat` begins with when the check failed, at whichever level.
const FAILED: &str = "TN-Validation-Failed";

impl Caller {
    /// Reads the two fields; either may be absent.
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

    /// The number, if it is shown and nothing speaks against it.
    pub fn trusted_phone(&self) -> Option<&PhoneNumber> {
        match self {
            Self::Known {
                phone,
                trust: Trust::Trusted,
            } => Some(phone),
            Self::Known {
                trust: Trust::Unverified,
                ..
            }
            | Self::Hidden => None,
        }
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
    fn a_caller_who_hides_is_hidden_however_it_is_written() {
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
    fn the_numbers_of_withheld_callers_are_the_words_on_the_keys() {
        for (word, keys) in WITHHELD {
            let typed: String = word.chars().map(key_of).collect();
            assert_eq!(typed, keys, "{word}");
        }
    }

    #[test]
    fn only_a_failed_check_speaks_against_a_number() {
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
            assert_eq!(caller.trusted_phone(), None);
        }
    }

    #[test]
    fn a_caller_does_not_print() {
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
