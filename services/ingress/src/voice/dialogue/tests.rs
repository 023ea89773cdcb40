use super::*;

#[test]
fn who_calls_with_their_own_number_is_listened_to_even_if_nobody_is_there_to_say_so() {
    let beat = answer(None, true);

    assert_eq!(beat.say, [ours(Line::Greeting)]);
    assert_eq!(beat.then, Then::Listen(turn(1)));
}

#[test]
fn whom_nothing_proves_hears_no_greeting_before_somebody_has_looked() {
    let mut beat = answer(None, false);
    let mut lines = 0;
    while let Then::WaitForCall(progress) = beat.then {
        beat = after_call(None, progress);
        lines += 1;
    }

    assert_eq!(beat, hang_up(Line::Apology));
    assert!(lines < 12, "{lines}");
}

#[test]
fn a_newcomer_is_put_through_the_moment_the_assistant_is_ready() {
    let setting_up = answer(Some(CallStatus::SettingUp), true);
    let Then::WaitForCall(progress) = setting_up.then else {
        panic!("{setting_up:?}");
    };

    let ready = after_call(Some(READY), progress);

    assert_eq!(ready.then, Then::Listen(turn(1)));
}

#[test]
fn who_waited_after_proving_themselves_is_heard_as_a_turn_of_its_own() {
    let setting_up = go_on(CallStatus::SettingUp, 2);
    let Then::WaitForCall(progress) = setting_up.then else {
        panic!("{setting_up:?}");
    };

    let ready = after_call(Some(READY), progress);

    assert_eq!(ready.then, Then::Listen(turn(2)));
}

#[test]
fn a_newcomer_who_waits_too_long_is_told_where_to_expect_word() {
    let mut beat = answer(Some(CallStatus::SettingUp), true);
    let mut said = Vec::new();
    while let Then::WaitForCall(progress) = beat.then {
        said.extend(beat.say.clone());
        beat = after_call(Some(CallStatus::SettingUp), progress);
    }

    assert_eq!(beat, hang_up(Line::WillWriteWhenReady));
    said.dedup();
    assert_eq!(said.len(), 11, "no line follows itself: {said:?}");
}

#[test]
fn nobody_is_kept_waiting_for_ever_and_no_filler_follows_itself() {
    let mut progress = turn(3);
    let mut lines = Vec::new();
    while let Outcome::Say(beat) = after_turn(None, progress) {
        lines.extend(beat.say);
        let Then::Wait(next) = beat.then else {
            panic!("{next:?}", next = beat.then);
        };
        progress = next;
    }

    assert_eq!(after_turn(None, progress), Outcome::GiveUp);
    let all = lines.len();
    lines.dedup();
    assert_eq!((lines.len(), all), (8, 8));
}

#[test]
fn a_cut_answer_says_where_the_rest_is() {
    let speech = Speech {
        text: "One, two.".into(),
        is_cut: true,
    };

    let Outcome::Say(beat) = after_turn(Some(TurnStatus::Speech(speech)), turn(1)) else {
        panic!("an answer is said");
    };

    assert!(beat.is_answer() && !after_silence(turn(1)).is_answer());
    assert_eq!(
        beat.say,
        [Words::Theirs("One, two.".into()), ours(Line::RestInChat)]
    );
    assert_eq!(beat.then, Then::Listen(turn(2)));
}

#[test]
fn after_a_failed_turn_the_caller_hears_so_and_may_ask_again() {
    let Outcome::Say(beat) = after_turn(Some(TurnStatus::Failed), turn(1)) else {
        panic!("a failure is told");
    };

    assert_eq!(beat.say, [ours(Line::CouldNotAnswer)]);
    assert_eq!(beat.then, Then::Listen(turn(2)));
    assert!(!beat.is_answer());
}

#[test]
fn the_silent_are_asked_twice_in_other_words_and_then_let_go() {
    let first = after_silence(turn(2));
    let Then::Listen(progress) = first.then else {
        panic!("{first:?}");
    };
    let second = after_silence(progress);
    let Then::Listen(progress) = second.then else {
        panic!("{second:?}");
    };

    assert_ne!(first.say, second.say);
    assert_eq!(progress.turn, 2);
    assert_eq!(after_silence(progress), hang_up(Line::Goodbye));
}

const READY: CallStatus = CallStatus::Ready { language: None };

fn turn(turn: u32) -> Progress {
    Progress {
        turn,
        ..Progress::default()
    }
}
