use super::*;

#[test]
fn a_new_caller_is_welcomed_and_listened_to() {
    let response = on_ring(Some(CallStatus::NewCaller));

    assert_eq!(response.say, [phrase(Phrase::Welcome)]);
    assert_eq!(response.then, Then::ListenForDigits(at(1)));
}

#[test]
fn a_caller_hears_no_greeting_without_a_status() {
    let mut response = on_ring(None);
    let mut fillers = 0;
    while let Then::WaitForCall(progress) = response.then {
        response = after_call_wait(None, progress);
        fillers += 1;
    }

    assert_eq!(response, hang_up(Phrase::Apology));
    assert!(fillers < 12, "{fillers}");
}

#[test]
fn a_new_user_is_listened_to_when_the_assistant_is_ready() {
    let setting_up = on_ring(Some(SETTING_UP));
    let Then::WaitForCall(progress) = setting_up.then else {
        panic!("{setting_up:?}");
    };

    let ready = after_call_wait(Some(READY), progress);

    assert_eq!(ready.then, Then::Listen(at(1)));
}

#[test]
fn after_a_pin_and_a_wait_the_caller_speaks_in_the_next_turn() {
    let setting_up = for_status(SETTING_UP, 2);
    let Then::WaitForCall(progress) = setting_up.then else {
        panic!("{setting_up:?}");
    };

    let ready = after_call_wait(Some(READY), progress);

    assert_eq!(ready.then, Then::Listen(at(2)));
}

#[test]
fn a_new_user_who_waits_too_long_is_told_that_we_will_write() {
    let mut response = on_ring(Some(SETTING_UP));
    let mut said = Vec::new();
    while let Then::WaitForCall(progress) = response.then {
        said.extend(response.say.clone());
        response = after_call_wait(Some(SETTING_UP), progress);
    }

    assert_eq!(response, hang_up(Phrase::WillWriteWhenReady));
    said.dedup();
    assert_eq!(said.len(), 11, "no phrase follows itself: {said:?}");
}

#[test]
fn waiting_ends_after_eight_different_fillers() {
    let mut progress = at(3);
    let mut said = Vec::new();
    while let TurnOutcome::Respond(response) = after_turn_wait(None, progress) {
        said.extend(response.say);
        let Then::Wait(next) = response.then else {
            panic!("{next:?}", next = response.then);
        };
        progress = next;
    }

    assert_eq!(after_turn_wait(None, progress), TurnOutcome::GiveUp);
    let all = said.len();
    said.dedup();
    assert_eq!((said.len(), all), (8, 8));
}

#[test]
fn after_a_cut_answer_the_caller_hears_where_the_rest_is() {
    let speech = Speech {
        text: "One, two.".into(),
        is_cut: true,
    };

    let TurnOutcome::Respond(response) = after_turn_wait(Some(TurnStatus::Speech(speech)), at(1))
    else {
        panic!("the answer is spoken");
    };

    assert!(response.is_answer() && !after_silence(at(1)).is_answer());
    assert_eq!(
        response.say,
        [
            SpeechPart::Answer("One, two.".into()),
            phrase(Phrase::RestInChat)
        ]
    );
    assert_eq!(response.then, Then::Listen(at(2)));
}

#[test]
fn after_a_failed_turn_the_caller_is_told_and_may_ask_again() {
    let TurnOutcome::Respond(response) = after_turn_wait(Some(TurnStatus::Failed), at(1)) else {
        panic!("the failure is spoken");
    };

    assert_eq!(response.say, [phrase(Phrase::CouldNotAnswer)]);
    assert_eq!(response.then, Then::Listen(at(2)));
    assert!(!response.is_answer());
}

#[test]
fn a_silent_caller_is_asked_twice_in_different_words_before_we_hang_up() {
    let first = after_silence(at(2));
    let Then::Listen(progress) = first.then else {
        panic!("{first:?}");
    };
    let second = after_silence(progress);
    let Then::Listen(progress) = second.then else {
        panic!("{second:?}");
    };

    assert_ne!(first.say, second.say);
    assert_eq!(progress.turn, 2);
    assert_eq!(after_silence(progress), hang_up(Phrase::Goodbye));
}

const READY: CallStatus = CallStatus::Ready {
    language: None,
    has_chat: true,
};

const SETTING_UP: CallStatus = CallStatus::SettingUp { has_chat: true };
