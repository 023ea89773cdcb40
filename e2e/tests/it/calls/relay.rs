//! Calls in relay mode, with streamed answers.

use std::sync::Arc;

use claw_metrics::RELAY_SESSIONS_OPEN;
use claw_testkit::eventually;
use e2e::harness::{Options, Replica, Sandboxes, Service, VoiceMode, World};
use sim_openclaw::{Behaviour, SimOpenClawConfig};
use sim_twilio::{CallView, RelayView, RequestKind};

use super::{
    ADA, PHRASES, WAIT_LIMIT, all_answered, chat_has, closed_call, converse, ended, hang_up, hears,
    received_with, say, write,
};
use crate::crowd::Crowd;

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_streamed_and_a_follow_up_reaches_the_chat() {
    let world = world(1, 300).await;
    write(&world, ADA, "my cat is called Momo", "echo: my cat").await;
    let call = converse(&world, ADA).await;

    say(&call, "what is **her** name", "echo: what is her name").await;
    call.say("[[SLOW 2000]] [[LONG 300]]").await.unwrap();
    call.begins_to_hear("word1", WAIT_LIMIT).await.unwrap();
    hears(&call, "word30").await;
    let view = hang_up(&call).await;
    chat_has(&world, ADA, "The phone call is over").await;

    world.assert_no_wait_ended_by_clock().await;
    let relay = only_relay(&view);
    let first = relay
        .tokens
        .iter()
        .position(|token| token.text.contains("word1"));
    let tokens = &relay.tokens[first.unwrap()..];
    assert!(tokens.len() > 5, "{tokens:#?}");
    assert!(
        tokens[0].at_ms + 1_000 < tokens.last().unwrap().at_ms,
        "{tokens:#?}"
    );
    assert_eq!(received_with(&world, ADA, "her name"), 0);
    let row = closed_call(&world, &call).await;
    assert_eq!(row.turns, 2);
    let stats = world.openclaw.as_ref().unwrap().stats();
    assert_eq!((stats.turns, stats.overlaps), (4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn speech_over_an_answer_stops_it_and_is_answered() {
    let world = world(1, 300).await;
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;

    call.say("[[SLOW 60000]] [[LONG 600]]").await.unwrap();
    call.begins_to_hear("word1", WAIT_LIMIT).await.unwrap();
    say(&call, "shorter please", "echo: shorter please").await;
    let view = hang_up(&call).await;
    all_answered(&world, ADA).await;

    let tokens = &only_relay(&view).tokens;
    let stopped = tokens.iter().position(|token| token.text.contains("echo"));
    let after = &tokens[stopped.unwrap()..];
    assert!(
        after.iter().all(|token| !token.text.contains("word")),
        "{tokens:#?}"
    );
    assert_eq!(received_with(&world, ADA, "word"), 0);
    assert_eq!(received_with(&world, ADA, "lost"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filler_precedes_a_slow_answer_and_keys_are_understood() {
    let world = world(1, 300).await;
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;

    call.say("[[SLOW 9000]] think").await.unwrap();
    hears(&call, PHRASES.fillers[0]).await;
    hears(&call, "think").await;
    call.key("12#").await.unwrap();
    hears(&call, "I pressed 12 on the phone").await;

    hang_up(&call).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_socket_loses_nothing_of_the_awaited_answer() {
    let world = world(1, 300).await;
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;

    call.say("[[SLOW 3000]] still there").await.unwrap();
    call.drop_socket().await.unwrap();
    hears(&call, "still there").await;
    say(&call, "good", "echo: good").await;

    assert_eq!(only_relay(&hang_up(&call).await).connections, 2);
    let stats = world.openclaw.as_ref().unwrap().stats();
    assert_eq!((stats.sends, stats.overlaps), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_sockets_all_break_goes_on_with_gather() {
    let world = world(1, 300).await;
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;

    for _ in 0..6 {
        call.drop_socket().await.unwrap();
    }
    hears(&call, PHRASES.line_was_broken).await;
    say(&call, "now what", "echo: now what").await;

    call.hang_up();
    ended(&call).await;
    let view = call.view();
    assert!(
        !view.requests_of(RequestKind::Gather).is_empty(),
        "{view:#?}"
    );
    all_answered(&world, ADA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_a_killed_ingress_go_on_at_another() {
    let mut world = world(2, 300).await;
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;
    say(&call, "before", "echo: before").await;

    let holder = ingress_of_call(&world).await;
    call.say("[[SLOW 3000]] meanwhile").await.unwrap();
    wait_for_turns(&world, 3).await;
    world.kill(holder).await.unwrap();
    hears(&call, "meanwhile").await;
    say(&call, "after", "echo: after").await;

    call.hang_up();
    ended(&call).await;
    all_answered(&world, ADA).await;
    let stats = world.openclaw.as_ref().unwrap().stats();
    assert_eq!((stats.answered_again, stats.overlaps), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_ingress_lets_its_callers_finish_and_still_accepts_webhooks() {
    let mut world = world(1, 300).await;
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;
    let holder = ingress_of_call(&world).await;

    let (meta, received) = (Arc::clone(&world.meta), world.meta.chat(ADA).received);
    let stopping = world.stop(holder);
    let talking = async {
        say(&call, "one more thing", "echo: one more thing").await;
        meta.write(ADA, "and in writing").unwrap();
        let answered = meta.wait_received(ADA, received + 1, WAIT_LIMIT).await;
        answered.unwrap();
        hang_up(&call).await
    };
    let (stopped, view) = tokio::join!(stopping, talking);

    assert!(stopped.unwrap());
    assert_eq!(only_relay(&view).connections, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_outlast_the_grace_period_are_handed_to_another_ingress() {
    let mut world = world(2, 0).await;
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;

    let holder = ingress_of_call(&world).await;
    call.say("[[SLOW 4000]] owed").await.unwrap();
    wait_for_turns(&world, 2).await;
    assert!(world.stop(holder).await.unwrap());
    hears(&call, "owed").await;
    say(&call, "and on", "echo: and on").await;

    let view = hang_up(&call).await;
    assert_eq!(view.relays.len(), 2, "{view:#?}");
    assert_eq!(view.relays[0].status.as_deref(), Some("ended"));
}

async fn world(ingresses: usize, grace_seconds: u64) -> World {
    let options = Crowd::options_of_gateways(1);
    let mut variables = options.variables;
    variables.push(("CALL_GRACE_SECONDS", grace_seconds.to_string()));
    let mut replicas = options.replicas;
    replicas.push((Service::Ingress, ingresses));
    let behaviour = Behaviour {
        deltas: 20,
        ..Behaviour::default()
    };
    World::start(Options {
        sandboxes: Sandboxes::Simulated(SimOpenClawConfig {
            behaviour,
            ..SimOpenClawConfig::default()
        }),
        voice: VoiceMode::Relay,
        replicas,
        variables,
        ..options
    })
    .await
    .unwrap()
}

/// Waits until the assistant has got this many turns.
async fn wait_for_turns(world: &World, turns: u64) {
    let is_asked = || async { world.openclaw.as_ref().unwrap().stats().sends == turns };
    eventually("the assistant has got the turns", is_asked).await;
}

/// The ingress that has an open relay session.
async fn ingress_of_call(world: &World) -> Replica {
    for replica in world.replicas_of(Service::Ingress) {
        let sessions = world.metric_of(replica, RELAY_SESSIONS_OPEN.name()).await;
        if sessions.unwrap_or_default() > 0.0 {
            return replica;
        }
    }
    panic!("no ingress has an open relay session")
}

fn only_relay(view: &CallView) -> &RelayView {
    let [relay] = &view.relays[..] else {
        panic!("{view:#?}");
    };
    relay
}
