//! Decides what a call does next. Pure: `call_control` waits and publishes, and `twiml` writes the response.

use std::time::Duration;

use claw_domain::Sensitive;
use claw_events::{CallStatus, Speech, TurnStatus};

use super::phrase::Phrase;

/// How long a caller waits for an answer before they hear a filler.
pub(crate) const FIRST_FILLER_AFTER: Duration = Duration::from_millis(1_500);

/// Time between two fillers: our longest silence. Twilio gives up on a webhook after 15 s.
pub(crate) const NEXT_FILLER_AFTER: Duration = Duration::from_secs(8);

/// Fillers for one answer; after them the answer goes to the caller's chat.
pub(crate) const MAX_FILLERS: u32 = 8;

/// Fillers while the assistant is set up; after them we write to the caller's chat when it is ready.
const MAX_SETUP_FILLERS: u32 = 10;

/// How often a silent caller is asked again.
pub(crate) const MAX_REPEATS: u32 = 2;

/// How far a call has come. It travels in the URLs that we give to Twilio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// The turn that is being listened or waited for; the next one while the call itself is waited for.
    pub(crate) turn: u32,
    /// How often the caller was asked and said nothing.
    pub(crate) silences: u32,
    /// How many fillers the caller has heard.
    pub(crate) fillers: u32,
}

/// The response to a webhook: the speech, and the step after it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CallResponse {
    pub(crate) say: Vec<SpeechPart>,
    pub(crate) then: Then,
}

impl CallResponse {
    /// Whether the caller hears words of the assistant.
    pub(crate) fn is_answer(&self) -> bool {
        let is_answer = |part: &SpeechPart| matches!(part, SpeechPart::Answer(_));
        self.say.iter().any(is_answer)
    }
}

/// Something that the caller hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SpeechPart {
    Phrase(Phrase),
    Answer(Sensitive<String>),
}

/// The step after the speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The caller speaks or presses keys, and may interrupt us.
    Listen(Progress),
    /// As [`Self::Listen`], with more time and never streamed: the caller has to enter digits, or to decide.
    ListenForDigits(Progress),
    /// Twilio asks at once for the answer to the turn.
    Wait(Progress),
    /// Twilio asks at once for the status of the call.
    WaitForCall(Progress),
    HangUp,
}

/// The step after waiting for an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TurnOutcome {
    Respond(CallResponse),
    /// Record that the caller no longer waits, and decide again by the status that the turn then has.
    GiveUp,
    /// Read the status of the call, and go on as [`for_status`] says.
    SeeCall,
}

/// The phone rings. `status` is `None` if the gateway has not set one in time: then the caller waits, because only
/// the gateway knows whether they have to prove who they are.
pub(crate) fn on_ring(status: Option<CallStatus>) -> CallResponse {
    match status {
        Some(status) => for_status(status, 1),
        None => CallResponse {
            say: vec![phrase(Phrase::Filler(0))],
            then: Then::WaitForCall(Progress {
                turn: 1,
                fillers: 1,
                ..Progress::default()
            }),
        },
    }
}

/// The caller has waited for the status of the call.
pub(crate) fn after_call_wait(status: Option<CallStatus>, progress: Progress) -> CallResponse {
    match status {
        Some(CallStatus::SettingUp { .. }) | None if progress.fillers < MAX_SETUP_FILLERS => {
            CallResponse {
                say: vec![phrase(match status {
                    Some(_) => Phrase::StillSettingUp(progress.fillers),
                    None => Phrase::Filler(progress.fillers),
                })],
                then: Then::WaitForCall(Progress {
                    fillers: progress.fillers + 1,
                    ..progress
                }),
            }
        }
        Some(CallStatus::SettingUp { .. }) => hang_up(Phrase::WillWriteWhenReady),
        None => hang_up(Phrase::Apology),
        Some(status) => for_status(status, progress.turn),
    }
}

/// The caller has waited for an answer.
pub(crate) fn after_turn_wait(status: Option<TurnStatus>, progress: Progress) -> TurnOutcome {
    let listen_after = |text| TurnOutcome::Respond(listen(vec![phrase(text)], progress.turn + 1));
    match status {
        Some(TurnStatus::Speech(speech)) => TurnOutcome::Respond(after_speech(speech, progress)),
        Some(TurnStatus::GivenUp) => listen_after(Phrase::AnswerInChat),
        Some(TurnStatus::Failed) => listen_after(Phrase::CouldNotAnswer),
        Some(TurnStatus::SeeCall) => TurnOutcome::SeeCall,
        None if progress.fillers < MAX_FILLERS => TurnOutcome::Respond(CallResponse {
            say: vec![phrase(Phrase::Filler(progress.fillers))],
            then: Then::Wait(Progress {
                fillers: progress.fillers + 1,
                ..progress
            }),
        }),
        None => TurnOutcome::GiveUp,
    }
}

/// The caller said nothing.
pub(crate) fn after_silence(progress: Progress) -> CallResponse {
    if progress.silences >= MAX_REPEATS {
        return hang_up(Phrase::Goodbye);
    }
    CallResponse {
        say: vec![phrase(Phrase::Pardon(progress.silences))],
        then: Then::Listen(Progress {
            silences: progress.silences + 1,
            ..progress
        }),
    }
}

/// Goes on as the status of the call says; `turn` is the next turn.
pub(crate) fn for_status(status: CallStatus, turn: u32) -> CallResponse {
    match status {
        CallStatus::Ready { .. } => listen(vec![phrase(Phrase::Greeting)], turn),
        CallStatus::SettingUp { .. } => CallResponse {
            say: vec![phrase(Phrase::SettingUp)],
            then: Then::WaitForCall(at(turn)),
        },
        CallStatus::NewCaller => CallResponse {
            say: vec![phrase(Phrase::Welcome)],
            then: Then::ListenForDigits(at(turn)),
        },
        CallStatus::NeedsPin { was_wrong } => CallResponse {
            say: vec![phrase(if was_wrong {
                Phrase::WrongPin
            } else {
                Phrase::AskPin
            })],
            then: Then::ListenForDigits(at(turn)),
        },
        CallStatus::Refused => hang_up(Phrase::CannotTellWhoCalls),
        CallStatus::Suspended => hang_up(Phrase::Suspended),
    }
}

/// The caller ID is hidden: the caller has to key in their number, and then prove that it is theirs.
pub(crate) fn ask_number() -> CallResponse {
    CallResponse {
        say: vec![phrase(Phrase::AskNumber)],
        then: Then::ListenForDigits(Progress::default()),
    }
}

/// The caller was asked for a number and did not give one.
pub(crate) fn ask_number_again(progress: Progress) -> CallResponse {
    if progress.silences >= MAX_REPEATS {
        return hang_up(Phrase::CannotTellWhoCalls);
    }
    CallResponse {
        then: Then::ListenForDigits(Progress {
            silences: progress.silences + 1,
            ..progress
        }),
        ..ask_number()
    }
}

/// We have ended a streamed conversation. The call goes on here and waits for the answer to `owed`, if there is
/// one.
pub(crate) fn after_handoff(owed: Option<u32>, next: u32) -> CallResponse {
    go_on(Vec::new(), owed, next)
}

/// A streamed conversation broke, and cannot be restored.
pub(crate) fn after_break(owed: Option<u32>, next: u32) -> CallResponse {
    go_on(vec![phrase(Phrase::BrokenOff)], owed, next)
}

/// The caller has hung up, or everything is said.
pub(crate) const fn hang_up_silently() -> CallResponse {
    CallResponse {
        say: Vec::new(),
        then: Then::HangUp,
    }
}

/// Something of ours is broken.
pub(crate) fn apologize() -> CallResponse {
    hang_up(Phrase::Apology)
}

fn after_speech(speech: Speech, progress: Progress) -> CallResponse {
    let mut say = vec![SpeechPart::Answer(speech.text)];
    if speech.is_cut {
        say.push(phrase(Phrase::RestInChat));
    }
    listen(say, progress.turn + 1)
}

/// Waits for the answer to `owed`, or else listens.
fn go_on(say: Vec<SpeechPart>, owed: Option<u32>, next: u32) -> CallResponse {
    match owed {
        Some(turn) => CallResponse {
            say,
            then: Then::Wait(at(turn)),
        },
        None => listen(say, next),
    }
}

fn listen(say: Vec<SpeechPart>, turn: u32) -> CallResponse {
    CallResponse {
        say,
        then: Then::Listen(at(turn)),
    }
}

fn hang_up(text: Phrase) -> CallResponse {
    CallResponse {
        say: vec![phrase(text)],
        then: Then::HangUp,
    }
}

fn at(turn: u32) -> Progress {
    Progress {
        turn,
        ..Progress::default()
    }
}

const fn phrase(phrase: Phrase) -> SpeechPart {
    SpeechPart::Phrase(phrase)
}

#[cfg(test)]
mod tests;
