mod quota;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};

pub use quota::Quota;

use crate::{Preferences, Updates, wall_clock::next_local_midnight};

/// The decision on a proactive message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Send it at once: it is neither in quiet hours nor over the daily limit.
    Send,
    /// Hold it and decide again at this moment, which is in the future: by then the user may have
    /// changed their preferences, and earlier held messages may have used up the day's limit.
    HoldUntil(DateTime<Utc>),
    /// Keep it in the record and never send it, not even when the user resumes updates. A user who asked
    /// for silence does not want a pile of messages later, and a reminder that is days late misleads.
    /// The assistant still has the message in its transcript, so the user can ask.
    Withhold,
}

/// Decides on one proactive message at `now`, if `sent_today` others have been sent since
/// [`local_midnight`](crate::local_midnight). This runs outside the sandbox, so it holds whatever the
/// assistant thinks or was talked into.
///
/// A reminder the user asked for gets no exception. Only the assistant says that a message is a reminder,
/// and an assistant talked into disturbing its user would call every message one. So a reminder set for
/// 23:30 arrives in the morning, unless the user changes their quiet hours or turns them off.
pub fn decide(now: DateTime<Utc>, sent_today: u32, preferences: &Preferences) -> Decision {
    if preferences.updates == Updates::Stopped {
        return Decision::Withhold;
    }
    let within_limit = if sent_today >= preferences.daily_limit {
        next_local_midnight(now, preferences.zone)
    } else {
        now
    };
    let until = preferences.quiet_hours.map_or(within_limit, |hours| {
        hours.end_after(within_limit, preferences.zone)
    });
    if until > now {
        Decision::HoldUntil(until)
    } else {
        Decision::Send
    }
}
