use strum::IntoStaticStr;

/// The class of a Meta error code, by the reaction it calls for. The same codes come as answers to sends and in
/// `failed` statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ErrorClass {
    /// A temporary failure at Meta: retry as often as it takes.
    Retry,
    /// Temporary, or a request that Meta never accepts: retry a few times.
    RetryFewTimes,
    /// Over the rate limit of the number or the account: slow down all sends.
    SlowDown,
    /// Over the rate limit for this recipient: wait 4^x seconds, with x counting up from 0.
    PairRate,
    /// The operator has to change a setting, a token or a contract: keep the message.
    Operator,
    /// More than 24 hours since the user last wrote: only a template is accepted.
    NeedsTemplate,
    /// The message will not arrive, and a retry is pointless or harmful.
    Permanent,
}

impl ErrorClass {
    /// The class of this code, by Meta's table of error codes (11 Sep 2026). `text` is Meta's message and details;
    /// it matters only where one code has two meanings.
    pub fn of(code: i64, text: &str) -> Self {
        match code {
            1 | 131_000 => Self::RetryFewTimes,
            2 | 131_016 | 131_057 | 132_069 | 133_004 => Self::Retry,
            4 | 80_007 | 130_429 => Self::SlowDown,
            131_056 => Self::PairRate,
            131_047 | 470 => Self::NeedsTemplate,
            33 | 100 if names_a_missing_object(text) => Self::Operator,
            code if is_for_the_operator(code) => Self::Operator,
            _ => Self::Permanent,
        }
    }

    /// Whether a permanent refusal with this code is due to us and not to the recipient: the request was invalid,
    /// or the code is unknown.
    pub fn is_our_mistake(code: i64) -> bool {
        Self::of(code, "") == Self::Permanent && !RECIPIENT_CODES.contains(&code)
    }

    /// Whether this code means that a template or its parameter is invalid, which a retry cannot fix.
    pub const fn concerns_the_template(code: i64) -> bool {
        matches!(code, 132_000..=132_068)
    }

    /// The name used in metrics.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Codes for which we are not to blame: the recipient is not on WhatsApp or has too old an app (131026), has blocked
/// us (130403), is in an excluded country (130497) or is our own number (131021); an experiment or quality rule of
/// Meta or an opt-out of marketing applies; or a media file of the recipient failed (131052, 131060).
const RECIPIENT_CODES: [i64; 9] = [
    130_403, 130_472, 130_497, 131_021, 131_026, 131_049, 131_050, 131_052, 131_060,
];

/// Meta reports a wrong phone number id as "invalid parameter", with a text about a missing object.
fn names_a_missing_object(text: &str) -> bool {
    text.contains("Object with ID") || text.contains("does not exist")
}

/// Whether the code is about tokens (0, 190), permissions (3, 10, 200 to 299), blocks and quality (368, 131031,
/// 131048), payment (131042), the number's registration (131037, 131045, 1330xx), or paused templates and flows.
fn is_for_the_operator(code: i64) -> bool {
    matches!(
        code,
        0 | 3 | 10 | 190 | 200
            ..=299
                | 368
                | 131_005
                | 131_031
                | 131_037
                | 131_042
                | 131_045
                | 131_048
                | 132_015
                | 132_016
                | 132_068
                | 133_005
                | 133_006
                | 133_008
                | 133_009
                | 133_010
                | 133_015
                | 133_016
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code of Meta's table, under the class that it must have.
    const TABLE: [(ErrorClass, &[i64]); 7] = [
        (ErrorClass::RetryFewTimes, &[1, 131_000]),
        (ErrorClass::Retry, &[2, 131_057, 131_016, 133_004, 132_069]),
        (ErrorClass::SlowDown, &[4, 80_007, 130_429]),
        (ErrorClass::PairRate, &[131_056]),
        (ErrorClass::NeedsTemplate, &[131_047, 470]),
        (
            ErrorClass::Operator,
            &[
                0, 190, 3, 10, 200, 250, 299, 131_005, 368, 131_031, 131_037, 131_042, 131_045,
                131_048, 133_010, 133_005, 133_006, 133_008, 133_009, 133_015, 133_016, 132_015,
                132_016, 132_068,
            ],
        ),
        (
            ErrorClass::Permanent,
            &[
                131_052, 131_053, 131_026, 131_021, 131_051, 131_008, 131_009, 100, 33, 131_062,
                130_403, 130_472, 131_049, 131_050, 131_060, 135_000, 132_000, 132_001, 132_005,
                132_007, 132_012, 132_018, 131_055, 134_100, 134_101, 134_102, 130_497,
            ],
        ),
    ];

    #[test]
    fn every_code_of_the_table_has_its_class() {
        for (class, codes) in TABLE {
            for code in codes {
                assert_eq!(ErrorClass::of(*code, ""), class, "{code}");
            }
        }
    }

    #[test]
    fn template_codes_are_distinguished_from_all_others() {
        let codes = TABLE.iter().flat_map(|(_, codes)| *codes).copied();
        let of_templates: Vec<i64> = codes
            .filter(|code| ErrorClass::concerns_the_template(*code))
            .collect();

        assert_eq!(
            of_templates,
            [
                132_015, 132_016, 132_068, 132_000, 132_001, 132_005, 132_007, 132_012, 132_018
            ]
        );
    }

    #[test]
    fn an_unknown_code_is_permanent() {
        for code in [-1, 7, 300, 999_999] {
            assert_eq!(ErrorClass::of(code, ""), ErrorClass::Permanent, "{code}");
        }
    }

    #[test]
    fn malformed_requests_and_unknown_codes_are_our_mistake() {
        for code in [100, 131_009, 135_000, 999_999] {
            assert!(ErrorClass::is_our_mistake(code), "{code}");
        }
        for code in [131_026, 130_403, 190, 130_429] {
            assert!(!ErrorClass::is_our_mistake(code), "{code}");
        }
    }

    #[test]
    fn a_wrong_phone_number_id_is_for_the_operator() {
        let text = "Unsupported post request. Object with ID '1' does not exist";

        assert_eq!(ErrorClass::of(100, text), ErrorClass::Operator);
        assert_eq!(ErrorClass::of(33, text), ErrorClass::Operator);
        assert_eq!(
            ErrorClass::of(100, "Invalid parameter"),
            ErrorClass::Permanent
        );
    }
}
