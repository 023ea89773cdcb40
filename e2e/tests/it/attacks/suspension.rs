//! The operator's kill switch, for one person and for everybody.

use std::{sync::Arc, time::Duration};

use claw_chat::Notice;
use claw_store::{Store, WaitingMessage};
use claw_testkit::eventually;
use claw_twilio::{phrases::Phrases, voices::Language};
use e2e::harness::{Service, World, user_of};
use sim_meta::Speaker;
use sim_openclaw::Heartbeat;

use crate::crowd::{Crowd, is_answer, now_ms, number};

/// 100 users who write for eight seconds.
const CROWD: Crowd = Crowd {
    users: 100,
    messages_each: 4,
    per_second: 50,
    copies: 1,
};

/// So few messages per second that replies queue up at outbound.
const MESSAGES_PER_SECOND: &str = "40";

/// A text that goes out later than this after the command was not stopped.
const STOPPED_WITHIN_MS: i64 = 10_000;

const ADA: u32 = 1;
const BOB: u32 = 2;

/// Our phrases for callers from Germany.
const PHRASES: &Phrases = Phrases::of(Language::German);

/// Longest wait for a phrase in a call.
const CALL_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_assistant_reaches_nobody_and_answers_everything_after_it_is_resumed() {
    let world = World::start(Crowd::options_of_gateways(1)).await.unwrap();
    let openclaw = world.openclaw.clone().unwrap();
    for user in [ADA, BOB] {
        write(&world, user, "hello");
        hears(&world, user, "echo: hello").await;
    }
    let call = world.twilio.call(e164(ADA).as_str());
    call.next_heard(PHRASES.greeting, CALL_LIMIT).await.unwrap();
    write(&world, ADA, "[[SLOW 6000]] first");
    let (adas, bobs) = (assistant(&world, ADA), assistant(&world, BOB));
    eventually("the turn runs", async || openclaw.busy().contains(&adas)).await;

    suspend(&world, ADA).await;

    eventually("no turn runs", async || openclaw.busy().is_empty()).await;
    hears(&world, ADA, &Notice::Suspended.text()).await;
    call.say("second").await.unwrap();
    call.next_heard(PHRASES.suspended, CALL_LIMIT)
        .await
        .unwrap();
    call.ended(CALL_LIMIT).await.unwrap();
    write(&world, ADA, "third");
    for sandbox in [&adas, &bobs] {
        openclaw.heartbeat(sandbox, &Heartbeat::Alert(format!("Alert for {sandbox}")));
    }
    suspend(&world, ADA).await;
    write(&world, ADA, "fourth");
    write(&world, BOB, "and me?");
    hears(&world, BOB, "echo: and me?").await;
    hears(&world, BOB, "Alert for").await;
    for text in ["first", "second", "third", "fourth"] {
        eventually(&format!("{text} waits"), async || {
            let waiting = waiting_for(&world, ADA).await;
            waiting.iter().any(|it| it.content.expose().contains(text))
        })
        .await;
    }
    let heard = texts(&world, ADA);
    assert_eq!(
        heard.last(),
        Some(&Notice::Suspended.text()),
        "nothing but the line: {heard:?}"
    );
    let notices = heard.iter().filter(|it| **it == Notice::Suspended.text());
    assert_eq!(notices.count(), 1);
    let transcript = openclaw.transcript(&adas);
    let mut asked = transcript.iter().filter(|row| row.role == "user");
    assert!(asked.all(|row| !row.text.contains("third")));

    let resumed = world.command(&["person", "resume", &e164(ADA)]).await;
    assert!(resumed.unwrap().contains("no longer suspended"));

    for text in ["first", "second", "third", "fourth", "Alert for"] {
        hears(&world, ADA, text).await;
    }
    let answers = texts(&world, ADA).split_off(heard.len());
    let answers: Vec<_> = answers.into_iter().filter(|it| is_answer(it)).collect();
    let answers = answers.join("\n");
    let places: Vec<Vec<usize>> = ["first", "second", "third", "fourth"]
        .iter()
        .map(|text| answers.match_indices(text).map(|(at, _)| at).collect())
        .collect();
    assert!(places.iter().all(|at| at.len() == 1), "once: {answers}");
    assert!(places.is_sorted(), "in order: {answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_out_while_everybody_is_suspended_even_if_services_die() {
    let mut options = Crowd::options_of_gateways(1);
    options.variables.push((
        "WHATSAPP_MESSAGES_PER_SECOND",
        MESSAGES_PER_SECOND.to_owned(),
    ));
    let mut world = World::start(options).await.unwrap();
    let meta = Arc::clone(&world.meta);
    let writing = tokio::spawn(async move { CROWD.write(&meta).await });
    eventually("the first answers have arrived", async || {
        let sent = sent(&world);
        sent.iter().filter(|(text, _)| is_answer(text)).count() >= 20
    })
    .await;

    let stopped_ms = now_ms();
    let printed = world
        .command(&["suspend", "--all", "--reason", "a test", "--json"])
        .await
        .unwrap();
    for service in [Service::Outbound, Service::Gateway] {
        world.kill(service).await.unwrap();
        world.restart(service).await.unwrap();
    }
    writing.await.unwrap();
    // In each user's lane the line is behind the replies that were under way.
    eventually("everybody was told", async || {
        (0..CROWD.users).all(|user| times_told(&world, user) == 1)
    })
    .await;
    let openclaw = world.openclaw.clone().unwrap();
    eventually("no turn runs", async || openclaw.busy().is_empty()).await;

    assert!(printed.contains(r#""outcome":"suspended""#), "{printed}");
    let sent = sent(&world);
    let replies = sent
        .iter()
        .filter(|(text, _)| *text != Notice::Suspended.text());
    let last_ms = replies.map(|(_, at_ms)| at_ms - stopped_ms).max().unwrap();
    eprintln!("the last reply went out {last_ms} ms after the command");
    assert!(last_ms <= STOPPED_WITHIN_MS);
    let answers = sent.iter().filter(|(text, _)| is_answer(text)).count();

    let printed = world.command(&["resume", "--all"]).await.unwrap();

    assert!(printed.contains("no longer suspended"), "{printed}");
    CROWD.verify_answers(&world).await;
    assert!(answers < CROWD.users as usize * 2, "{answers} went out");
    for user in 0..CROWD.users {
        assert_eq!(times_told(&world, user), 1, "user {user}");
    }
}

async fn suspend(world: &World, user: u32) {
    let line = ["person", "suspend", &e164(user), "--reason", "a test"];
    world.command(&line).await.unwrap();
}

fn write(world: &World, user: u32, text: &str) {
    world.meta.write(&number(user), text).unwrap();
}

async fn hears(world: &World, user: u32, words: &str) {
    eventually(&format!("user {user} hears {words}"), async || {
        texts(world, user).iter().any(|text| text.contains(words))
    })
    .await;
}

/// The texts that a user has received.
fn texts(world: &World, user: u32) -> Vec<String> {
    let chat = world.meta.chat(&number(user));
    let texts = chat.received_texts().into_iter();
    texts.map(str::to_owned).collect()
}

/// How often a user was told that they are suspended.
fn times_told(world: &World, user: u32) -> usize {
    let texts = texts(world, user).into_iter();
    texts
        .filter(|text| *text == Notice::Suspended.text())
        .count()
}

/// All that was sent to the crowd, with times in milliseconds since 1970.
fn sent(world: &World) -> Vec<(String, i64)> {
    (0..CROWD.users)
        .flat_map(|user| world.meta.chat(&number(user)).lines)
        .filter(|line| line.from == Speaker::Business)
        .map(|line| (line.text, line.at_ms))
        .collect()
}

/// A user's unanswered messages.
async fn waiting_for(world: &World, user: u32) -> Vec<WaitingMessage> {
    let store = Store::connect(&world.postgres.url().into(), 1)
        .await
        .unwrap();
    let user = user_of(&number(user)).unwrap();
    store.messages().waiting(user, 100).await.unwrap()
}

fn assistant(world: &World, user: u32) -> String {
    world.assistant_of(&number(user)).unwrap()
}

fn e164(user: u32) -> String {
    format!("+{}", number(user))
}
