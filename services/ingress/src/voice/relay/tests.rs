use claw_domain::CallId;
use claw_events::{CallerInput, Speech, SpeechStreamed, TurnStatus};
use tokio::time::Instant;

use super::talk::{Do, Talk};
use crate::voice::dialogue::Line;

#[test]
fn an_answer_is_said_as_it_comes_and_its_end_closes_it() {
    let mut talk = asked("hello");

    let first = talk.piece(&piece(1, 0, "You had **two"), now());
    let second = talk.piece(&piece(1, 13, " rotis** today"), now());
    let end = talk.settled(1, speech("You had two rotis today."), now());

    let said = [first, second, end].concat();
    assert_eq!(words(&said), "You had two rotis today.");
    assert!(matches!(said.last(), Some(Do::Say { is_last: true, .. })));
}

#[test]
fn a_lost_piece_costs_a_pause_and_no_word() {
    let mut talk = asked("hello");

    let first = talk.piece(&piece(1, 0, "One two "), now());
    let third = talk.piece(&piece(1, 14, "four "), now());
    let end = talk.settled(1, speech("One two three four five."), now());

    assert_eq!(third, []);
    assert_eq!(words(&[first, end].concat()), "One two three four five.");
}

#[test]
fn an_answer_that_did_not_stream_is_said_whole() {
    let mut talk = asked("hello");

    let end = talk.settled(1, speech("All of it."), now());

    assert_eq!(words(&end), "All of it.");
}

#[test]
fn an_answer_owed_since_before_a_break_is_said_whole() {
    let mut talk = Talk::after(10_000, 0, now());
    talk.resume(Some(3), now());

    let piece = talk.piece(&piece(3, 14, "and on "), now());
    let end = talk.settled(3, speech("It went on and on."), now());

    assert_eq!(words(&[piece, end].concat()), "It went on and on.");
}

#[test]
fn who_may_have_spoken_into_a_broken_line_is_asked_unless_they_speak_again() {
    let mut talk = Talk::after(10_000, 0, now());
    talk.resume(None, now());
    let at = talk.next_tick();
    assert_eq!(talk.tick(at), [Do::Ours(Line::BrokenOff)]);

    talk.resume(None, now());
    talk.prompt(&"are you there?".into(), now());
    let at = talk.next_tick();
    assert_eq!(talk.tick(at), [Do::Ours(Line::Filler(0))]);
}

#[test]
fn an_answer_that_turned_out_otherwise_is_said_from_where_it_did() {
    let mut talk = asked("hello");

    let begun = talk.piece(&piece(1, 0, "It is five degrees. "), now());
    let end = talk.settled(1, speech("It is fine weather."), now());

    assert_eq!(
        words(&[begun, end].concat()),
        "It is five degrees. fine weather."
    );
}

#[test]
fn a_long_answer_ends_with_a_sentence_and_the_rest_is_in_the_chat() {
    let mut talk = asked("tell me everything");
    let sentence = "This is one sentence of very many of its kind. ";
    let mut said = String::new();
    let mut offset = 0;
    for _ in 0..40 {
        for word in sentence.split_inclusive(' ') {
            said += &words(&talk.piece(&piece(1, offset, word), now()));
            offset += u32::try_from(word.len()).unwrap();
        }
    }
    let cut = sentence.repeat(12);
    let end = talk.settled(
        1,
        TurnStatus::Speech(Speech {
            text: cut.trim_end().into(),
            is_cut: true,
        }),
        now(),
    );

    said += &words(&end);
    assert_eq!(said.trim_end(), cut.trim_end());
    assert_eq!(end.last(), Some(&Do::Ours(Line::RestInChat)));
}

#[test]
fn after_an_interrupt_not_a_word_more_is_said_and_the_next_turn_tells_what_was_heard() {
    let mut talk = asked("tell me everything");
    talk.piece(&piece(1, 0, "It began in "), now());

    assert_eq!(talk.interrupt("It began".into(), now()), [Do::Stop(1)]);
    assert_eq!(talk.piece(&piece(1, 12, "the year "), now()), []);
    let end = talk.settled(1, speech("It began in the year 1."), now());
    assert_eq!(end, []);

    let next = talk.prompt(&"shorter, please".into(), now());
    let Some(Do::Tell { turn: 2, heard, .. }) = next.first() else {
        panic!("{next:?}");
    };
    assert_eq!(*heard, Some("It began".into()));
}

#[test]
fn a_cough_over_a_filler_costs_nobody_their_answer() {
    let mut talk = asked("think hard");
    let at = talk.next_tick();
    assert_eq!(talk.tick(at), [Do::Ours(Line::Filler(0))]);

    assert_eq!(talk.interrupt("One mo".into(), at), []);

    assert_eq!(words(&talk.settled(1, speech("Well."), at)), "Well.");
}

#[test]
fn who_speaks_on_before_an_answer_gets_one_answer() {
    let mut talk = asked("one");

    let told = talk.prompt(&"two".into(), now());

    assert!(matches!(told[..], [Do::Stop(1), Do::Tell { turn: 2, .. }]));
    assert_eq!(talk.settled(1, speech("to one"), now()), []);
    let answer = talk.settled(2, speech("to two"), now());
    assert_eq!(words(&answer), "to two");
}

#[test]
fn silence_is_filled_but_nobody_waits_for_ever() {
    let mut talk = asked("think hard");
    let mut todo = Vec::new();
    while !todo.contains(&Do::GiveUp(1)) {
        let at = talk.next_tick();
        todo.extend(talk.tick(at));
    }
    todo.extend(talk.settled(1, TurnStatus::GivenUp, now()));

    let fillers: Vec<Do> = (0..8).map(|n| Do::Ours(Line::Filler(n))).collect();
    assert_eq!(todo[..8], fillers);
    assert_eq!(todo[8..], [Do::GiveUp(1), Do::Ours(Line::AnswerInChat)]);
}

#[test]
fn a_turn_that_failed_is_told_and_the_next_one_is_listened_for() {
    let mut talk = asked("hello");

    let told = talk.settled(1, TurnStatus::Failed, now());

    assert_eq!(told, [Do::Ours(Line::CouldNotAnswer)]);
    assert_eq!((talk.turn(), talk.last_turn()), (None, 1));
}

#[test]
fn who_hears_the_answer_begin_hears_no_filler_over_it() {
    let begin = now();
    let mut talk = Talk::after(0, 0, begin);
    talk.prompt(&"hello".into(), begin);
    let first_filler = talk.next_tick();

    talk.piece(&piece(1, 0, "Well, that is "), begin);

    assert_eq!(talk.tick(first_filler), []);
    let silent = talk.next_tick();
    assert_eq!(talk.tick(silent), [Do::Ours(Line::Filler(0))]);
}

#[test]
fn the_silent_are_asked_twice_and_then_let_go() {
    let mut talk = Talk::after(0, 100, now());
    let mut todo = Vec::new();
    while todo.last() != Some(&Do::HangUp) {
        let at = talk.next_tick();
        todo.extend(talk.tick(at));
    }

    assert_eq!(
        todo,
        [
            Do::Ours(Line::Pardon(0)),
            Do::Ours(Line::Pardon(1)),
            Do::Ours(Line::Goodbye),
            Do::HangUp
        ]
    );
}

#[test]
fn keys_are_taken_together() {
    let begin = now();
    let mut talk = Talk::after(0, 0, begin);

    for key in ["1", "2"] {
        assert_eq!(talk.key(&key.into(), begin), []);
    }
    let pause = talk.next_tick();
    let told = talk.tick(pause);
    for key in ["3", "#"] {
        talk.key(&key.into(), pause);
    }

    let Some(Do::Tell { words, .. }) = told.first() else {
        panic!("{told:?}");
    };
    assert_eq!(*words, CallerInput::Keys("12".into()));
    assert_eq!(talk.turn(), Some(2));
}

#[test]
fn a_breath_is_no_turn() {
    let mut talk = Talk::after(7, 0, now());

    assert_eq!(talk.prompt(&"  ".into(), now()), []);
    assert_eq!(talk.turn(), None);
}

fn now() -> Instant {
    Instant::now()
}

fn asked(words: &str) -> Talk {
    let mut talk = Talk::after(0, 0, now());
    talk.prompt(&words.into(), now());
    talk
}

fn piece(turn: u32, offset: u32, text: &str) -> SpeechStreamed {
    SpeechStreamed {
        call: CallId::derived_from("CA1"),
        turn,
        offset,
        text: text.into(),
    }
}

fn speech(text: &str) -> TurnStatus {
    TurnStatus::Speech(Speech {
        text: text.into(),
        is_cut: false,
    })
}

fn words(todo: &[Do]) -> String {
    let said = todo.iter().filter_map(|todo| match todo {
        Do::Say { text, .. } => Some(text.as_str()),
        Do::Ours(_) | Do::Tell { .. } | Do::Stop(_) | Do::GiveUp(_) | Do::SeeCall | Do::HangUp => {
            None
        }
    });
    said.collect()
}
