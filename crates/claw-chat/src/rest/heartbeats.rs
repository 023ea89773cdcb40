use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use claw_domain::{SleepPolicy, UserId};

use super::{Agenda, share_of};
use crate::{QuietHours, Updates, wall_clock::first_instant_at};

/// How long somebody who does not write still gets heartbeats.
const WRITTEN_WITHIN: TimeDelta = TimeDelta::days(7);

const DAY: TimeDelta = TimeDelta::days(1);

/// The next heartbeat after `after` that a sleeper wakes for; `None` if the user is not to get any.
pub(super) fn next(agenda: &Agenda, per_day: u32, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let is_wanted =
        agenda.policy == SleepPolicy::Sleep && agenda.preferences.updates == Updates::On;
    let (due, last_written) = (agenda.heartbeat?, agenda.last_written?);
    let (zone, quiet) = (agenda.preferences.zone, agenda.preferences.quiet_hours);
    let slot = next_slot(agenda.user, zone, quiet, per_day, after.max(due))?;
    (is_wanted && slot < last_written + WRITTEN_WITHIN).then_some(slot)
}

/// The first slot after `after`. The slots lie at the same distance in the user's waking hours, and at other times for
/// each user, so that not all wake at once.
fn next_slot(
    user: UserId,
    zone: Tz,
    quiet: Option<QuietHours>,
    per_day: u32,
    after: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let (start, waking) = waking_hours(quiet);
    let distance = waking.checked_div(i32::try_from(per_day).ok()?)?;
    let offset = share_of(user, distance);
    // Waking hours may begin on the day before.
    let yesterday = after.with_timezone(&zone).date_naive() - Days::new(1);
    let days = yesterday.iter_days().take(4);
    days.flat_map(|day| (0..per_day).map(move |number| (day, number)))
        .filter_map(|(day, number)| {
            let since_start = distance * i32::try_from(number).ok()? + offset;
            let local = day.and_time(start).checked_add_signed(since_start)?;
            let slot = first_instant_at(local, zone, DateTime::<Utc>::MIN_UTC);
            // On a day on which the clocks change, the slot may fall into quiet hours.
            Some(quiet.map_or(slot, |quiet| quiet.end_after(slot, zone)))
        })
        .find(|slot| *slot > after)
}

/// When a user's day begins, and how long it lasts.
fn waking_hours(quiet: Option<QuietHours>) -> (NaiveTime, TimeDelta) {
    let Some(quiet) = quiet else {
        return (NaiveTime::MIN, DAY);
    };
    let waking = quiet.start() - quiet.end();
    let is_overnight = waking < TimeDelta::zero();
    (
        quiet.end(),
        if is_overnight { waking + DAY } else { waking },
    )
}
