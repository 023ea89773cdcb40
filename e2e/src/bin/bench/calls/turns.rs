use std::time::{Duration, Instant};

use sim_kit::timeline::{Entry, EntryKind};

/// One turn of a call, as far as it came.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    words: String,
    said: Instant,
    /// It was said over the answer before.
    is_over_another: bool,
    asked: Option<Instant>,
    speaks: Option<Instant>,
    answered: Option<Instant>,
    token: Option<Instant>,
    document: Option<Instant>,
    spoken_over: Option<Instant>,
    stopped: Option<Instant>,
    /// The last piece of its answer that came though it was spoken over.
    late_token: Option<Instant>,
}

/// The turns of one person, from the notes of their phone and of their assistant together, in the order of
/// time. Every answer begins with `prefix`, and goes on with what was asked.
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
                let is_over_another = before.is_some_and(|turn| turn.spoken_over.is_some());
                turns.push(Turn::new(words, at, is_over_another));
            }
            EntryKind::InterruptSent => {
                if let Some(turn) = turns.last_mut() {
                    turn.spoken_over = Some(at);
                }
            }
            EntryKind::TokenReceived(text) => token(&mut turns, text.trim(), prefix, at),
            EntryKind::DocumentReceived(document) => {
                let is_in_it = |turn: &&mut Turn| document.contains(&turn.words);
                if let Some(turn) = turns.iter_mut().rev().find(is_in_it) {
                    turn.document.get_or_insert(at);
                }
            }
            EntryKind::PromptReceived(words) => note(&mut turns, words, at, |turn| &mut turn.asked),
            EntryKind::AnswerStarted(words) => note(&mut turns, words, at, |turn| &mut turn.speaks),
            EntryKind::AnswerEnded(words) => note(&mut turns, words, at, |turn| &mut turn.answered),
            EntryKind::AnswerAborted(words) => {
                note(&mut turns, words, at, |turn| &mut turn.stopped);
            }
        }
    }
    turns
}

/// The first time counts.
fn note(turns: &mut [Turn], words: &str, at: Instant, of: fn(&mut Turn) -> &mut Option<Instant>) {
    if let Some(turn) = turns.iter_mut().find(|turn| turn.words == words) {
        of(turn).get_or_insert(at);
    }
}

/// A piece of the answer that is being given; anything else, as a line of ours, is none.
fn token(turns: &mut [Turn], text: &str, prefix: &str, at: Instant) {
    let speaking = turns.iter_mut().rev().find(|turn| turn.speaks.is_some());
    let Some(turn) = speaking else {
        return;
    };
    let is_of_answer = prefix.contains(text) || turn.words.contains(text);
    if text.is_empty() || !is_of_answer {
        return;
    }
    if turn.spoken_over.is_some() {
        turn.late_token = Some(at);
    } else {
        turn.token.get_or_insert(at);
    }
}

impl Turn {
    fn new(words: &str, said: Instant, is_over_another: bool) -> Self {
        Self {
            words: words.to_owned(),
            said,
            is_over_another,
            asked: None,
            speaks: None,
            answered: None,
            token: None,
            document: None,
            spoken_over: None,
            stopped: None,
            late_token: None,
        }
    }

    /// From Twilio's webhook or prompt to the assistant.
    pub(super) fn to_assistant(&self) -> Option<Duration> {
        let took = self.asked?.saturating_duration_since(self.said);
        (!self.is_over_another).then_some(took)
    }

    /// The same for what was said over an answer, which has to be stopped first.
    pub(super) fn to_stopped_assistant(&self) -> Option<Duration> {
        let took = self.asked?.saturating_duration_since(self.said);
        self.is_over_another.then_some(took)
    }

    /// From the first piece of the assistant's answer to the first piece of speech.
    pub(super) fn to_first_token(&self) -> Option<Duration> {
        Some(self.token?.saturating_duration_since(self.speaks?))
    }

    /// From the end of the assistant's answer to the document with it.
    pub(super) fn to_document(&self) -> Option<Duration> {
        Some(self.document?.saturating_duration_since(self.answered?))
    }

    /// From where the caller spoke over the answer to its last piece; nothing if none came after.
    pub(super) fn to_last_token(&self) -> Option<Duration> {
        let over = self.spoken_over?;
        let last = self.late_token.unwrap_or(over);
        Some(last.saturating_duration_since(over))
    }

    /// From there to the assistant that is told to stop.
    pub(super) fn to_stop(&self) -> Option<Duration> {
        Some(self.stopped?.saturating_duration_since(self.spoken_over?))
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
            panic!("one turn");
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
