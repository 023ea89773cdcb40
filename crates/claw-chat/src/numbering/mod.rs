mod area_codes;
mod calling_codes;

use chrono_tz::Tz;
use claw_domain::{Language, PhoneNumber};

use area_codes::AREA_CODES;
use calling_codes::CALLING_CODES;

/// Digits of the longest row in [`CALLING_CODES`].
const LONGEST_CODE_DIGITS: usize = 6;

/// The time zone in which most people with such a number live; UTC if the code belongs to no country. This
/// is an approximation, since numbers move with people and large countries have several zones. A zone the
/// user sets outranks it.
pub fn zone_of(phone: &PhoneNumber) -> Tz {
    let digits = phone.expose_digits();
    zone_of_area(digits)
        .or_else(|| country_of(digits).map(|(zone, _)| zone))
        .unwrap_or(Tz::UTC)
}

/// The language in which most people with such a number can be spoken to on the phone; American English if
/// we speak none of its languages.
pub fn language_of(phone: &PhoneNumber) -> Language {
    let country = country_of(phone.expose_digits());
    country.map_or(Language::EnglishUs, |(_, language)| language)
}

/// The zone of a North American area code; `None` also for codes without a place, whose zone is that of
/// calling code 1.
fn zone_of_area(digits: &str) -> Option<Tz> {
    let code: u16 = digits.strip_prefix('1')?.get(..3)?.parse().ok()?;
    AREA_CODES
        .iter()
        .find(|(_, codes)| codes.contains(&code))
        .map(|(zone, _)| *zone)
}

/// The zone and the language of the longest calling code that these digits begin with.
fn country_of(digits: &str) -> Option<(Tz, Language)> {
    (1..=LONGEST_CODE_DIGITS).rev().find_map(|length| {
        let code = digits.get(..length)?;
        let row = CALLING_CODES
            .binary_search_by_key(&code, |(code, ..)| code)
            .ok()?;
        let (_, zone, language) = *CALLING_CODES.get(row)?;
        Some((zone, language))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_number_tells_the_zone_its_user_most_likely_lives_in() {
        for (number, zone) in [
            ("+919876543210", Tz::Asia__Kolkata),
            ("+4915112345678", Tz::Europe__Berlin),
            ("+5511987654321", Tz::America__Sao_Paulo),
            ("+447911123456", Tz::Europe__London),
            ("+819012345678", Tz::Asia__Tokyo),
            ("+61412345678", Tz::Australia__Sydney),
            ("+79161234567", Tz::Europe__Moscow),
            ("+96512345678", Tz::Asia__Kuwait),
        ] {
            assert_eq!(zone_of(&phone(number)), zone, "{number}");
        }
    }

    #[test]
    fn a_north_american_area_code_tells_the_zone() {
        for (number, zone) in [
            ("+12125550123", Tz::America__New_York),
            ("+13125550123", Tz::America__Chicago),
            ("+16025550123", Tz::America__Phoenix),
            ("+13105550123", Tz::America__Los_Angeles),
            ("+18085550123", Tz::Pacific__Honolulu),
            ("+14165550123", Tz::America__Toronto),
            ("+17095550123", Tz::America__St_Johns),
            ("+18765550123", Tz::America__Jamaica),
        ] {
            assert_eq!(zone_of(&phone(number)), zone, "{number}");
        }
    }

    #[test]
    fn an_area_code_without_a_place_has_the_most_populous_zone() {
        assert_eq!(zone_of(&phone("+15005550006")), Tz::America__New_York);
    }

    #[test]
    fn a_region_with_a_code_of_its_own_has_its_own_zone() {
        for (number, zone) in [
            ("+77011234567", Tz::Asia__Almaty),
            ("+5592987654321", Tz::America__Manaus),
            ("+262639123456", Tz::Indian__Mayotte),
            ("+262692123456", Tz::Indian__Reunion),
        ] {
            assert_eq!(zone_of(&phone(number)), zone, "{number}");
        }
    }

    #[test]
    fn a_code_of_no_country_has_utc() {
        // A satellite phone, an unassigned code, and a number too short to tell.
        for number in ["+881612345678", "+999123456789", "+210000"] {
            assert_eq!(zone_of(&phone(number)), Tz::UTC, "{number}");
        }
    }

    #[test]
    fn a_number_tells_the_language_of_its_country() {
        use Language::{Dutch, EnglishGb, EnglishUs, French, German, Hindi, Italian};
        use Language::{PortugueseBr, Spanish};
        for (number, language) in [
            ("+14155550101", EnglishUs),
            ("+18095550101", Spanish),
            ("+442079460000", EnglishGb),
            ("+4915112345678", German),
            ("+41791234567", German),
            ("+5215512345678", Spanish),
            ("+33612345678", French),
            ("+390612345678", Italian),
            ("+5511912345678", PortugueseBr),
            ("+31612345678", Dutch),
            ("+919812345678", Hindi),
            ("+81312345678", EnglishUs),
        ] {
            assert_eq!(language_of(&phone(number)), language, "{number}");
        }
    }

    #[test]
    fn calling_codes_are_sorted_and_unique() {
        assert!(CALLING_CODES.is_sorted_by(|(one, ..), (next, ..)| one < next));
    }

    #[test]
    fn the_longest_calling_code_has_the_declared_length() {
        let longest = CALLING_CODES.iter().map(|(code, ..)| code.len()).max();

        assert_eq!(longest, Some(LONGEST_CODE_DIGITS));
    }

    #[test]
    fn area_codes_are_sorted_and_unique() {
        let mut seen = HashSet::new();
        for (zone, codes) in AREA_CODES {
            assert!(codes.is_sorted(), "{zone}");
            for code in *codes {
                assert!((200..1000).contains(code), "{code}");
                assert!(seen.insert(code), "{code} is listed twice");
            }
        }
    }

    fn phone(number: &str) -> PhoneNumber {
        PhoneNumber::try_from(number).unwrap()
    }
}
