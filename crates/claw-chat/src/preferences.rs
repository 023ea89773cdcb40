use chrono_tz::Tz;
use claw_domain::Address;

use crate::{NO_QUIET_HOURS, QuietHours, zone_of};

/// A user's rules for proactive messages: whether, when and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preferences {
    /// The user's time zone.
    pub zone: Tz,
    /// When the user must not be disturbed; `None` for no such hours.
    pub quiet_hours: Option<QuietHours>,
    /// Most proactive messages in one local day. Zero holds every one of them.
    pub daily_limit: u32,
    /// Whether the user wants proactive messages at all.
    pub updates: Updates,
}

/// Whether a user wants proactive messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updates {
    /// The user never said "stop updates", or has resumed them since.
    On,
    /// The user said "stop updates".
    Stopped,
}

/// A user's settings as the database has them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stored<'a> {
    /// The address the user is answered at; a phone number tells their time zone until they set one.
    pub address: Option<&'a Address>,
    /// The IANA name of the time zone they set.
    pub zone: Option<&'a str>,
    /// The quiet hours they set, as [`QuietHours`] prints them, or [`NO_QUIET_HOURS`].
    pub quiet_hours: Option<&'a str>,
    /// The user said "stop updates".
    pub updates_stopped: bool,
}

/// The operator's settings for users who have not set their own.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    /// When users must not be disturbed; `None` for no such hours.
    pub quiet_hours: Option<QuietHours>,
    /// Most proactive messages to one user per day; 0 for no limit.
    pub daily_limit: u32,
}

impl Preferences {
    /// Reads a user's settings. An unset or unreadable one falls back to its default; the default time
    /// zone is that of the user's phone number, or UTC.
    pub fn read(stored: Stored<'_>, defaults: Defaults) -> Self {
        let stored_zone = stored.zone.and_then(|zone| zone.parse().ok());
        Self {
            zone: stored_zone.unwrap_or_else(|| match stored.address {
                Some(Address::Phone(phone)) => zone_of(phone),
                Some(Address::WhatsApp(_)) | None => Tz::UTC,
            }),
            quiet_hours: match stored.quiet_hours {
                Some(NO_QUIET_HOURS) => None,
                Some(hours) => QuietHours::parse(hours).or(defaults.quiet_hours),
                None => defaults.quiet_hours,
            },
            daily_limit: match defaults.daily_limit {
                0 => u32::MAX,
                limit => limit,
            },
            updates: if stored.updates_stopped {
                Updates::Stopped
            } else {
                Updates::On
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use claw_domain::PhoneNumber;

    use super::*;

    #[test]
    fn settings_of_the_user_outrank_the_phone_number_and_the_operator() {
        let phone = PhoneNumber::try_from("+4915112345678").unwrap();
        let address = Address::Phone(phone);
        let defaults = Defaults {
            quiet_hours: QuietHours::parse("22:00-07:00"),
            daily_limit: 12,
        };
        let unset = Stored {
            address: Some(&address),
            ..Stored::default()
        };
        let set = Stored {
            zone: Some("Asia/Tokyo"),
            quiet_hours: Some(NO_QUIET_HOURS),
            updates_stopped: true,
            ..unset
        };

        let (unset, set) = (
            Preferences::read(unset, defaults),
            Preferences::read(set, defaults),
        );

        assert_eq!(unset.zone, Tz::Europe__Berlin);
        assert_eq!(unset.quiet_hours, defaults.quiet_hours);
        assert_eq!(unset.updates, Updates::On);
        assert_eq!(set.zone, Tz::Asia__Tokyo);
        assert_eq!(set.quiet_hours, None);
        assert_eq!(set.updates, Updates::Stopped);
    }
}
