use std::time::{Duration, Instant};

use sim_kit::timeline::{Entry, EntryKind};

/// The times of one turn of a call; `None` for a step that was not reached.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    words: String,
    said: Instant,
    /// Whether the utterance interrupted the previous answer.
    interrupts: bool,
    asked: Option<Instant>,
    answer_began: Option<Instant>,
    answer_ended: Option<Instant>,
    token: Option<Instant>,
    document: Option<Instant>,
    interrupted: Option<Instant>,
    aborted: Option<Instant>,
    /// The last piece of the answer that came after the interruption.
    late_token: Option<Instant>,
}

/// The turns of one user, from the entries of their phone and their assistant in the order of time. Every answer
/// consists of `prefix` and the question.
pub(super) fn turns_of<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    prefix: &str,
) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for entry in entries {
        let at = entry.at;
        match &entry.kind {
            EntryKind::UtteranceSent(words) => {
                let before = turns.last();
                let interrupts = before.is_some_and(|turn| turn.interrupted.is_some());
                turns.push(Turn::new(words, at, interrupts));
            }
            EntryKind::InterruptSent => {
                if let Some(turn) = turns.last_mut() {
                    turn.interrupted = Some(at);
                }
            }
            EntryKind::TokenReceived(text) => token(&mut turns, text.trim(), prefix, at),
            EntryKind::DocumentReceived(document) => {
                let has_answer = |turn: &&mut Turn| document.contains(&turn.words);
                if let Some(turn) = turns.iter_mut().rev().find(has_answer) {
                    turn.document.get_or_insert(at);
                }
            }
            EntryKind::PromptReceived(words) => note(&mut turns, words, at, |turn| &mut turn.asked),
            EntryKind::AnswerStarted(words) => {
                note(&mut turns, words, at, |turn| &mut turn.answer_began);
            }
            EntryKind::AnswerEnded(words) => {
                note(&mut turns, words, at, |turn| &mut turn.answer_ended);
            }
            EntryKind::AnswerAborted(words) => {
                note(&mut turns, words, at, |turn| &mut turn.aborted);
            }
        }
    }
    turns
}

/// Records `at` for the turn of these words, unless it has a time already.
fn note(turns: &mut [Turn], words: &str, at: Instant, of: fn(&mut Turn) -> &mut Option<Instant>) {
    if let Some(turn) = turns.iter_mut().find(|turn| turn.words == words) {
        of(turn).get_or_insert(at);
    }
}

/// Records a token of the current answer; tokens of our own phrases do not count.
fn token(turns: &mut [Turn], text: &str, prefix: &str, at: Instant) {
    let speaking = turns
        .iter_mut()
        .rev()
        .find(|turn| turn.answer_began.is_some());
    let Some(turn) = speaking else {
        return;
    };
    let is_of_answer = prefix.contains(text) || turn.words.contains(text);
    if text.is_empty() || !is_of_answer {
        return;
    }
    if turn.interrupted.is_some() {
        turn.late_token = Some(at);
    } else {
        turn.token.get_or_insert(at);
    }
}

impl Turn {
    fn new(words: &str, said: Instant, interrupts: bool) -> Self {
        Self {
            words: words.to_owned(),
            said,
            interrupts,
            asked: None,
            answer_began: None,
            answer_ended: None,
            token: None,
            document: None,
            interrupted: None,
            aborted: None,
            late_token: None,
        }
    }

    /// From Twilio's webhook or prompt to the assistant, for an utterance that interrupted no answer.
    pub(super) fn to_assistant(&self) -> Option<Duration> {
        let took = self.asked?.saturating_duration_since(self.said);
        (!self.interrupts).then_some(took)
    }

    /// From Twilio's prompt to the assistant, for an utterance that interrupted an answer. The answer has to be
    /// stopped first.
    pub(super) fn to_stopped_assistant(&self) -> Option<Duration> {
        let took = self.asked?.saturating_duration_since(self.said);
        self.interrupts.then_some(took)
    }

    /// From the first piece of the assistant's answer to the first piece of speech.
    pub(super) fn to_first_token(&self) -> Option<Duration> {
        Some(self.token?.saturating_duration_since(self.answer_began?))
    }

    /// From the end of the assistant's answer to the TwiML document with the answer.
    pub(super) fn to_document(&self) -> Option<Duration> {
        Some(self.document?.saturating_duration_since(self.answer_ended?))
    }

    /// From the interruption to the last piece of the answer; 0 if none came after it.
    pub(super) fn to_last_token(&self) -> Option<Duration> {
        let over = self.interrupted?;
        let last = self.late_token.unwrap_or(over);
        Some(last.saturating_duration_since(over))
    }

    /// From the interruption to the assistant's abort.
    pub(super) fn to_stop(&self) -> Option<Duration> {
        Some(self.aborted?.saturating_duration_since(self.interrupted?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "Well, it is so. You asked: ";

    #[test]
    fn a_streamed_turn_is_timed_to_the_assistant_and_from_its_first_piece() {
        let [turn] = &turns([
            (0, EntryKind::UtteranceSent("one".into())),
            (11, EntryKind::PromptReceived("one".into())),
            (400, EntryKind::TokenReceived("Einen Moment bitte.".into())),
            (500, EntryKind::AnswerStarted("one".into())),
            (507, EntryKind::TokenReceived("Well, ".into())),
            (560, EntryKind::TokenReceived("it is so.".into())),
        ])[..] else {
            panic!("expected one turn");
        };

        assert_eq!(turn.to_assistant(), Some(ms(11)));
        assert_eq!(turn.to_first_token(), Some(ms(7)));
        assert_eq!(turn.to_last_token(), None);
    }

    #[test]
    fn tokens_after_an_interruption_are_late_until_the_next_answer_begins() {
        let turns = turns([
            (0, EntryKind::UtteranceSent("one".into())),
            (10, EntryKind::PromptReceived("one".into())),
            (500, EntryKind::AnswerStarted("one".into())),
            (505, EntryKind::TokenReceived("Well, ".into())),
            (600, EntryKind::InterruptSent),
            (600, EntryKind::UtteranceSent("two".into())),
            (608, EntryKind::TokenReceived("it is ".into())),
            (630, EntryKind::AnswerAborted("one".into())),
            (660, EntryKind::PromptReceived("two".into())),
            (900, EntryKind::AnswerStarted("two".into())),
            (903, EntryKind::TokenReceived("Well, ".into())),
        ]);

        assert_eq!(turns[0].to_last_token(), Some(ms(8)));
        assert_eq!(turns[0].to_stop(), Some(ms(30)));
        assert_eq!(turns[1].to_assistant(), None);
        assert_eq!(turns[1].to_stopped_assistant(), Some(ms(60)));
        assert_eq!(turns[1].to_first_token(), Some(ms(3)));
    }

    #[test]
    fn a_turn_is_timed_to_the_document_with_its_answer() {
        let turns = turns([
            (0, EntryKind::UtteranceSent("one".into())),
            (9, EntryKind::PromptReceived("one".into())),
            (
                900,
                EntryKind::DocumentReceived("<Say>Einen Moment</Say>".into()),
            ),
            (950, EntryKind::AnswerEnded("one".into())),
            (
                970,
                EntryKind::DocumentReceived("<Say>You asked: one</Say>".into()),
            ),
        ]);

        assert_eq!(turns[0].to_document(), Some(ms(20)));
    }

    fn turns<const N: usize>(notes: [(u64, EntryKind); N]) -> Vec<Turn> {
        let began = Instant::now();
        let entries = notes.map(|(at, kind)| Entry {
            at: began + ms(at),
            subject: "+491".to_owned(),
            kind,
        });
        turns_of(&entries, PREFIX)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }
}
