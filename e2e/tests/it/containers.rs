use std::time::Duration;

use e2e::harness::{Containers, Options, Sandboxes, VoiceMode, World};
use sim_meta::{ChatView, SimMetaConfig};
use sim_twilio::SimTwilioConfig;
use tokio::time::Instant;

use crate::{
    calls::real_assistant::{
        a_call_continues_the_chat_and_gets_a_follow_up,
        a_streamed_answer_is_spoken_piece_by_piece_and_can_be_interrupted,
    },
    reminders::{HEARTBEAT_EVERY, asked, proactive_messages_arrive_once},
    sleep::real_assistant::{Reminder, a_sleeper_answers_a_message_and_a_call},
};

/// Longest time from a new user's first message to the first answer, on a busy machine.
const FIRST_ANSWER_LIMIT: Duration = Duration::from_mins(4);

/// Longest time for a later answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(90);

/// Messages that the simulated model repeats in its answers.
const STORIES: [&str; 2] = ["tell me a story", "tell me another one"];

const ADA: &str = "491515550001";
const BOB: &str = "491515550002";

#[tokio::test(flavor = "multi_thread")]
async fn new_users_get_their_own_sandboxes_answers_calls_and_proactive_messages() {
    let mut world = world().await;
    let containers = world.containers().await.unwrap();

    world.meta.write(ADA, "hi").unwrap();
    let chat = heard(&world, ADA, 2, FIRST_ANSWER_LIMIT).await;
    assert!(chat.received_texts()[0].contains("setting up"), "{chat:?}");

    world.meta.write(BOB, "hi").unwrap();
    world
        .meta
        .write(ADA, "Had 2 rotis and dal for lunch")
        .unwrap();
    let chat = heard(&world, ADA, 3, ANSWER_LIMIT).await;
    eprintln!("Ada's chat: {:#?}", chat.received_texts());
    heard(&world, BOB, 2, FIRST_ANSWER_LIMIT).await;

    let adas = meals_of(&containers, ADA).await;
    assert_eq!(adas.lines().count(), 1, "{adas}");
    assert!(adas.contains("roti"), "{adas}");
    assert_eq!(
        meals_of(&containers, BOB).await,
        "",
        "Ada's row is in Bob's database"
    );
    assert_container_settings_show_no_secret(&world, &containers).await;

    a_call_continues_the_chat_and_gets_a_follow_up(&world, ADA).await;
    world.set_voice_mode(VoiceMode::Relay).await.unwrap();
    a_streamed_answer_is_spoken_piece_by_piece_and_can_be_interrupted(&world, ADA).await;
    proactive_messages_arrive_once(&mut world, BOB).await;
    let reminder = Reminder::promised(&world, &containers, BOB).await;
    a_killed_sandbox_still_gives_one_answer(&world, &containers).await;
    a_sleeper_answers_a_message_and_a_call(&world, &containers, ADA).await;
    reminder.arrives(&world, BOB).await;
    world.remove_containers().await.unwrap();
}

/// Kills the sandbox once before the model has begun, when OpenClaw forgets the turn, and once during the
/// model's answer, when OpenClaw resumes the turn after its restart.
async fn a_killed_sandbox_still_gives_one_answer(world: &World, containers: &Containers) {
    for story in STORIES {
        let typing = world.meta.chat(ADA).typing;
        world
            .meta
            .write(ADA, &format!("[[SLOW 6]] {story}"))
            .unwrap();
        if story == STORIES[0] {
            let is_typing = || async { world.meta.chat(ADA).typing > typing };
            claw_testkit::eventually("the assistant is shown as typing", is_typing).await;
        } else {
            asked(world, |request| request.said.contains(story)).await;
        }
        containers.kill(ADA).await.unwrap();
        hears(world, ADA, story, FIRST_ANSWER_LIMIT).await;
        let goodbye = format!("goodbye after {story}");
        world
            .meta
            .write(ADA, &format!("[[SAY {goodbye}]]"))
            .unwrap();
        let chat = hears(world, ADA, &goodbye, FIRST_ANSWER_LIMIT).await;
        let received = chat.received_texts();
        let is_answer = |text: &&&str| text.contains(story) && !text.contains("goodbye");
        let answers = received.iter().filter(is_answer).count();
        assert_eq!(
            answers, 1,
            "one answer although the sandbox was killed: {received:#?}"
        );
    }
}

async fn world() -> World {
    World::start(Options {
        sandboxes: Sandboxes::Containers,
        cap: 4,
        meta: SimMetaConfig::default(),
        twilio: SimTwilioConfig::default(),
        voice: VoiceMode::default(),
        replicas: Vec::new(),
        variables: vec![
            ("SANDBOX_HEARTBEAT_EVERY", HEARTBEAT_EVERY.to_owned()),
            ("QUIET_HOURS", "off".to_owned()),
            ("PROACTIVE_PER_DAY", "0".to_owned()),
            // A sleeper wakes for its reminder alone.
            ("HEARTBEAT_WAKES_PER_DAY", "0".to_owned()),
        ],
    })
    .await
    .unwrap()
}

async fn heard(world: &World, number: &str, received: u64, limit: Duration) -> ChatView {
    match world.meta.wait_received(number, received, limit).await {
        Ok(chat) => chat,
        Err(chat) => panic!("fewer than {received} messages after {limit:?}: {chat:?}"),
    }
}

/// Waits for a message that contains `words`; other messages, such as notices, may come first.
pub(crate) async fn hears(world: &World, number: &str, words: &str, limit: Duration) -> ChatView {
    let deadline = Instant::now() + limit;
    let mut received = 1;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let chat = heard(world, number, received, left).await;
        let texts = chat.received_texts();
        if texts.iter().any(|text| text.contains(words)) {
            return chat;
        }
        received = chat.received + 1;
    }
}

/// The rows of `meals` in this user's database, one per line.
async fn meals_of(containers: &Containers, number: &str) -> String {
    let query = "sqlite3 ~/assistant/assistant.db 'SELECT * FROM meals'";
    containers.run(number, query).await.unwrap()
}

async fn assert_container_settings_show_no_secret(world: &World, containers: &Containers) {
    let inspected = containers.inspect(ADA).await.unwrap();
    for (name, secret) in world.secrets() {
        assert!(
            !inspected.contains(&secret),
            "`docker inspect` shows {name}"
        );
    }
}
