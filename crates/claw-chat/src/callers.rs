use claw_domain::Attestation;
use strum::EnumString;

/// Whom the operator lets in on the phone without a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "kebab-case")]
pub enum VoiceTrust {
    /// Callers whose number is shown and was not found to be forged.
    CallerId,
    /// Callers whose number the network fully attests.
    Attested,
    /// Nobody: every caller has to give a PIN.
    Pin,
}

/// What we know of the number that a call is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallerNumber {
    /// It belongs to no user.
    New,
    /// It is the number of a user without a PIN.
    WithoutPin,
    /// It is the number of a user with a PIN.
    WithPin,
}

/// How a call begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallDecision {
    /// The caller counts as the user of the number.
    PutThrough,
    /// The caller counts as the user of the number once they give the PIN.
    AskPin,
    /// The caller may become a user by saying something or pressing a key.
    Welcome,
    /// The caller cannot prove who they are, and is told how they could.
    Refuse,
}

impl CallDecision {
    /// Decides what a caller has to prove. A PIN, once set, is asked for unless the network fully attests the number.
    pub const fn of(attestation: Attestation, number: CallerNumber, trust: VoiceTrust) -> Self {
        let is_fully_attested = matches!(attestation, Attestation::Full);
        let is_believed = match trust {
            VoiceTrust::CallerId => attestation.is_shown(),
            VoiceTrust::Attested => is_fully_attested,
            VoiceTrust::Pin => false,
        };
        match number {
            CallerNumber::New if is_believed => Self::Welcome,
            CallerNumber::WithoutPin if is_believed => Self::PutThrough,
            CallerNumber::New | CallerNumber::WithoutPin => Self::Refuse,
            CallerNumber::WithPin if is_believed && is_fully_attested => Self::PutThrough,
            CallerNumber::WithPin => Self::AskPin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use Attestation::{Failed, Full, Gateway, Hidden, NoVerdict, Partial, Sip};
    use CallDecision::{AskPin, PutThrough, Refuse, Welcome};

    type Row = [CallDecision; 3];

    /// What a caller hears under each policy: `caller-id`, `attested`, `pin`. "Put through" means that the caller gets the
    /// memory of the number's user, "ask for the PIN" that they get it with the PIN, and the others get nobody's.
    #[rustfmt::skip]
    const MATRIX: [(Attestation, Row, Row, Row); 7] = [
        // network     a PIN is set                       no PIN is set                      a new number
        (Full,      [PutThrough, PutThrough, AskPin], [PutThrough, PutThrough, Refuse], [Welcome, Welcome, Refuse]),
        (Partial,   [AskPin, AskPin, AskPin],         [PutThrough, Refuse, Refuse],     [Welcome, Refuse, Refuse]),
        (Gateway,   [AskPin, AskPin, AskPin],         [PutThrough, Refuse, Refuse],     [Welcome, Refuse, Refuse]),
        (NoVerdict, [AskPin, AskPin, AskPin],         [PutThrough, Refuse, Refuse],     [Welcome, Refuse, Refuse]),
        (Failed,    [AskPin, AskPin, AskPin],         [Refuse, Refuse, Refuse],         [Refuse, Refuse, Refuse]),
        (Hidden,    [AskPin, AskPin, AskPin],         [Refuse, Refuse, Refuse],         [Refuse, Refuse, Refuse]),
        (Sip,       [AskPin, AskPin, AskPin],         [Refuse, Refuse, Refuse],         [Refuse, Refuse, Refuse]),
    ];

    #[test]
    fn a_caller_hears_what_the_table_says_for_every_attestation_number_and_policy() {
        let policies = [VoiceTrust::CallerId, VoiceTrust::Attested, VoiceTrust::Pin];
        for (attestation, with_pin, without_pin, new) in MATRIX {
            for (number, expected) in [
                (CallerNumber::WithPin, with_pin),
                (CallerNumber::WithoutPin, without_pin),
                (CallerNumber::New, new),
            ] {
                let decided = policies.map(|policy| CallDecision::of(attestation, number, policy));

                assert_eq!(decided, expected, "{attestation:?}, {number:?}");
            }
        }
        assert_eq!(
            MATRIX.map(|(attestation, ..)| attestation),
            Attestation::ALL
        );
    }

    #[test]
    fn the_policies_have_the_names_that_an_operator_writes() {
        for (name, policy) in [
            ("caller-id", VoiceTrust::CallerId),
            ("attested", VoiceTrust::Attested),
            ("pin", VoiceTrust::Pin),
        ] {
            assert_eq!(name.parse(), Ok(policy));
        }
        assert!("everybody".parse::<VoiceTrust>().is_err());
    }
}
