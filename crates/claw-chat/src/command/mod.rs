mod language;
#[cfg(test)]
mod tests;
mod zone;

use chrono_tz::Tz;
use claw_domain::{Language, Pin};

use crate::QuietHours;
use language::language_command;
use zone::zone_command;

/// Something a user asks of Clawkaka itself. The assistant neither sees it nor can undo it.
///
/// Each command is answered with a [`Notice`](crate::Notice) of a similar name, which says what was
/// understood so that a mistake shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// "stop": end the running turn. Without a running turn the word is meant for the assistant.
    Stop,
    /// "stop updates": send no more proactive messages.
    StopUpdates,
    /// "resume updates", or "resume". The latter could be about a CV, so while updates are on it is
    /// taken for a message to the assistant.
    ResumeUpdates,
    /// "timezone Europe/Berlin": the zone of quiet hours and of the daily limit.
    SetZone(Tz),
    /// A time zone command that names no known zone.
    UnknownZone,
    /// "quiet hours 22-7", or `None` for "quiet hours off".
    SetQuietHours(Option<QuietHours>),
    /// A quiet-hours command with times that make no sense.
    UnknownQuietHours,
    /// "language german": the language to speak on the phone.
    SetLanguage(Language),
    /// A language command that names no language we speak on the phone.
    UnknownLanguage,
    /// "pin 4711": the PIN that identifies the user on the phone. The command does not hold the PIN,
    /// because commands are copied and printed: [`pin_of`] reads it.
    SetPin,
    /// "remove pin": callers cannot prove with a PIN any more that they are this user.
    RemovePin,
    /// A PIN command with too few or too many digits.
    UnknownPin,
}

/// Longest text that can be a command, in bytes: the longest zone with all optional words around it has
/// some sixty.
const COMMAND_LIMIT_BYTES: usize = 100;

/// The command, if the whole text is one; a text that only resembles a command is meant for the
/// assistant. Capitals, white space, "please" and a full stop are ignored. A question is never a
/// command.
pub fn command_of(text: &str) -> Option<Command> {
    let is_question = text.trim_end().ends_with('?');
    if is_question || text.len() > COMMAND_LIMIT_BYTES {
        return None;
    }
    let plain = plain_words(text);
    match plain.as_str() {
        "stop" => Some(Command::Stop),
        "stop updates" | "pause updates" | "no more updates" => Some(Command::StopUpdates),
        "resume" | "resume updates" | "start updates" => Some(Command::ResumeUpdates),
        PIN_PLACEHOLDER => Some(Command::SetPin),
        UNUSABLE_PIN_PLACEHOLDER => Some(Command::UnknownPin),
        "remove pin" | "remove my pin" | "delete pin" | "delete my pin" => Some(Command::RemovePin),
        words => zone_command(words)
            .or_else(|| quiet_command(words))
            .or_else(|| language_command(words))
            .or_else(|| pin_command(words)),
    }
}

/// The text stored in place of a message that sets a PIN. Read again, it is [`Command::SetPin`] without a
/// PIN.
pub const PIN_PLACEHOLDER: &str = "pin ••••";

/// The text stored in place of a message whose PIN has too few or too many digits.
pub const UNUSABLE_PIN_PLACEHOLDER: &str = "pin •";

/// Whether a text sets a PIN, or tries to: it may be neither stored nor shown.
pub fn is_about_a_pin(text: &str) -> bool {
    matches!(
        command_of(text),
        Some(Command::SetPin | Command::UnknownPin)
    )
}

/// The PIN in a text that is [`Command::SetPin`].
pub fn pin_of(text: &str) -> Option<Pin> {
    Pin::try_from(pin_digits(&plain_words(text))?.as_str()).ok()
}

fn pin_command(words: &str) -> Option<Command> {
    let is_pin = Pin::try_from(pin_digits(words)?.as_str()).is_ok();
    Some(if is_pin {
        Command::SetPin
    } else {
        Command::UnknownPin
    })
}

/// The digits in "pin 4711", "set pin: 47 11", "set my new pin to 4711" or "my pin is 47-11", in any script.
fn pin_digits(words: &str) -> Option<String> {
    let words = words.strip_prefix("set ").unwrap_or(words);
    let words = words.strip_prefix("change ").unwrap_or(words);
    let words = words.strip_prefix("my ").unwrap_or(words);
    let words = words.strip_prefix("new ").unwrap_or(words);
    let rest = words.strip_prefix("pin")?;
    let separators = [' ', ':', '='];
    let rest = rest
        .strip_prefix(separators)?
        .trim_start_matches(separators);
    let rest = rest.strip_prefix("is").unwrap_or(rest);
    let rest = rest.strip_prefix("to").unwrap_or(rest);
    let digits = rest.trim_start_matches(separators).split([' ', '-']);
    let digits: String = digits.collect();
    let is_number = !digits.is_empty() && digits.chars().all(char::is_numeric);
    is_number.then_some(digits)
}

/// The text in lower case, with single spaces, without "please" and end marks.
fn plain_words(text: &str) -> String {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    let line = words.join(" ");
    let line = without_end_mark(&line);
    let line = line
        .strip_prefix("please ")
        .or_else(|| line.strip_prefix("please, "))
        .unwrap_or(line);
    let line = line.strip_suffix(" please").unwrap_or(line);
    without_end_mark(line).to_owned()
}

fn without_end_mark(line: &str) -> &str {
    line.trim_end_matches(['.', '!', ',', ';', '…', ' '])
}

/// "quiet hours 22-7", "quiet hours: from 22:30 to 07:00", "quiet hours off".
fn quiet_command(words: &str) -> Option<Command> {
    let words = words.strip_prefix("my ").unwrap_or(words);
    let hours = argument_of(words.strip_prefix("quiet hours")?)?;
    let hours = hours.strip_prefix("are ").unwrap_or(hours);
    let hours = hours.strip_prefix("from ").unwrap_or(hours);
    let meant_as_times = hours.starts_with(|first: char| first.is_ascii_digit());
    if hours == "off" {
        Some(Command::SetQuietHours(None))
    } else if meant_as_times {
        Some(match QuietHours::parse(hours) {
            Some(hours) => Command::SetQuietHours(Some(hours)),
            None => Command::UnknownQuietHours,
        })
    } else {
        None
    }
}

/// The text after a keyword's colon or space; `None` if it is empty.
fn argument_of(rest: &str) -> Option<&str> {
    let argument = rest
        .strip_prefix(':')
        .or_else(|| rest.strip_prefix(' '))?
        .trim_start();
    (!argument.is_empty()).then_some(argument)
}
