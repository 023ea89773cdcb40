use chrono::NaiveTime;

use crate::guard::Quiet;

/// The quiet hours these words name: "22-7", "22:30 to 07:00", "10pm until 7 am".
pub(super) fn quiet_of(hours: &str) -> Option<Quiet> {
    let (from, to) = [" to ", " until ", "-", "–"]
        .into_iter()
        .find_map(|between| hours.split_once(between))?;
    Quiet::new(time_of(from)?, time_of(to)?)
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
fn time_of_half_day(clock: &str, begins_at_hour: u32) -> Option<NaiveTime> {
    let (hour, minute) = hour_and_minute(clock.trim_end())?;
    let is_on_the_clock = (1..=12).contains(&hour);
    is_on_the_clock
        .then(|| NaiveTime::from_hms_opt(begins_at_hour + hour % 12, minute, 0))
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
