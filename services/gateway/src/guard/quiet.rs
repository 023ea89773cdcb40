use chrono::{DateTime, NaiveTime, Utc};
use chrono_tz::Tz;

use super::wall_clock::{day_after, first_instant_at};

/// The hours of each local day in which a person is not disturbed: from the first time up to,
/// not including, the second, past midnight when the second is the earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quiet {
    from: NaiveTime,
    to: NaiveTime,
}

impl Quiet {
    /// `None` when both are the same: that could mean all day as well as never.
    pub(crate) fn new(from: NaiveTime, to: NaiveTime) -> Option<Self> {
        (from != to).then_some(Self { from, to })
    }

    /// When they begin.
    pub(crate) const fn from(self) -> NaiveTime {
        self.from
    }

    /// When they are over.
    pub(crate) const fn to(self) -> NaiveTime {
        self.to
    }

    fn covers(self, time: NaiveTime) -> bool {
        let crosses_midnight = self.to < self.from;
        if crosses_midnight {
            time >= self.from || time < self.to
        } else {
            time >= self.from && time < self.to
        }
    }

    /// When the quiet hours around `moment` are over; `moment` itself when it is not in them.
    pub(super) fn over_after(self, moment: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let local = moment.with_timezone(&zone).naive_local();
        if !self.covers(local.time()) {
            return moment;
        }
        let ends_today = local.time() < self.to;
        let day = if ends_today {
            local.date()
        } else {
            day_after(local.date())
        };
        first_instant_at(day.and_time(self.to), zone, moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_from_a_time_to_itself_are_refused() {
        let seven = NaiveTime::from_hms_opt(7, 0, 0).unwrap();

        assert_eq!(Quiet::new(seven, seven), None);
    }
}
