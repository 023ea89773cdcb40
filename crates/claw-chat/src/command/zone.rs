use chrono_tz::{TZ_VARIANTS, Tz};

use super::{Command, argument_of};

/// Most words of an unknown place that still count as a time zone: "South Africa" was meant as one, "the
/// one my mother lives in" is for the assistant to talk about.
const UNKNOWN_PLACE_LIMIT_WORDS: usize = 2;

/// The continents and oceans of the IANA database. Other names with a `/` are kept for old software or,
/// like `Etc/GMT+2`, mean the opposite of what a user would mean by them.
const AREAS: [&str; 10] = [
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Europe",
    "Indian",
    "Pacific",
];

/// "timezone …", "time zone: …", "my time zone is …".
pub(super) fn zone_command(words: &str) -> Option<Command> {
    let words = words.strip_prefix("my ").unwrap_or(words);
    let rest = words
        .strip_prefix("timezone")
        .or_else(|| words.strip_prefix("time zone"))?;
    let place = argument_of(rest)?;
    let place = place.strip_prefix("is ").unwrap_or(place);
    let is_zone_meant =
        place.contains('/') || place.split(' ').count() <= UNKNOWN_PLACE_LIMIT_WORDS;
    match zone_named(place) {
        Some(zone) => Some(Command::SetZone(zone)),
        None if is_zone_meant => Some(Command::UnknownZone),
        None => None,
    }
}

/// The zone of this name, or of the city of this name. Two zones that share a city's name are an old and a
/// new spelling of one zone, so the first one is taken.
fn zone_named(place: &str) -> Option<Tz> {
    let spelled = place.replace(' ', "_");
    let has_the_name = |zone: &&Tz| zone.name().eq_ignore_ascii_case(&spelled);
    let has_the_city =
        |zone: &&Tz| city_of(**zone).is_some_and(|city| city.eq_ignore_ascii_case(&spelled));
    TZ_VARIANTS
        .iter()
        .find(has_the_name)
        .or_else(|| TZ_VARIANTS.iter().find(has_the_city))
        .copied()
}

/// The last part of a zone's name, for zones named after a place.
fn city_of(zone: Tz) -> Option<&'static str> {
    let (area, place) = zone.name().split_once('/')?;
    AREAS
        .contains(&area)
        .then(|| place.rsplit('/').next().unwrap_or(place))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use chrono::{DateTime, Days, Offset, TimeZone, Utc};

    use super::*;

    #[test]
    fn zones_that_share_a_city_name_have_the_same_time() {
        let begin: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        let offsets = |zone: Tz| -> Vec<i32> {
            let days = (0..365).map(|day| (begin + Days::new(day)).naive_utc());
            days.map(|moment| {
                zone.offset_from_utc_datetime(&moment)
                    .fix()
                    .local_minus_utc()
            })
            .collect()
        };

        let mut first_of_name: HashMap<&str, Tz> = HashMap::new();
        for zone in TZ_VARIANTS {
            let Some(city) = city_of(zone) else { continue };
            let first = *first_of_name.entry(city).or_insert(zone);
            assert_eq!(offsets(first), offsets(zone), "{first} and {zone}");
        }
    }
}
