use chrono_tz::{TZ_VARIANTS, Tz};

/// The continents and oceans of the IANA database. What else has a `/` is kept for old software or,
/// like `Etc/GMT+2`, means the opposite of what a person would mean by it.
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

/// The zone of this name, or of the city of this name. Where two zones share a city's name they are
/// an old and a new spelling of one zone, so the first will do.
pub(super) fn zone_named(place: &str) -> Option<Tz> {
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
    fn zones_that_share_a_citys_name_keep_the_same_time() {
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
