//! What a call does next. Pure: the door asks, waits, and says what is decided here.

use std::time::Duration;

use claw_domain::Sensitive;
use claw_events::{CallStatus, Speech, TurnStatus};

/// How long a webhook waits for an answer before the caller hears that it is being worked on.
pub(crate) const FIRST_WAIT: Duration = Duration::from_millis(1_500);

/// How long it waits between two such lines: the longest silence of ours. Twilio gives up after 15 s.
pub(crate) const WAIT: Duration = Duration::from_secs(8);

/// Lines a caller hears while one answer is waited for; then it goes to their chat.
const FILLERS: u32 = 8;

/// Lines a caller hears while their assistant is made; then they hear of it in their chat.
const SETUP_FILLERS: u32 = 10;

/// Times a silent caller is asked again.
const REPEATS: u32 = 2;

/// How far a call has come, as the URLs say that we hand to Twilio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// The turn that is listened or waited for; while the assistant is, the one that comes then.
    pub(crate) turn: u32,
    /// How often the caller was asked and said nothing.
    pub(crate) silences: u32,
    /// How often the caller was told that it takes a moment longer.
    pub(crate) fillers: u32,
}

/// A line of our own. The caller hears it in their language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// The assistant is there.
    Greeting,
    /// The assistant is being made for the first time, or woken up.
    SettingUp,
    /// It still is; the number tells the lines apart.
    StillSettingUp(u32),
    /// It takes too long: they hear of it in their chat.
    WillWriteWhenReady,
    /// The answer takes a moment; the number tells the lines apart.
    Filler(u32),
    /// Nothing was heard; the number tells the lines apart.
    Pardon(u32),
    /// The caller says nothing.
    Goodbye,
    /// Nothing works, and it is our fault.
    Apology,
    /// They are to prove who they are.
    AskPin,
    /// That was another PIN.
    WrongPin,
    /// Nothing proves who they are.
    CannotTellWhoCalls,
    /// They hide their number, and are to key it.
    AskNumber,
    /// The assistant failed; they may ask again.
    CouldNotAnswer,
    /// The answer comes in the chat; anything else?
    AnswerInChat,
    /// The rest of the answer is in the chat.
    RestInChat,
    /// The stream broke; from here on word by word.
    BrokenOff,
}

/// What the caller hears, and what comes after it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Beat {
    /// In this order.
    pub(crate) say: Vec<Words>,
    pub(crate) then: Then,
}

impl Beat {
    /// Whether the assistant's own words are among those that the caller hears.
    pub(crate) fn is_answer(&self) -> bool {
        let is_theirs = |words: &Words| matches!(words, Words::Theirs(_));
        self.say.iter().any(is_theirs)
    }
}

/// Words of ours or of the assistant's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Words {
    Ours(Line),
    Theirs(Sensitive<String>),
}

/// What follows the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The caller speaks; they may do so over our words.
    Listen(Progress),
    /// Keys, or digits spoken.
    ListenForDigits(Progress),
    /// We are asked again, at once, for the answer to the turn.
    Wait(Progress),
    /// The same, for the assistant.
    WaitForCall(Progress),
    /// The call ends.
    HangUp,
}

/// The phone rings. `standing` is `None` when nobody has said anything of the call in time: whoever calls
/// with their own number is listened to, what they say is kept, and the rest shows.
pub(crate) fn answer(standing: Option<CallStatus>, is_trusted: bool) -> Beat {
    match standing {
        Some(standing) => go_on(standing, 1),
        None if is_trusted => listen(vec![ours(Line::Greeting)], 1),
        None => Beat {
            say: vec![ours(Line::Filler(0))],
            then: Then::WaitForCall(Progress {
                turn: 1,
                fillers: 1,
                ..Progress::default()
            }),
        },
    }
}

/// The call was waited for: the assistant is made, or the caller is not known yet.
pub(crate) fn after_call(standing: Option<CallStatus>, progress: Progress) -> Beat {
    match standing {
        Some(CallStatus::SettingUp) | None if progress.fillers < SETUP_FILLERS => Beat {
            say: vec![ours(match standing {
                Some(_) => Line::StillSettingUp(progress.fillers),
                None => Line::Filler(progress.fillers),
            })],
            then: Then::WaitForCall(Progress {
                fillers: progress.fillers + 1,
                ..progress
            }),
        },
        Some(CallStatus::SettingUp) => hang_up(Line::WillWriteWhenReady),
        None => hang_up(Line::Apology),
        Some(standing) => go_on(standing, progress.turn),
    }
}

/// An answer was waited for.
pub(crate) fn after_turn(came: Option<TurnStatus>, progress: Progress) -> Outcome {
    match came {
        Some(TurnStatus::Speech(speech)) => Outcome::Say(after_speech(speech, progress)),
        Some(TurnStatus::GivenUp) => {
            Outcome::Say(listen(vec![ours(Line::AnswerInChat)], progress.turn + 1))
        }
        Some(TurnStatus::Failed) => {
            Outcome::Say(listen(vec![ours(Line::CouldNotAnswer)], progress.turn + 1))
        }
        Some(TurnStatus::SeeCall) => Outcome::SeeCall,
        None if progress.fillers < FILLERS => Outcome::Say(Beat {
            say: vec![ours(Line::Filler(progress.fillers))],
            then: Then::Wait(Progress {
                fillers: progress.fillers + 1,
                ..progress
            }),
        }),
        None => Outcome::GiveUp,
    }
}

/// What is to be done when an answer was waited for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Say(Beat),
    /// Note that nobody waits any longer, and say what that gives.
    GiveUp,
    /// See what the call has come to: [`go_on`].
    SeeCall,
}

/// The caller said nothing.
pub(crate) fn after_silence(progress: Progress) -> Beat {
    if progress.silences >= REPEATS {
        return hang_up(Line::Goodbye);
    }
    Beat {
        say: vec![ours(Line::Pardon(progress.silences))],
        then: Then::Listen(Progress {
            silences: progress.silences + 1,
            ..progress
        }),
    }
}

/// What the call has come to decides; `turn` is the next.
pub(crate) fn go_on(standing: CallStatus, turn: u32) -> Beat {
    match standing {
        CallStatus::Ready { .. } => listen(vec![ours(Line::Greeting)], turn),
        CallStatus::SettingUp => Beat {
            say: vec![ours(Line::SettingUp)],
            then: Then::WaitForCall(Progress {
                turn,
                ..Progress::default()
            }),
        },
        CallStatus::NeedsPin { was_wrong } => Beat {
            say: vec![ours(if was_wrong {
                Line::WrongPin
            } else {
                Line::AskPin
            })],
            then: Then::ListenForDigits(Progress {
                turn,
                ..Progress::default()
            }),
        },
        CallStatus::Refused => hang_up(Line::CannotTellWhoCalls),
    }
}

/// The caller hides their number: they are to key it, and then to prove that it is theirs.
pub(crate) fn ask_number() -> Beat {
    Beat {
        say: vec![ours(Line::AskNumber)],
        then: Then::ListenForDigits(Progress::default()),
    }
}

/// What they keyed is no number.
pub(crate) fn hidden(progress: Progress) -> Beat {
    if progress.silences >= REPEATS {
        return hang_up(Line::CannotTellWhoCalls);
    }
    Beat {
        then: Then::ListenForDigits(Progress {
            silences: progress.silences + 1,
            ..progress
        }),
        ..ask_number()
    }
}

/// A streamed conversation was handed over by another replica, or ended by us on purpose.
pub(crate) fn taken_over(waits_for: Option<u32>, next: u32) -> Beat {
    go_on_silently(Vec::new(), waits_for, next)
}

/// A streamed conversation broke, and cannot be had again.
pub(crate) fn after_break(waits_for: Option<u32>, next: u32) -> Beat {
    go_on_silently(vec![ours(Line::BrokenOff)], waits_for, next)
}

/// The caller has hung up, or everything is said.
pub(crate) const fn over() -> Beat {
    Beat {
        say: Vec::new(),
        then: Then::HangUp,
    }
}

/// Nothing works.
pub(crate) fn sorry() -> Beat {
    hang_up(Line::Apology)
}

fn after_speech(speech: Speech, progress: Progress) -> Beat {
    let mut say = vec![Words::Theirs(speech.text)];
    if speech.is_cut {
        say.push(ours(Line::RestInChat));
    }
    listen(say, progress.turn + 1)
}

/// The caller is listened to, or, if an answer is still owed to them, waits for it.
fn go_on_silently(say: Vec<Words>, waits_for: Option<u32>, next: u32) -> Beat {
    let Some(turn) = waits_for else {
        return listen(say, next);
    };
    let then = Then::Wait(Progress {
        turn,
        ..Progress::default()
    });
    Beat { say, then }
}

fn listen(say: Vec<Words>, turn: u32) -> Beat {
    Beat {
        say,
        then: Then::Listen(Progress {
            turn,
            ..Progress::default()
        }),
    }
}

fn hang_up(line: Line) -> Beat {
    Beat {
        say: vec![ours(line)],
        then: Then::HangUp,
    }
}

const fn ours(line: Line) -> Words {
    Words::Ours(line)
}

#[cfg(test)]
mod tests;
