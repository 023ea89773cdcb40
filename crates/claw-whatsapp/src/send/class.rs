/// What an error code of Meta's asks of us. The same codes come from sends and in `failed` statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Passing trouble: try again.
    Retry,
    /// Passing trouble, or a request they never take: try a few times.
    RetryFewTimes,
    /// Too much for the number or the account: everyone slows down.
    SlowDown,
    /// Too much for this one person: wait 4^x seconds, x from 0.
    PairRate,
    /// Somebody has to change a setting, a token, a contract: keep what is to be said.
    Operator,
    /// More than 24 hours since the person wrote: only a template would pass.
    NeedsTemplate,
    /// It will not arrive, and trying again is pointless or harmful.
    Permanent,
}

impl Class {
    /// What this code asks of us, by Meta's table of error codes (11 Sep 2026). `words` are Meta's message
    /// and details; they matter only where one code has two meanings.
    pub fn of(code: i64, words: &str) -> Self {
        match code {
            1 | 131_000 => Self::RetryFewTimes,
            2 | 131_016 | 131_057 | 132_069 | 133_004 => Self::Retry,
            4 | 80_007 | 130_429 => Self::SlowDown,
            131_056 => Self::PairRate,
            131_047 | 470 => Self::NeedsTemplate,
            33 | 100 if names_a_missing_object(words) => Self::Operator,
            code if is_for_the_operator(code) => Self::Operator,
            _ => Self::Permanent,
        }
    }

    /// Whether a permanent refusal with this code points at us rather than at the person: a request
    /// that is wrong in itself, or a code nobody has told us about.
    pub fn is_our_mistake(code: i64) -> bool {
        Self::of(code, "") == Self::Permanent && !CONCERNS_THE_PERSON.contains(&code)
    }

    /// Whether this code says that something is wrong with a template or with what was put into it: nothing
    /// that waiting mends.
    pub const fn concerns_the_template(code: i64) -> bool {
        matches!(code, 132_000..=132_068)
    }

    /// The name used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::RetryFewTimes => "retry_few_times",
            Self::SlowDown => "slow_down",
            Self::PairRate => "pair_rate",
            Self::Operator => "operator",
            Self::NeedsTemplate => "needs_template",
            Self::Permanent => "permanent",
        }
    }
}

/// Not on WhatsApp or too old an app (131026), blocked us (130403), their country (130497), Meta's
/// experiments, quality rules and opt-outs of marketing, our own number (131021), a media file of theirs
/// (131052, 131060).
const CONCERNS_THE_PERSON: [i64; 9] = [
    130_403, 130_472, 130_497, 131_021, 131_026, 131_049, 131_050, 131_052, 131_060,
];

/// A wrong phone number id shows as "invalid parameter" with words about an object that is not there.
fn names_a_missing_object(words: &str) -> bool {
    words.contains("Object with ID") || words.contains("does not exist")
}

/// Tokens (0, 190), permissions (3, 10, 200 to 299), blocks and quality (368, 131031, 131048), payment
/// (131042), the number's registration (131037, 131045, 1330xx), paused templates and flows.
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

    /// Meta's table, row by row.
    const TABLE: [(Class, &[i64]); 7] = [
        (Class::RetryFewTimes, &[1, 131_000]),
        (Class::Retry, &[2, 131_057, 131_016, 133_004, 132_069]),
        (Class::SlowDown, &[4, 80_007, 130_429]),
        (Class::PairRate, &[131_056]),
        (Class::NeedsTemplate, &[131_047, 470]),
        (
            Class::Operator,
            &[
                0, 190, 3, 10, 200, 250, 299, 131_005, 368, 131_031, 131_037, 131_042, 131_045,
                131_048, 133_010, 133_005, 133_006, 133_008, 133_009, 133_015, 133_016, 132_015,
                132_016, 132_068,
            ],
        ),
        (
            Class::Permanent,
            &[
                131_052, 131_053, 131_026, 131_021, 131_051, 131_008, 131_009, 100, 33, 131_062,
                130_403, 130_472, 131_049, 131_050, 131_060, 135_000, 132_000, 132_001, 132_005,
                132_007, 132_012, 132_018, 131_055, 134_100, 134_101, 134_102, 130_497,
            ],
        ),
    ];

    #[test]
    fn every_row_of_the_table_asks_what_the_table_says() {
        for (class, codes) in TABLE {
            for code in codes {
                assert_eq!(Class::of(*code, ""), class, "{code}");
            }
        }
    }

    #[test]
    fn template_codes_are_told_from_all_others() {
        let codes = TABLE.iter().flat_map(|(_, codes)| *codes).copied();
        let of_templates: Vec<i64> = codes
            .filter(|code| Class::concerns_the_template(*code))
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
            assert_eq!(Class::of(code, ""), Class::Permanent, "{code}");
        }
    }

    #[test]
    fn malformed_requests_and_unknown_codes_are_our_mistake() {
        for code in [100, 131_009, 135_000, 999_999] {
            assert!(Class::is_our_mistake(code), "{code}");
        }
        for code in [131_026, 130_403, 190, 130_429] {
            assert!(!Class::is_our_mistake(code), "{code}");
        }
    }

    #[test]
    fn a_wrong_phone_number_id_is_for_the_operator() {
        let words = "Unsupported post request. Object with ID '1' does not exist";

        assert_eq!(Class::of(100, words), Class::Operator);
        assert_eq!(Class::of(33, words), Class::Operator);
        assert_eq!(Class::of(100, "Invalid parameter"), Class::Permanent);
    }
}
