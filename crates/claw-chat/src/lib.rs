//! The rules of the conversation with a user: what a message asks for, which messages are answered
//! together and in which order, the commands Clawkaka obeys itself, the notices it sends, the user's
//! preferences, when the assistant may write unprompted, when its sandbox sleeps and what it wakes for,
//! which newcomers come in, and which callers count as the user. Pure: knows no I/O, no clock and no database.

mod admission;
mod callers;
mod command;
mod item;
mod notice;
mod numbering;
mod plan;
mod preferences;
mod proactive;
mod queue;
mod quiet_hours;
mod rest;
mod wall_clock;

pub use admission::{Admission, Arrival, Code, Refused, Verdict};
pub use callers::{CallDecision, CallerNumber, VoiceTrust};
pub use command::{
    Command, PIN_PLACEHOLDER, UNUSABLE_PIN_PLACEHOLDER, command_of, is_about_a_pin, pin_of,
};
pub use item::Item;
pub use notice::Notice;
pub use numbering::{language_of, zone_of};
pub use plan::Plan;
pub use preferences::{Defaults, Preferences, Stored, Updates};
pub use proactive::{Decision, Quota, decide};
pub use queue::{Batch, Next, confirm_stop, next};
pub use quiet_hours::{NO_QUIET_HOURS, QuietHours};
pub use rest::{Agenda, JobKind, Need, PlannedJob, Rest, WakeLimits, rest};
pub use wall_clock::local_midnight;
