//! The guard between an assistant that speaks up by itself and the person's phone. It stands
//! outside the sandbox, so whatever the assistant thinks or was told to think, it holds.

mod quiet;
#[cfg(test)]
mod tests;
mod wall_clock;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

pub(crate) use quiet::Quiet;
pub(crate) use wall_clock::local_midnight;

use wall_clock::next_local_midnight;

/// What a person allows their assistant to say unasked, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Preferences {
    /// The time the person lives by.
    pub(crate) zone: Tz,
    /// When not to disturb them. `None`: never mind the hour.
    pub(crate) quiet: Option<Quiet>,
    /// Most proactive texts in one local day. Zero holds every one of them.
    pub(crate) most_a_day: u32,
    /// Whether they want any at all.
    pub(crate) updates: Updates,
}

/// Whether the person wants proactive texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Updates {
    /// They never said no, or took it back.
    On,
    /// They said "stop updates".
    Stopped,
}

/// What becomes of a proactive text at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes out.
    Send,
    /// It waits, and is judged anew at `until`: by then the person may have changed their preferences,
    /// and the texts held before it may have used up the day.
    Hold {
        /// The earliest moment at which it can go out. Later than the moment it was judged at.
        until: DateTime<Utc>,
        /// What it waits for first.
        why: HoldReason,
    },
    /// The person stopped updates: it stays in the record and never goes out, also not when they
    /// resume. They asked for silence, not for a pile to fall on them later, and a reminder that
    /// is days late misleads. What they missed the assistant still has in its transcript: they
    /// can ask.
    Withhold,
}

/// Why a text waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HoldReason {
    /// It is night, or what the person calls so.
    QuietHours,
    /// The day's number of texts has gone out.
    DailyLimit,
}

/// Judges one proactive text at `now`, after `sent_today` others went out since
/// [`local_midnight`].
///
/// A reminder the person asked for is judged like anything else. That a text is one is the
/// assistant's own claim, and an assistant talked into disturbing someone would label everything
/// a reminder. The price: what was set for half past eleven at night comes in the morning, unless
/// the person moves their quiet hours or turns them off.
pub(crate) fn decide(now: DateTime<Utc>, sent_today: u32, preferences: &Preferences) -> Verdict {
    match preferences.updates {
        Updates::Stopped => return Verdict::Withhold,
        Updates::On => {}
    }
    let limit_reached = sent_today >= preferences.most_a_day;
    let within_limit = if limit_reached {
        next_local_midnight(now, preferences.zone)
    } else {
        now
    };
    let until = match preferences.quiet {
        Some(quiet) => quiet.over_after(within_limit, preferences.zone),
        None => within_limit,
    };
    let why = if limit_reached {
        HoldReason::DailyLimit
    } else {
        HoldReason::QuietHours
    };
    if until > now {
        Verdict::Hold { until, why }
    } else {
        Verdict::Send
    }
}
