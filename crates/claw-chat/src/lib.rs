//! The rules of the chat between a user and the host, as opposed to the user's assistant: the commands
//! the host obeys, the notices it sends, the user's preferences, and when the assistant may write
//! unprompted. Pure: knows no I/O, no clock, no database and no channel.

mod command;
mod notice;
mod numbering;
mod preferences;
mod proactive;
mod quiet_hours;
mod wall_clock;

pub use command::{Command, PIN_PLACEHOLDER, command_of, pin_of};
pub use notice::Notice;
pub use numbering::zone_of;
pub use preferences::{Defaults, Preferences, Stored, Updates};
pub use proactive::{Decision, decide};
pub use quiet_hours::{NO_QUIET_HOURS, QuietHours};
pub use wall_clock::local_midnight;
