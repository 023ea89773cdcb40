use claw_events::CallStatus;
use claw_twilio::{form::Caller, voices::Language};

use super::dialogue::Progress;

/// The thread of a call: what is known of it when Twilio asks next. It travels in the query of the URLs we
/// hand to Twilio, which its signature covers; so any replica can go on, and none remembers anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thread {
    pub(crate) progress: Progress,
    /// What the caller hears, and is understood in.
    pub(crate) language: Language,
    /// It is the assistant that is waited for, not an answer.
    pub(crate) awaits_call: bool,
    /// The caller hides their number and keyed one: it is kept beside the call.
    pub(crate) has_keyed: bool,
    /// A streamed conversation broke in this call: it goes on word by word.
    pub(crate) has_broken: bool,
}

impl Thread {
    /// Reads the query of a request. What is missing or makes no sense counts as at the beginning.
    pub(crate) fn read(query: &str) -> Self {
        let mut thread = Self {
            progress: Progress::default(),
            language: Language::EnglishUs,
            awaits_call: false,
            has_keyed: false,
            has_broken: false,
        };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let number = || value.parse().unwrap_or_default();
            match name {
                "turn" => thread.progress.turn = number(),
                "silences" => thread.progress.silences = number(),
                "fillers" => thread.progress.fillers = number(),
                "language" => {
                    thread.language = Language::parse(value).unwrap_or(thread.language);
                }
                "call" => thread.awaits_call = value == "1",
                "keyed" => thread.has_keyed = value == "1",
                "broken" => thread.has_broken = value == "1",
                _ => {}
            }
        }
        thread
    }

    /// The beginning of a call of somebody with this number, or with none.
    pub(crate) fn begin(caller: &Caller) -> Self {
        let mut thread = Self::read("");
        if let Caller::Known { phone, .. } = caller {
            thread.language = Language::of_phone(phone);
        }
        thread
    }

    /// The same in the language the caller chose, as soon as that is known.
    pub(crate) fn in_language_of(self, standing: Option<CallStatus>) -> Self {
        let Some(CallStatus::Ready {
            language: Some(language),
        }) = standing
        else {
            return self;
        };
        Self { language, ..self }
    }

    /// The query that reads as this.
    pub(crate) fn query(&self) -> String {
        let Progress {
            turn,
            silences,
            fillers,
        } = self.progress;
        let call = if self.awaits_call { "&call=1" } else { "" };
        let keyed = if self.has_keyed { "&keyed=1" } else { "" };
        let broken = if self.has_broken { "&broken=1" } else { "" };
        let language = self.language.tag();
        format!(
            "turn={turn}&silences={silences}&fillers={fillers}&language={language}{call}{keyed}{broken}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_taken_up_where_it_was_left() {
        let thread = Thread {
            progress: Progress {
                turn: 3,
                silences: 1,
                fillers: 2,
            },
            language: Language::German,
            awaits_call: true,
            has_keyed: true,
            has_broken: true,
        };

        assert_eq!(Thread::read(&thread.query()), thread);
    }

    #[test]
    fn the_language_that_a_caller_chose_takes_the_place_of_their_numbers() {
        let thread = Thread::read("language=de-DE");
        let ready = |language| Some(CallStatus::Ready { language });

        let chosen = thread.in_language_of(ready(Some(Language::Hindi)));

        assert_eq!(chosen.language, Language::Hindi);
        for standing in [None, Some(CallStatus::SettingUp), ready(None)] {
            assert_eq!(chosen.in_language_of(standing), chosen);
        }
    }

    #[test]
    fn nonsense_is_a_beginning() {
        let thread = Thread::read("turn=many&language=klingon&&x&keyed=yes");

        assert_eq!(thread, Thread::read(""));
        assert_eq!(thread.progress, Progress::default());
    }
}
