use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use claw_domain::Language;
use strum::IntoStaticStr;

use crate::QuietHours;

/// A message of Clawkaka itself, as opposed to the assistant's. A closed set, so that nobody else's error
/// text ever reaches a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Notice {
    /// The user opened the chat and has not written yet.
    Welcome,
    /// No more newcomers come in this hour.
    FullThisHour,
    /// No more newcomers come in today.
    FullToday,
    /// Newcomers need an invite.
    InviteNeeded,
    /// The invite code is not known.
    UnknownInvite,
    /// No newcomers come in.
    Closed,
    /// The user's first sandbox is being created.
    SettingUp,
    /// The sandbox exists but does not answer at the moment.
    WakingUp,
    /// All places are taken; the user is on the waiting list.
    NoRoom,
    /// The sandbox could not be created; creating it will be tried again.
    SetupTrouble,
    /// A kind of content we cannot read yet, as a plural.
    CannotRead(&'static str),
    /// An edited message. WhatsApp does not send us the new text in a usable form.
    CannotSeeEdits,
    /// A message that WhatsApp could not hand over.
    PleaseResend,
    /// The model rejects our key or does not exist: the operator must act.
    ModelUnavailable,
    /// The spending limit is reached.
    LimitReached,
    /// The model is overloaded or too slow.
    ModelBusy,
    /// The answer was cut off and will not come.
    LostThread,
    /// The turn is taking long.
    StillWorking,
    /// Many messages wait behind the turn.
    Backlog,
    /// The user stopped the turn.
    Stopped,
    /// The operator suspended the user.
    Suspended,
    /// The assistant is ready: a caller we could not connect can call again.
    AssistantReady,
    /// Somebody called from the user's number without proof, at this moment; with the user's time zone.
    CalledAsYou(Tz, DateTime<Utc>),
    /// A caller gave a wrong PIN, at this moment; with the user's time zone.
    WrongPin(Tz, DateTime<Utc>),
    /// The PIN is set.
    PinSet,
    /// The PIN is removed.
    PinRemoved,
    /// A PIN with too few or too many digits.
    UnknownPin,
    /// The language to speak on the phone is set.
    LanguageSet(Language),
    /// A language we do not speak on the phone.
    UnknownLanguage,
    /// Proactive messages are turned off.
    UpdatesStopped,
    /// Proactive messages are turned on again.
    UpdatesResumed,
    /// The time zone is set; with the moment at which the user set it.
    ZoneSet(Tz, DateTime<Utc>),
    /// An unknown time zone.
    UnknownZone,
    /// The quiet hours are set, in this time zone.
    #[strum(serialize = "quiet_set")]
    QuietHoursSet(QuietHours, Tz),
    /// Quiet hours are turned off.
    #[strum(serialize = "quiet_off")]
    QuietHoursOff,
    /// Quiet hours that make no sense.
    #[strum(serialize = "unknown_quiet")]
    UnknownQuietHours,
}

impl Notice {
    /// The name in metrics and in the ids of replies.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The text the user reads.
    #[expect(clippy::too_many_lines, reason = "one line for each notice")]
    pub fn text(self) -> String {
        match self {
            Self::Welcome => {
                "Hi! I'm your personal assistant. Write me anything: what you ate, what you \
                 spent, what to remind you of."
                    .into()
            }
            Self::FullThisHour => {
                "Thanks for writing! We are full for the moment; please write again in an hour.".into()
            }
            Self::FullToday => {
                "Thanks for writing! We are full for today; please write again tomorrow.".into()
            }
            Self::InviteNeeded => {
                "Thanks for writing! Please send the invite code that you were given.".into()
            }
            Self::UnknownInvite => {
                "I don't know that invite code. Please check it, and send it again in a few minutes."
                    .into()
            }
            Self::Closed => "Sorry, this assistant is private.".into(),
            Self::SettingUp => {
                "Hi! I'm setting up your personal assistant, which takes about a minute. \
                 Your message is safe, and the answer will come right here."
                    .into()
            }
            Self::WakingUp => {
                "One moment, I'm just starting up again. Your message is safe.".into()
            }
            Self::NoRoom => {
                "Thanks for writing! All places are taken right now. You're on the waiting list, \
                 your message is safe, and I'll answer here as soon as there is room."
                    .into()
            }
            Self::SetupTrouble => {
                "I hit a snag setting up your assistant. I'll keep trying, and your message \
                 is safe."
                    .into()
            }
            Self::CannotRead(what) => {
                format!("I can't read {what} yet. Tell me in words and I'll take it from there.")
            }
            Self::CannotSeeEdits => {
                "I can't see edited messages yet. Please send the new version as a new message."
                    .into()
            }
            Self::PleaseResend => {
                "WhatsApp couldn't hand me your last message. Please send it again.".into()
            }
            Self::ModelUnavailable => {
                "I can't think right now: the AI service isn't accepting my requests. The \
                 operator has been told. Please try again later."
                    .into()
            }
            Self::LimitReached => {
                "I've reached my spending limit for now, so I can't answer until it \
                 resets. Everything you've noted is safe."
                    .into()
            }
            Self::ModelBusy => {
                "The AI service is overloaded right now. Please ask me again in a few \
                 minutes."
                    .into()
            }
            Self::LostThread => {
                "Sorry, I lost track of your last message. Please send it again.".into()
            }
            Self::StillWorking => {
                "I'm still working on it. Say \"stop\" if you'd rather I didn't.".into()
            }
            Self::Backlog => {
                "I've got all your messages. I'm still busy with the first ones and will answer \
                 the rest right after."
                    .into()
            }
            Self::Stopped => "Okay, I've stopped.".into(),
            Self::Suspended => {
                "I've been paused by the people who run this service. Your messages are safe, and \
                 I'll answer them when I'm back."
                    .into()
            }
            Self::AssistantReady => ASSISTANT_READY.into(),
            Self::CalledAsYou(zone, at) => format!(
                "Somebody called me from your number {}. If that was you, all is well. Anybody can fake a number, so \
                 if it wasn't you, set a PIN: write \"pin\" and 4 to 8 digits, for example \"pin 2580\". From then \
                 on I'll ask callers for it.",
                moment(zone, at)
            ),
            Self::WrongPin(zone, at) => format!(
                "Somebody called as you {} and gave a wrong PIN. If that wasn't you, they may be guessing: you can \
                 set a longer PIN here at any time, for example \"pin 25809731\".",
                moment(zone, at)
            ),
            Self::PinSet => PIN_SET.into(),
            Self::PinRemoved => "Noted: you no longer have a PIN.".into(),
            Self::UnknownPin => UNKNOWN_PIN.into(),
            Self::LanguageSet(language) => format!(
                "Noted: from your next call on, we'll speak {} on the phone. You can write to me \
                 in any language.",
                spoken_name(language)
            ),
            Self::UnknownLanguage => unknown_language(),
            Self::UpdatesStopped => {
                "Okay, I'll only write when you write to me. Say \"resume updates\" to hear from me \
                 again."
                    .into()
            }
            Self::UpdatesResumed => {
                "Good to be back! I'll write to you again when there is something to say.".into()
            }
            Self::ZoneSet(zone, now) => format!(
                "Noted: your time zone is {zone}, where it is {} right now.",
                now.with_timezone(&zone).format("%H:%M")
            ),
            Self::UnknownZone => {
                "I don't know that time zone. Write the nearest big city, for example \
                 \"timezone Berlin\" or \"timezone New York\"."
                    .into()
            }
            Self::QuietHoursSet(hours, zone) => format!(
                "Noted: I'll keep quiet from {} to {} ({zone}). Say \"quiet hours off\" to end that.",
                hours.start().format("%H:%M"),
                hours.end().format("%H:%M")
            ),
            Self::QuietHoursOff => "Noted: no quiet hours. I'll write at any time.".into(),
            Self::UnknownQuietHours => {
                "I didn't get those times. Write them like \"quiet hours 22:00 to 07:00\", or \
                 write \"quiet hours off\"."
                    .into()
            }
        }
    }
}

const ASSISTANT_READY: &str = "You called while I was still being set up. I'm ready now: call again, \
    or just write to me here.";
const PIN_SET: &str = "Noted: on the phone I'll know you by this PIN when your number doesn't prove it's \
    you. You can delete your message that contains the PIN. Say \"remove pin\" to undo this.";
const UNKNOWN_PIN: &str =
    "A PIN has 4 to 8 digits. Write it like \"pin 4711\", or write \"remove pin\".";

/// A moment as a user reads it: "on Monday, 30 November at 14:05 (Europe/Berlin)".
fn moment(zone: Tz, at: DateTime<Utc>) -> String {
    let local = at.with_timezone(&zone);
    format!("on {} ({zone})", local.format("%A, %-d %B at %H:%M"))
}

/// The English name of a language; unlike [`Language::english_name`] it tells the two Englishes apart.
const fn spoken_name(language: Language) -> &'static str {
    match language {
        Language::EnglishGb => "British English",
        Language::EnglishUs
        | Language::German
        | Language::Spanish
        | Language::French
        | Language::Italian
        | Language::PortugueseBr
        | Language::Dutch
        | Language::Hindi => language.english_name(),
    }
}

fn unknown_language() -> String {
    let names: Vec<_> = Language::ALL.iter().copied().map(spoken_name).collect();
    let names = names.join(", ");
    format!(
        "I don't speak that on the phone yet. I speak {names}. Write it like \"language German\"."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_language_is_answered_with_all_known_ones() {
        let text = Notice::UnknownLanguage.text();

        for &language in Language::ALL {
            assert!(text.contains(spoken_name(language)), "{text}");
        }
    }

    #[test]
    fn a_warning_tells_when_the_call_was_in_the_users_time_zone() {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let zone = chrono_tz::Europe::Berlin;

        for notice in [Notice::CalledAsYou(zone, at), Notice::WrongPin(zone, at)] {
            let text = notice.text();
            assert!(
                text.contains("on Tuesday, 14 November at 23:13 (Europe/Berlin)"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_notice_keeps_its_name() {
        assert_eq!(Notice::CannotRead("pictures").name(), "cannot_read");
        assert_eq!(Notice::QuietHoursOff.name(), "quiet_off");
    }
}
