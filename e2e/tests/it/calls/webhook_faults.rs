//! Webhooks under faults: ingress dies or freezes, answers get lost, and requests are repeated or forged.

use std::time::Duration;

use claw_twilio::signature;
use e2e::harness::{Options, Service, World};
use sim_twilio::{CallView, EndReason, RequestKind, SimTwilioConfig, TwilioFaults};

use super::{
    ADA, PHRASES, WAIT_LIMIT, converse, dial, ended, hang_up, hears, say, webhooks::WebhookCall,
    world, write,
};
use crate::crowd::Crowd;

#[tokio::test(flavor = "multi_thread")]
async fn without_nats_a_caller_hears_an_apology() {
    let mut world = world().await;
    world.nats.kill().await.unwrap();

    let call = dial(&world, ADA);

    assert_eq!(ended(&call).await.why, EndReason::Hangup);
    assert_eq!(call.view().heard_texts(), [PHRASES.apology]);
    assert_eq!(call.view().requests_of(RequestKind::Fallback).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_at_another_ingress_when_one_dies_between_or_during_turns() {
    let mut world = World::start(Options {
        replicas: vec![(Service::Gateway, 1), (Service::Ingress, 2)],
        ..Crowd::options_of_gateways(1)
    })
    .await
    .unwrap();
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;

    say(&call, "one", "echo: one").await;
    world.kill(Service::Ingress.replica(0)).await.unwrap();
    say(&call, "two", "echo: two").await;
    world.restart(Service::Ingress.replica(0)).await.unwrap();
    call.say("[[SLOW 4000]] three").await.unwrap();
    call.begins_to_hear(PHRASES.fillers[0], WAIT_LIMIT)
        .await
        .unwrap();
    // Either replica may have the request; the other takes over.
    world.kill(Service::Ingress.replica(1)).await.unwrap();
    hears(&call, "three").await;

    assert_eq!(world.openclaw.as_ref().unwrap().stats().turns, 4);
    hang_up(&call).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_times_out_goes_on_at_the_fallback_url_without_a_second_turn() {
    let options = Crowd::options_of_gateways(1);
    let twilio = SimTwilioConfig {
        read_limit: Duration::from_secs(3),
        ..options.twilio
    };
    let world = World::start(Options { twilio, ..options }).await.unwrap();
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;

    world.pause(Service::Ingress).await.unwrap();
    call.say("one").await.unwrap();
    let falls_back = |view: &CallView| !view.requests_of(RequestKind::Fallback).is_empty();
    call.view_where(falls_back, WAIT_LIMIT).await.unwrap();
    world.resume(Service::Ingress).await.unwrap();
    hears(&call, "echo: one").await;
    say(&call, "two", "echo: two").await;

    let view = call.view();
    assert_eq!(view.requests_of(RequestKind::Fallback).len(), 1);
    assert_eq!(world.openclaw.as_ref().unwrap().stats().turns, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_webhooks_and_lost_answers_cause_no_second_turn() {
    let world = world().await;
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;

    world.twilio.set_faults(TwilioFaults {
        twice: Some(1),
        ..TwilioFaults::default()
    });
    say(&call, "one", "echo: one").await;
    world.twilio.set_faults(TwilioFaults {
        twice: Some(0),
        lose_answers: Some(2),
        ..TwilioFaults::default()
    });
    say(&call, "two", "echo: two").await;

    let view = hang_up(&call).await;
    let tries = view.requests_of(RequestKind::Gather);
    let tries: Vec<u32> = tries.iter().map(|request| request.tries).collect();
    assert_eq!(tries, [2, 3]);
    let turns = world.openclaw.as_ref().unwrap().stats().turns;
    assert_eq!(turns, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_repeated_at_a_new_ingress_process_gets_the_same_answer() {
    let mut world = world().await;
    write(&world, ADA, "hi", "echo: hi").await;
    let mut call = WebhookCall::begin(&world, ADA).await;
    call.say("one").await;
    let before = call.document.clone();
    assert!(call.document.contains("echo: one"), "{before}");

    world.kill(Service::Ingress).await.unwrap();
    world.restart(Service::Ingress).await.unwrap();
    call.repeat_last().await;

    assert_eq!(call.document, before);
    assert_eq!(world.openclaw.as_ref().unwrap().stats().turns, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_with_a_wrong_signature_is_refused() {
    let world = world().await;
    let body = "CallSid=CA1&From=%2B491515550001&CallStatus=ringing";

    let answer = reqwest::Client::new()
        .post(format!("{}/voice/webhook/voice", world.public_url()))
        .header(signature::HEADER, "bm9ib2R5IHNpZ25lZCB0aGlz")
        .body(body)
        .send()
        .await
        .unwrap();

    assert_eq!(answer.status(), 403);
}
