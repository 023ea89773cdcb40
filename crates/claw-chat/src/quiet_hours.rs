use std::fmt;

use chrono::{DateTime, NaiveTime, Utc};
use chrono_tz::Tz;

use crate::wall_clock::{day_after, first_instant_at};

/// The value for "no quiet hours" in the database and in `QUIET_HOURS`.
pub const NO_QUIET_HOURS: &str = "off";

/// The hours of each local day in which a user must not be disturbed. The start is included, the end is
/// not; an end before the start is on the next day. Prints as `22:00-07:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    start: NaiveTime,
    end: NaiveTime,
}

impl QuietHours {
    /// `None` if both are the same: that could mean all day as well as never.
    pub fn new(start: NaiveTime, end: NaiveTime) -> Option<Self> {
        (start != end).then_some(Self { start, end })
    }

    /// Reads "22:00-07:00", "22-7", "22:30 to 07:00" or "10pm until 7 am".
    pub fn parse(hours: &str) -> Option<Self> {
        let (start, end) = [" to ", " until ", "-", "–"]
            .into_iter()
            .find_map(|between| hours.split_once(between))?;
        Self::new(time_of(start)?, time_of(end)?)
    }

    /// The first quiet minute.
    pub const fn start(self) -> NaiveTime {
        self.start
    }

    /// The first minute that is not quiet.
    pub const fn end(self) -> NaiveTime {
        self.end
    }

    fn contain(self, time: NaiveTime) -> bool {
        let crosses_midnight = self.end < self.start;
        if crosses_midnight {
            time >= self.start || time < self.end
        } else {
            time >= self.start && time < self.end
        }
    }

    /// When the quiet hours around `moment` end; `moment` itself if it is not quiet.
    pub(crate) fn end_after(self, moment: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let local = moment.with_timezone(&zone).naive_local();
        if !self.contain(local.time()) {
            return moment;
        }
        let ends_today = local.time() < self.end;
        let day = if ends_today {
            local.date()
        } else {
            day_after(local.date())
        };
        first_instant_at(day.and_time(self.end), zone, moment)
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = (self.start.format("%H:%M"), self.end.format("%H:%M"));
        write!(f, "{start}-{end}")
    }
}

/// A time of day: "7", "07:30", "24:00", "10 pm".
fn time_of(text: &str) -> Option<NaiveTime> {
    let text = text.trim();
    if let Some(clock) = text.strip_suffix("am") {
        return time_of_half_day(clock, 0);
    }
    if let Some(clock) = text.strip_suffix("pm") {
        return time_of_half_day(clock, 12);
    }
    match hour_and_minute(text)? {
        (24, 0) => Some(NaiveTime::MIN),
        (hour, minute) => NaiveTime::from_hms_opt(hour, minute, 0),
    }
}

/// A time on a twelve-hour clock, where 12 stands for 0.
fn time_of_half_day(clock: &str, first_hour: u32) -> Option<NaiveTime> {
    let (hour, minute) = hour_and_minute(clock.trim_end())?;
    let is_on_the_clock = (1..=12).contains(&hour);
    is_on_the_clock
        .then(|| NaiveTime::from_hms_opt(first_hour + hour % 12, minute, 0))
        .flatten()
}

fn hour_and_minute(text: &str) -> Option<(u32, u32)> {
    let (hour, minute) = text.split_once(':').unwrap_or((text, "00"));
    let one_or_two_digits = |part: &str| {
        (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if one_or_two_digits(hour) && one_or_two_digits(minute) && minute.len() == 2 {
        Some((hour.parse().ok()?, minute.parse().ok()?))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_are_read_as_they_are_printed() {
        let night = QuietHours::parse("22:30-07:00").unwrap();

        assert_eq!(night.to_string(), "22:30-07:00");
        for nonsense in ["", "22:30", "25:00-07:00", "07:00-07:00", NO_QUIET_HOURS] {
            assert_eq!(QuietHours::parse(nonsense), None, "{nonsense}");
        }
    }
}
