use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use claw_agent::RunFailure;
use claw_domain::{Language, MessageId, ReplyId, ReplySource, Sensitive};
use claw_store::{Disposition, NewReply};

use crate::guard::Quiet;

/// What we say in our own name, as opposed to the assistant's. A closed set, so that no error text
/// of anyone else's ever reaches a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The chat was opened; nothing was asked yet.
    Welcome,
    /// The assistant is being made for the first time.
    SettingUp,
    /// The assistant exists but does not answer at this moment.
    WakingUp,
    /// Every place is taken.
    NoRoom,
    /// The assistant could not be made; it is tried again.
    SetupTrouble,
    /// This kind of thing cannot be read yet.
    CannotRead(&'static str),
    /// A changed message does not reach us in a form to act on.
    CannotSeeEdits,
    /// A message that WhatsApp could not hand over.
    PleaseResend,
    /// The model does not know us any more, or is not there: for the operator to mend.
    ModelUnavailable,
    /// The spending limit is reached.
    LimitReached,
    /// The model is overloaded or too slow.
    ModelBusy,
    /// The answer was cut off and will not come.
    LostThread,
    /// The turn takes long.
    StillWorking,
    /// Much waits behind the turn.
    Backlog,
    /// The person stopped the turn.
    Stopped,
    /// Who called and could not be put through can be now.
    AssistantReady,
    /// The PIN is kept.
    PinSet,
    /// There is no PIN any more.
    PinRemoved,
    /// A PIN was meant, but it makes none.
    UnknownPin,
    /// What they want to speak on the phone.
    LanguageSet(Language),
    /// A language we do not speak on the phone.
    UnknownLanguage,
    /// Nothing unasked from now on.
    UpdatesStopped,
    /// Texts nobody asked for are welcome again.
    UpdatesResumed,
    /// The person's time zone, and the time at which they told it.
    ZoneSet(Tz, DateTime<Utc>),
    /// A time zone we do not know.
    UnknownZone,
    /// The person's quiet hours, and by which zone.
    QuietSet(Quiet, Tz),
    /// No quiet hours.
    QuietOff,
    /// Times that make no sense.
    UnknownQuiet,
}

const ASSISTANT_READY: &str = "You called while I was still being set up. I'm ready now: call again, \
    or just write to me here.";
const PIN_SET: &str = "Noted: on the phone I know you by this PIN when your number doesn't prove it's you. \
    You can delete your message with it. Say \"remove pin\" to end that.";
const UNKNOWN_PIN: &str = "A PIN has 4 to 8 digits. Write it like \"pin 4711\", or \"remove pin\".";

impl Notice {
    /// The name in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::SettingUp => "setting_up",
            Self::WakingUp => "waking_up",
            Self::NoRoom => "no_room",
            Self::SetupTrouble => "setup_trouble",
            Self::CannotRead(_) => "cannot_read",
            Self::CannotSeeEdits => "cannot_see_edits",
            Self::PleaseResend => "please_resend",
            Self::ModelUnavailable => "model_unavailable",
            Self::LimitReached => "limit_reached",
            Self::ModelBusy => "model_busy",
            Self::LostThread => "lost_thread",
            Self::StillWorking => "still_working",
            Self::Backlog => "backlog",
            Self::Stopped => "stopped",
            Self::AssistantReady => "assistant_ready",
            Self::PinSet => "pin_set",
            Self::PinRemoved => "pin_removed",
            Self::UnknownPin => "unknown_pin",
            Self::LanguageSet(_) => "language_set",
            Self::UnknownLanguage => "unknown_language",
            Self::UpdatesStopped => "updates_stopped",
            Self::UpdatesResumed => "updates_resumed",
            Self::ZoneSet(..) => "zone_set",
            Self::UnknownZone => "unknown_zone",
            Self::QuietSet(..) => "quiet_set",
            Self::QuietOff => "quiet_off",
            Self::UnknownQuiet => "unknown_quiet",
        }
    }

    fn text(self) -> String {
        match self {
            Self::Welcome => {
                "Hi! I'm your personal assistant. Write me anything: what you ate, what you \
                 spent, what to remind you of."
                    .into()
            }
            Self::SettingUp => {
                "Hi! I'm setting up your personal assistant, which takes about a minute. \
                 Your message is safe, and the answer comes right here."
                    .into()
            }
            Self::WakingUp => {
                "One moment, I'm just starting up again. Your message is safe.".into()
            }
            Self::NoRoom => {
                "Thanks for writing! All places are taken right now. You're on the list, your \
                 message is kept, and I'll answer here as soon as there is room."
                    .into()
            }
            Self::SetupTrouble => {
                "I hit a snag setting up your assistant. I keep trying, and your message \
                 is kept."
                    .into()
            }
            Self::CannotRead(what) => {
                format!("I can't read {what} yet. Tell me in words and I'll take it from there.")
            }
            Self::CannotSeeEdits => {
                "I can't see edited messages yet. Please send the new version as a \
                 message of its own."
                    .into()
            }
            Self::PleaseResend => {
                "WhatsApp couldn't hand me your last message. Please send it again.".into()
            }
            Self::ModelUnavailable => {
                "I can't think right now: the AI service doesn't accept me. The \
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
                "Sorry, I lost my thread on your last message. Please send it again.".into()
            }
            Self::StillWorking => {
                "I'm still working on it. Say \"stop\" if you'd rather I didn't.".into()
            }
            Self::Backlog => {
                "I've got all your messages. I'm still busy with the first ones, and answer the \
                 rest right after."
                    .into()
            }
            Self::Stopped => "Okay, I've stopped.".into(),
            Self::AssistantReady => ASSISTANT_READY.into(),
            Self::PinSet => PIN_SET.into(),
            Self::PinRemoved => "Noted: you have no PIN any more.".into(),
            Self::UnknownPin => UNKNOWN_PIN.into(),
            Self::LanguageSet(language) => format!(
                "Noted: on the phone we speak {} from your next call on. Write to me in any language.",
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
            Self::QuietSet(quiet, zone) => format!(
                "Noted: I keep quiet from {} to {} ({zone}). Say \"quiet hours off\" to end that.",
                quiet.from().format("%H:%M"),
                quiet.to().format("%H:%M")
            ),
            Self::QuietOff => "Noted: no quiet hours. I'll write at any time.".into(),
            Self::UnknownQuiet => {
                "I didn't get those times. Write it like \"quiet hours 22:00 to 07:00\", or \
                 \"quiet hours off\"."
                    .into()
            }
        }
    }

    /// The reply that says this because of `cause`: the same cause and notice make the same reply,
    /// so it is said once however often it is decided.
    pub(crate) fn because_of(self, cause: MessageId) -> NewReply {
        NewReply {
            id: ReplyId::derived_from(&format!("notice:{}:{cause}", self.name())),
            text: Sensitive::new(self.text()),
            source: ReplySource::Notice,
            run_id: None,
            cause: Some(cause),
            disposition: Disposition::Published,
        }
    }
}

/// What a language is called where one language is told from another.
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
        "I don't speak that on the phone yet. There is: {names}. Write it like \"language German\"."
    )
}

/// What to say about a failed run. A used-up limit reads differently from a provider that is down.
pub(crate) const fn notice_of_failure(failure: RunFailure) -> Notice {
    match failure {
        RunFailure::Billing => Notice::LimitReached,
        RunFailure::Auth | RunFailure::ModelNotFound => Notice::ModelUnavailable,
        RunFailure::RateLimit | RunFailure::ServerError | RunFailure::Timeout => Notice::ModelBusy,
        RunFailure::Other => Notice::LostThread,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_notice_for_the_same_message_is_one_reply() {
        let cause = MessageId::derived_from("wamid.A");
        let other = MessageId::derived_from("wamid.B");

        assert_eq!(
            Notice::SettingUp.because_of(cause).id,
            Notice::SettingUp.because_of(cause).id
        );
        assert_ne!(
            Notice::SettingUp.because_of(cause).id,
            Notice::SettingUp.because_of(other).id
        );
        assert_ne!(
            Notice::SettingUp.because_of(cause).id,
            Notice::NoRoom.because_of(cause).id
        );
    }

    #[test]
    fn whoever_asks_for_a_language_we_lack_hears_which_there_are() {
        let text = Notice::UnknownLanguage.text();

        for &language in Language::ALL {
            assert!(text.contains(spoken_name(language)), "{text}");
        }
    }

    #[test]
    fn a_used_up_limit_reads_differently_from_a_provider_that_is_down() {
        assert_eq!(notice_of_failure(RunFailure::Billing), Notice::LimitReached);
        assert_eq!(
            notice_of_failure(RunFailure::ServerError),
            Notice::ModelBusy
        );
    }
}
