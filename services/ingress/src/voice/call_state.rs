use claw_chat::language_of;
use claw_events::CallStatus;
use claw_twilio::{form::Caller, voices::Language};

use super::dialogue::Progress;

/// The state of a call that the next webhook needs. It travels in the query of the URLs that we give to
/// Twilio, whose signature covers it: any replica can go on with a call, and none keeps it in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each a parameter of the query"
)]
pub(crate) struct CallState {
    pub(crate) progress: Progress,
    /// The language in which the caller is understood and hears us.
    pub(crate) language: Language,
    /// The caller waits for the status of the call, not for an answer.
    pub(crate) awaits_call: bool,
    /// The caller has a hidden caller ID and has keyed in a number, which [`claw_calls::LiveCalls`] keeps.
    pub(crate) has_keyed: bool,
    /// A streamed conversation broke in this call, which goes on with webhooks.
    pub(crate) has_broken: bool,
    /// We may write to the caller on WhatsApp.
    pub(crate) has_chat: bool,
}

impl CallState {
    /// Reads the query of a request. Missing and malformed values are those of a new call.
    pub(crate) fn read(query: &str) -> Self {
        let mut state = Self {
            progress: Progress::default(),
            language: Language::EnglishUs,
            awaits_call: false,
            has_keyed: false,
            has_broken: false,
            has_chat: true,
        };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let number = || value.parse().unwrap_or_default();
            match name {
                "turn" => state.progress.turn = number(),
                "silences" => state.progress.silences = number(),
                "fillers" => state.progress.fillers = number(),
                "language" => {
                    state.language = Language::parse(value).unwrap_or(state.language);
                }
                "call" => state.awaits_call = value == "1",
                "keyed" => state.has_keyed = value == "1",
                "broken" => state.has_broken = value == "1",
                "chat" => state.has_chat = value != "0",
                _ => {}
            }
        }
        state
    }

    /// The state of a new call, in the language of the caller's number if it is known.
    pub(crate) fn begin(caller: &Caller) -> Self {
        let mut state = Self::read("");
        if let Caller::Known { phone, .. } = caller {
            state.language = language_of(phone);
        }
        state
    }

    /// The same state with what `status` tells about the caller.
    pub(crate) fn knowing(self, status: Option<CallStatus>) -> Self {
        let language = status.and_then(CallStatus::language);
        let has_chat = status.and_then(CallStatus::has_chat);
        Self {
            language: language.unwrap_or(self.language),
            has_chat: has_chat.unwrap_or(self.has_chat),
            ..self
        }
    }

    /// The query from which [`Self::read`] reads this state.
    pub(crate) fn query(&self) -> String {
        let Progress {
            turn,
            silences,
            fillers,
        } = self.progress;
        let call = if self.awaits_call { "&call=1" } else { "" };
        let keyed = if self.has_keyed { "&keyed=1" } else { "" };
        let broken = if self.has_broken { "&broken=1" } else { "" };
        let chat = if self.has_chat { "" } else { "&chat=0" };
        let language = self.language.tag();
        format!(
            "turn={turn}&silences={silences}&fillers={fillers}&language={language}{call}{keyed}{broken}{chat}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_can_be_read_back_from_its_query() {
        let state = CallState {
            progress: Progress {
                turn: 3,
                silences: 1,
                fillers: 2,
            },
            language: Language::German,
            awaits_call: true,
            has_keyed: true,
            has_broken: true,
            has_chat: false,
        };

        assert_eq!(CallState::read(&state.query()), state);
    }

    #[test]
    fn the_language_of_a_ready_call_replaces_that_of_the_number() {
        let state = CallState::read("language=de-DE");
        let ready = |language| {
            Some(CallStatus::Ready {
                language,
                has_chat: true,
            })
        };

        let chosen = state.knowing(ready(Some(Language::Hindi)));

        assert_eq!(chosen.language, Language::Hindi);
        for status in [None, Some(CallStatus::NewCaller), ready(None)] {
            assert_eq!(chosen.knowing(status), chosen);
        }
    }

    #[test]
    fn malformed_values_are_those_of_a_new_call() {
        let state = CallState::read("turn=many&language=klingon&&x&keyed=yes");

        assert_eq!(state, CallState::read(""));
        assert_eq!(state.progress, Progress::default());
    }
}
