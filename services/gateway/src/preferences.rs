use chrono::NaiveTime;
use chrono_tz::Tz;
use claw_domain::Address;
use claw_store::Profile;

use crate::{
    context::Policy,
    guard::{Preferences, Quiet, Updates},
    zones::zone_of,
};

/// What is stored for "quiet hours off".
pub(crate) const NEVER_QUIET: &str = "off";

/// How the times of quiet hours are stored and read.
const TIME: &str = "%H:%M";

/// What a person allows, as they said, else as the operator chose; their zone is that of their number
/// until they say otherwise.
pub(crate) fn preferences_of(profile: Option<&Profile>, policy: &Policy) -> Preferences {
    let said_zone = profile.and_then(|profile| profile.zone.as_deref()?.parse().ok());
    let zone = said_zone.unwrap_or_else(|| match profile.map(|profile| &profile.address) {
        Some(Address::Phone(phone)) => zone_of(phone),
        Some(Address::WhatsApp(_)) | None => Tz::UTC,
    });
    let quiet = match profile.and_then(|profile| profile.quiet.as_deref()) {
        Some(NEVER_QUIET) => None,
        Some(hours) => read_quiet(hours).or(policy.quiet),
        None => policy.quiet,
    };
    Preferences {
        zone,
        quiet,
        most_a_day: match policy.proactive_per_day {
            0 => u32::MAX,
            most => most,
        },
        updates: if profile.is_some_and(|profile| profile.updates_stopped) {
            Updates::Stopped
        } else {
            Updates::On
        },
    }
}

/// `22:00-07:00`, or `None` for what is not that.
pub(crate) fn read_quiet(hours: &str) -> Option<Quiet> {
    let (from, to) = hours.split_once('-')?;
    let time = |text: &str| NaiveTime::parse_from_str(text.trim(), TIME).ok();
    Quiet::new(time(from)?, time(to)?)
}

/// As [`read_quiet`] reads it.
pub(crate) fn write_quiet(quiet: Option<Quiet>) -> String {
    quiet.map_or_else(
        || NEVER_QUIET.to_owned(),
        |quiet| format!("{}-{}", quiet.from().format(TIME), quiet.to().format(TIME)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_are_read_as_they_were_written() {
        let night = read_quiet("22:30-07:00");

        assert!(night.is_some());
        assert_eq!(read_quiet(&write_quiet(night)), night);
        assert_eq!(write_quiet(None), NEVER_QUIET);
        for nonsense in ["", "22:30", "25:00-07:00", "07:00-07:00"] {
            assert_eq!(read_quiet(nonsense), None, "{nonsense}");
        }
    }
}
