//! What a person can say to the host itself. Recognised word by word, never guessed: a line that
//! only resembles a command is talk, and talk is for the assistant.

mod hours;
mod places;
#[cfg(test)]
mod tests;
mod tongues;

use chrono_tz::Tz;
use claw_domain::{Language, Pin};

use crate::guard::Quiet;
use hours::quiet_of;
use places::zone_named;
use tongues::language_command;

/// Something the host does itself; the assistant neither sees it nor can undo it.
///
/// Each is confirmed by a line of our own, which names what was understood so that a mistake shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// "stop": end the running turn. Means something only while one runs; else it is talk.
    ///
    /// Confirmed by: "Okay, I've stopped."
    Stop,
    /// "stop updates": nothing proactive from here on.
    ///
    /// Confirmed by: "Okay, I'll only write when you write to me. Say 'resume updates' to hear
    /// from me again."
    StopUpdates,
    /// "resume updates". A bare "resume" could be a CV: while updates are on it is better taken for
    /// talk.
    ///
    /// Confirmed by: "Good to be back! I'll write to you again when there is something to say."
    ResumeUpdates,
    /// "timezone Europe/Berlin".
    ///
    /// Confirmed by: "Noted: your time zone is Europe/Berlin, where it is 14:05 right now."
    SetZone(Tz),
    /// A time zone was meant, but not one we know.
    ///
    /// Answered by: "I don't know that time zone. Write the nearest big city, for example
    /// 'timezone Berlin' or 'timezone New York'."
    UnknownZone,
    /// "quiet hours 22-7", or `None` for "quiet hours off".
    ///
    /// Confirmed by: "Noted: I keep quiet from 22:00 to 07:00 (Europe/Berlin). Say 'quiet hours
    /// off' to end that.", or: "Noted: no quiet hours. I'll write at any time."
    SetQuiet(Option<Quiet>),
    /// Quiet hours were meant, but the times make no sense.
    ///
    /// Answered by: "I didn't get those times. Write it like 'quiet hours 22:00 to 07:00', or
    /// 'quiet hours off'."
    UnknownQuiet,
    /// "language german": what they want to speak on the phone.
    ///
    /// Confirmed by: "Noted: on the phone we speak German from your next call on. …"
    SetLanguage(Language),
    /// A language was meant, but none that we speak on the phone.
    ///
    /// Answered by: "I don't speak that on the phone yet. There is: English, …"
    UnknownLanguage,
    /// "pin 4711": by what they want to be known on the phone. Which one, [`pin_of`] tells: a command is
    /// copied and printed.
    ///
    /// Confirmed by: "Noted: on the phone I know you by this PIN …"
    SetPin,
    /// "remove pin".
    ///
    /// Confirmed by: "Noted: you have no PIN any more."
    RemovePin,
    /// A PIN was meant, but it is too short or too long.
    ///
    /// Answered by: "A PIN has 4 to 8 digits. …"
    UnknownPin,
}

/// Longest text that can be a command, in bytes: the longest zone with all the words around it
/// has some sixty.
const COMMAND_LIMIT_BYTES: usize = 100;

/// Most words of a place we answer for although we do not know it: "South Africa" was meant as a
/// time zone, "the one my mother lives in" is for the assistant to talk about.
const UNKNOWN_PLACE_LIMIT_WORDS: usize = 2;

/// The command this text is, if it is one as a whole. Capitals, blanks, "please" and a full stop
/// do not matter; a question mark does, since a question is no order.
pub(crate) fn command_of(text: &str) -> Option<Command> {
    let is_question = text.trim_end().ends_with('?');
    if is_question || text.len() > COMMAND_LIMIT_BYTES {
        return None;
    }
    let plain = plain_words(text);
    match plain.as_str() {
        "stop" => Some(Command::Stop),
        "stop updates" | "pause updates" | "no more updates" => Some(Command::StopUpdates),
        "resume" | "resume updates" | "start updates" => Some(Command::ResumeUpdates),
        PIN_IS_KEPT => Some(Command::SetPin),
        "remove pin" | "remove my pin" | "delete pin" | "delete my pin" => Some(Command::RemovePin),
        words => zone_command(words)
            .or_else(|| quiet_command(words))
            .or_else(|| language_command(words))
            .or_else(|| pin_command(words)),
    }
}

/// What is written down of a message that sets a PIN. Read again, it is confirmed.
pub(crate) const PIN_IS_KEPT: &str = "pin ••••";

/// The PIN in a text that is [`Command::SetPin`].
pub(crate) fn pin_of(text: &str) -> Option<Pin> {
    Pin::try_from(pin_digits(&plain_words(text))?).ok()
}

fn pin_command(words: &str) -> Option<Command> {
    let is_pin = Pin::try_from(pin_digits(words)?).is_ok();
    Some(if is_pin {
        Command::SetPin
    } else {
        Command::UnknownPin
    })
}

/// "pin 4711", "set pin 4711", "set my pin to 4711", "my pin is 4711": the digits.
fn pin_digits(words: &str) -> Option<&str> {
    let words = words.strip_prefix("set ").unwrap_or(words);
    let words = words.strip_prefix("my ").unwrap_or(words);
    let rest = words.strip_prefix("pin ")?;
    let rest = rest.strip_prefix("is ").unwrap_or(rest);
    let rest = rest.strip_prefix("to ").unwrap_or(rest);
    let is_number = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(rest)
}

/// Lower case, single blanks, and without the courtesies around.
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

/// "timezone …", "time zone: …", "my time zone is …".
fn zone_command(words: &str) -> Option<Command> {
    let words = words.strip_prefix("my ").unwrap_or(words);
    let rest = words
        .strip_prefix("timezone")
        .or_else(|| words.strip_prefix("time zone"))?;
    let place = said_after(rest)?;
    let place = place.strip_prefix("is ").unwrap_or(place);
    let meant_as_zone =
        place.contains('/') || place.split(' ').count() <= UNKNOWN_PLACE_LIMIT_WORDS;
    match zone_named(place) {
        Some(zone) => Some(Command::SetZone(zone)),
        None if meant_as_zone => Some(Command::UnknownZone),
        None => None,
    }
}

/// "quiet hours 22-7", "quiet hours: from 22:30 to 07:00", "quiet hours off".
fn quiet_command(words: &str) -> Option<Command> {
    let words = words.strip_prefix("my ").unwrap_or(words);
    let hours = said_after(words.strip_prefix("quiet hours")?)?;
    let hours = hours.strip_prefix("are ").unwrap_or(hours);
    let hours = hours.strip_prefix("from ").unwrap_or(hours);
    let meant_as_times = hours.starts_with(|first: char| first.is_ascii_digit());
    if hours == "off" {
        Some(Command::SetQuiet(None))
    } else if meant_as_times {
        Some(match quiet_of(hours) {
            Some(quiet) => Command::SetQuiet(Some(quiet)),
            None => Command::UnknownQuiet,
        })
    } else {
        None
    }
}

/// What follows a key word: after a colon or a blank, and not nothing.
fn said_after(rest: &str) -> Option<&str> {
    let said = rest
        .strip_prefix(':')
        .or_else(|| rest.strip_prefix(' '))?
        .trim_start();
    (!said.is_empty()).then_some(said)
}
