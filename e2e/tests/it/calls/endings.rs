//! The end of calls, and follow-ups.

use claw_domain::CallOutcome;
use e2e::harness::{Options, Service, World};
use sim_twilio::{Call, EndReason, RequestKind, SimTwilioConfig, TwilioFaults};

use super::{
    ADA, PHRASES, WAIT_LIMIT, all_answered, chat_has, chat_has_any, closed_call, converse, dial,
    ended, hang_up, received_with, say, world, write,
};
use crate::crowd::Crowd;

/// The beginning of the follow-up that the simulated assistant writes after a call.
const FOLLOW_UP: &str = "The phone call is over";

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_hangs_up_before_speaking_gets_no_follow_up() {
    let world = world().await;
    write(&world, ADA, "hi", "echo: hi").await;

    let ringing = dial(&world, ADA);
    ringing.hang_up();
    assert_eq!(ended(&ringing).await.why, EndReason::CallerHungUp);
    assert_eq!(closed_call(&world, &ringing).await.turns, 0);
    let greeted = dial(&world, ADA);
    greeted
        .begins_to_hear(PHRASES.greeting, WAIT_LIMIT)
        .await
        .unwrap();
    hang_up(&greeted).await;
    assert_eq!(closed_call(&world, &greeted).await.turns, 0);

    write(&world, ADA, "bye", "echo: bye").await;
    all_answered(&world, ADA).await;
    assert_eq!(received_with(&world, ADA, FOLLOW_UP), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_hangs_up_while_waiting_gets_the_answer_in_the_chat() {
    let world = world().await;
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;

    call.say("[[SLOW 3000]] plan a trip").await.unwrap();
    call.begins_to_hear(PHRASES.fillers[0], WAIT_LIMIT)
        .await
        .unwrap();
    hang_up(&call).await;

    chat_has(&world, ADA, "plan a trip").await;
    chat_has(&world, ADA, FOLLOW_UP).await;
    all_answered(&world, ADA).await;
}

/// The utterance and the end of the call are milliseconds apart, so either may reach us first.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_hangs_up_right_after_speaking_gets_the_answer_or_a_follow_up() {
    let world = world().await;
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;

    call.say("remember the milk").await.unwrap();
    hang_up(&call).await;
    chat_has_any(&world, ADA, &["remember the milk", FOLLOW_UP]).await;

    closed_call(&world, &call).await;
    all_answered(&world, ADA).await;
    let openclaw = world.openclaw.as_ref().unwrap();
    let transcript = openclaw.transcript(&world.assistant_of(ADA).unwrap());
    let is_asked = |text: &str| transcript.iter().any(|row| row.text == text);
    assert!(is_asked("remember the milk"), "{transcript:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_hangs_up_during_an_answer_gets_a_follow_up() {
    let world = world().await;
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;

    call.say("[[LONG 500]]").await.unwrap();
    call.begins_to_hear("word1", WAIT_LIMIT).await.unwrap();
    hang_up(&call).await;

    chat_has(&world, ADA, FOLLOW_UP).await;
    all_answered(&world, ADA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_caller_who_hangs_up_is_told_when_the_assistant_is_ready() {
    let mut world = world().await;
    world.kill(Service::Provisioner).await.unwrap();
    // `new_callers` tests callers who have never written.
    world.meta.write(ADA, "hi").unwrap();
    chat_has(&world, ADA, "setting up").await;

    let call = dial(&world, ADA);
    call.begins_to_hear(PHRASES.setting_up, WAIT_LIMIT)
        .await
        .unwrap();
    hang_up(&call).await;
    closed_call(&world, &call).await;
    world.restart(Service::Provisioner).await.unwrap();

    chat_has(&world, ADA, "echo: hi").await;
    chat_has(&world, ADA, "ready now").await;
    all_answered(&world, ADA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_reordered_or_lost_statuses_still_cause_one_follow_up() {
    let world = world_with_all_status_events().await;
    write(&world, ADA, "hi", "echo: hi").await;
    let faults = [
        TwilioFaults::default(),
        TwilioFaults {
            repeat_statuses: Some(9),
            ..TwilioFaults::default()
        },
        TwilioFaults {
            reverse_statuses: Some(true),
            ..TwilioFaults::default()
        },
        // Of the four statuses only the last arrives.
        TwilioFaults {
            lose_statuses: Some(3),
            ..TwilioFaults::default()
        },
    ];

    for (number, fault) in faults.into_iter().enumerate() {
        world.twilio.clear_faults();
        world.twilio.set_faults(fault);
        let call = converse(&world, ADA).await;
        let words = format!("call {number}");
        say(&call, &words, &format!("echo: {words}")).await;
        hang_up(&call).await;
        let row = closed_call(&world, &call).await;
        assert_eq!(row.end.unwrap().outcome, CallOutcome::Completed);
        // Once this later message is answered, an extra follow-up would be in the chat.
        all_answered(&world, ADA).await;
        let bye = format!("bye {number}");
        write(&world, ADA, &bye, &format!("echo: {bye}")).await;
        assert_eq!(received_with(&world, ADA, FOLLOW_UP), number + 1);
        assert_statuses(&call, number);
    }
}

/// Checks that each fault had its effect on the statuses.
fn assert_statuses(call: &Call, number: usize) {
    let view = call.view();
    let requests = view.requests_of(RequestKind::Status);
    let statuses: Vec<&str> = requests
        .iter()
        .map(|request| request.fields["CallStatus"].as_str())
        .collect();
    let expected: &[&str] = match number {
        0 => &["initiated", "ringing", "in-progress", "completed"],
        1 => &[
            "initiated",
            "initiated",
            "ringing",
            "ringing",
            "in-progress",
            "in-progress",
            "completed",
            "completed",
        ],
        2 => &["completed", "in-progress", "ringing", "initiated"],
        _ => &["completed"],
    };
    assert_eq!(statuses, expected);
}

/// A world in which Twilio reports every state of a call.
async fn world_with_all_status_events() -> World {
    let options = Crowd::options_of_gateways(1);
    let events = ["initiated", "ringing", "answered"];
    let twilio = SimTwilioConfig {
        status_events: events.map(str::to_owned).into(),
        ..options.twilio
    };
    World::start(Options { twilio, ..options }).await.unwrap()
}
