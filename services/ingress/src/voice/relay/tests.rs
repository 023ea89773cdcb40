use claw_domain::CallId;
use claw_events::{CallerInput, Speech, SpeechStreamed, TurnStatus};
use claw_twilio::voices::Language;
use tokio::time::Instant;

use super::conversation::{Action, RelayConversation};
use crate::voice::phrase::Phrase;

#[test]
fn an_answer_is_spoken_as_it_arrives() {
    let mut conversation = asked("hello");

    let first = conversation.piece(&piece(1, 0, "You had **two"), now());
    let second = conversation.piece(&piece(1, 13, " rotis** today"), now());
    let end = conversation.settled(1, speech("You had two rotis today."), now());

    let said = [first, second, end].concat();
    assert_eq!(words(&said), "You had two rotis today.");
    assert!(matches!(
        said.last(),
        Some(Action::Say { is_last: true, .. })
    ));
}

#[test]
fn a_streamed_link_is_spoken_in_the_language_of_the_call() {
    let mut conversation = asked("hola");

    let said = conversation.piece(&piece(1, 0, "Mira https://a.example ahora. "), now());

    assert_eq!(words(&said), "Mira un enlace ahora.");
}

#[test]
fn after_a_lost_piece_the_rest_is_spoken_when_the_answer_is_complete() {
    let mut conversation = asked("hello");

    let first = conversation.piece(&piece(1, 0, "One two "), now());
    let third = conversation.piece(&piece(1, 14, "four "), now());
    let end = conversation.settled(1, speech("One two three four five."), now());

    assert_eq!(third, []);
    assert_eq!(words(&[first, end].concat()), "One two three four five.");
}

#[test]
fn an_answer_that_did_not_stream_is_spoken_whole() {
    let mut conversation = asked("hello");

    let end = conversation.settled(1, speech("All of it."), now());

    assert_eq!(words(&end), "All of it.");
}

#[test]
fn an_answer_owed_from_before_a_break_is_spoken_whole() {
    let mut conversation = RelayConversation::after(10_000, Language::Spanish, 0, now());
    conversation.resume(Some(3), now());

    let piece = conversation.piece(&piece(3, 14, "and on "), now());
    let end = conversation.settled(3, speech("It went on and on."), now());

    assert_eq!(words(&[piece, end].concat()), "It went on and on.");
}

#[test]
fn a_caller_who_may_have_gone_unheard_is_asked_to_go_on_unless_they_speak_first() {
    let mut conversation = RelayConversation::after(10_000, Language::Spanish, 0, now());
    conversation.resume(None, now());
    let at = conversation.next_tick();
    assert_eq!(
        conversation.tick(at),
        [Action::SayPhrase(Phrase::BrokenOff)]
    );

    conversation.resume(None, now());
    conversation.prompt(&"are you there?".into(), now());
    let at = conversation.next_tick();
    assert_eq!(
        conversation.tick(at),
        [Action::SayPhrase(Phrase::Filler(0))]
    );
}

#[test]
fn an_answer_that_changed_is_spoken_from_where_it_differs() {
    let mut conversation = asked("hello");

    let begun = conversation.piece(&piece(1, 0, "It is five degrees. "), now());
    let end = conversation.settled(1, speech("It is fine weather."), now());

    assert_eq!(
        words(&[begun, end].concat()),
        "It is five degrees. fine weather."
    );
}

#[test]
fn a_long_answer_ends_with_a_sentence_and_a_hint_to_the_chat() {
    let mut conversation = asked("tell me everything");
    let sentence = "This is one sentence of very many of its kind. ";
    let mut said = String::new();
    let mut offset = 0;
    for _ in 0..40 {
        for word in sentence.split_inclusive(' ') {
            said += &words(&conversation.piece(&piece(1, offset, word), now()));
            offset += u32::try_from(word.len()).unwrap();
        }
    }
    let cut = sentence.repeat(12);
    let end = conversation.settled(
        1,
        TurnStatus::Speech(Speech {
            text: cut.trim_end().into(),
            is_cut: true,
        }),
        now(),
    );

    said += &words(&end);
    assert_eq!(said.trim_end(), cut.trim_end());
    assert_eq!(end.last(), Some(&Action::SayPhrase(Phrase::RestInChat)));
}

#[test]
fn an_interrupted_answer_stops_and_the_next_turn_tells_what_was_heard() {
    let mut conversation = asked("tell me everything");
    conversation.piece(&piece(1, 0, "It began in "), now());

    assert_eq!(
        conversation.interrupt("It began".into(), now()),
        [Action::StopAnswer(1)]
    );
    assert_eq!(conversation.piece(&piece(1, 12, "the year "), now()), []);
    let end = conversation.settled(1, speech("It began in the year 1."), now());
    assert_eq!(end, []);

    let next = conversation.prompt(&"shorter, please".into(), now());
    let Some(Action::Ask { turn: 2, heard, .. }) = next.first() else {
        panic!("{next:?}");
    };
    assert_eq!(*heard, Some("It began".into()));
}

#[test]
fn interrupting_a_filler_does_not_stop_the_answer() {
    let mut conversation = asked("think hard");
    let at = conversation.next_tick();
    assert_eq!(
        conversation.tick(at),
        [Action::SayPhrase(Phrase::Filler(0))]
    );

    assert_eq!(conversation.interrupt("One mo".into(), at), []);

    assert_eq!(
        words(&conversation.settled(1, speech("Well."), at)),
        "Well."
    );
}

#[test]
fn a_caller_who_goes_on_speaking_gets_one_answer() {
    let mut conversation = asked("one");

    let actions = conversation.prompt(&"two".into(), now());

    assert!(matches!(
        actions[..],
        [Action::StopAnswer(1), Action::Ask { turn: 2, .. }]
    ));
    assert_eq!(conversation.settled(1, speech("to one"), now()), []);
    let answer = conversation.settled(2, speech("to two"), now());
    assert_eq!(words(&answer), "to two");
}

#[test]
fn after_eight_fillers_the_turn_is_given_up() {
    let mut conversation = asked("think hard");
    let mut actions = Vec::new();
    while !actions.contains(&Action::GiveUp(1)) {
        let at = conversation.next_tick();
        actions.extend(conversation.tick(at));
    }
    actions.extend(conversation.settled(1, TurnStatus::GivenUp, now()));

    let fillers: Vec<Action> = (0..8)
        .map(|n| Action::SayPhrase(Phrase::Filler(n)))
        .collect();
    assert_eq!(actions[..8], fillers);
    assert_eq!(
        actions[8..],
        [Action::GiveUp(1), Action::SayPhrase(Phrase::AnswerInChat)]
    );
}

#[test]
fn after_a_failed_turn_the_caller_is_told_and_listened_to() {
    let mut conversation = asked("hello");

    let actions = conversation.settled(1, TurnStatus::Failed, now());

    assert_eq!(actions, [Action::SayPhrase(Phrase::CouldNotAnswer)]);
    assert_eq!((conversation.turn(), conversation.last_turn()), (None, 1));
}

#[test]
fn no_filler_interrupts_an_answer_that_has_begun() {
    let begin = now();
    let mut conversation = RelayConversation::after(0, Language::Spanish, 0, begin);
    conversation.prompt(&"hello".into(), begin);
    let first_filler = conversation.next_tick();

    conversation.piece(&piece(1, 0, "Well, that is "), begin);

    assert_eq!(conversation.tick(first_filler), []);
    let silent = conversation.next_tick();
    assert_eq!(
        conversation.tick(silent),
        [Action::SayPhrase(Phrase::Filler(0))]
    );
}

#[test]
fn a_silent_caller_is_asked_twice_before_we_hang_up() {
    let mut conversation = RelayConversation::after(0, Language::Spanish, 100, now());
    let mut actions = Vec::new();
    while actions.last() != Some(&Action::HangUp) {
        let at = conversation.next_tick();
        actions.extend(conversation.tick(at));
    }

    assert_eq!(
        actions,
        [
            Action::SayPhrase(Phrase::Pardon(0)),
            Action::SayPhrase(Phrase::Pardon(1)),
            Action::SayPhrase(Phrase::Goodbye),
            Action::HangUp
        ]
    );
}

#[test]
fn keys_before_a_pause_are_one_utterance() {
    let begin = now();
    let mut conversation = RelayConversation::after(0, Language::Spanish, 0, begin);

    for key in ["1", "2"] {
        assert_eq!(conversation.key(&key.into(), begin), []);
    }
    let pause = conversation.next_tick();
    let actions = conversation.tick(pause);
    for key in ["3", "#"] {
        conversation.key(&key.into(), pause);
    }

    let Some(Action::Ask { words, .. }) = actions.first() else {
        panic!("{actions:?}");
    };
    assert_eq!(*words, CallerInput::Keys("12".into()));
    assert_eq!(conversation.turn(), Some(2));
}

#[test]
fn a_prompt_without_words_is_ignored() {
    let mut conversation = RelayConversation::after(7, Language::Spanish, 0, now());

    assert_eq!(conversation.prompt(&"  ".into(), now()), []);
    assert_eq!(conversation.turn(), None);
}

fn now() -> Instant {
    Instant::now()
}

fn asked(words: &str) -> RelayConversation {
    let mut conversation = RelayConversation::after(0, Language::Spanish, 0, now());
    conversation.prompt(&words.into(), now());
    conversation
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

fn words(actions: &[Action]) -> String {
    let said = actions.iter().filter_map(|actions| match actions {
        Action::Say { text, .. } => Some(text.as_str()),
        Action::SayPhrase(_)
        | Action::Ask { .. }
        | Action::StopAnswer(_)
        | Action::GiveUp(_)
        | Action::SeeCall
        | Action::HangUp => None,
    });
    said.collect()
}
