use std::time::Duration;

use e2e::{
    harness::{Containers, Options, Sandboxes, World},
    sim_meta::{ChatView, SimMetaConfig},
};
use tokio::time::Instant;

/// How long a container may take from the first word to its first answer, on a busy machine.
const FIRST_ANSWER: Duration = Duration::from_mins(4);

/// How long a later answer may take.
const ANSWER: Duration = Duration::from_secs(90);

/// What comes back in the answer to it.
const STORY: &str = "tell me a story";

const ADA: &str = "491515550001";
const BOB: &str = "491515550002";

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_is_set_up_answered_and_has_lunch_written_into_their_own_database() {
    let mut world = world().await;
    let containers = world.containers().await.unwrap();

    world.meta.write(ADA, "hi").unwrap();
    let chat = heard(&world, ADA, 2, FIRST_ANSWER).await;
    assert!(chat.received_texts()[0].contains("setting up"), "{chat:?}");

    world.meta.write(BOB, "hi").unwrap();
    world
        .meta
        .write(ADA, "Had 2 rotis and dal for lunch")
        .unwrap();
    let chat = heard(&world, ADA, 3, ANSWER).await;
    eprintln!("Ada's chat: {:#?}", chat.received_texts());
    heard(&world, BOB, 2, FIRST_ANSWER).await;

    let adas = meals_of(&containers, ADA).await;
    assert_eq!(adas.lines().count(), 1, "{adas}");
    assert!(adas.contains("roti"), "{adas}");
    assert_eq!(
        meals_of(&containers, BOB).await,
        "",
        "the row is in nobody else's database"
    );
    nothing_secret_is_visible_from_outside(&world, &containers).await;

    let slowly = format!("[[SLOW 8]] {STORY}");
    world.meta.write(ADA, &slowly).unwrap();
    eventually_at_work(&world, ADA).await;
    containers.kill(ADA).await.unwrap();
    heard(&world, ADA, 4, FIRST_ANSWER).await;
    world.meta.write(ADA, "[[SAY goodbye]]").unwrap();
    let chat = hears(&world, ADA, "goodbye", FIRST_ANSWER).await;
    let told = chat.received_texts();
    // OpenClaw does not take up every turn that a kill interrupts; then the person is asked again.
    let is_outcome = |text: &&&str| text.contains(STORY) || text.contains("lost my thread");
    let stories = told.iter().filter(is_outcome).count();
    assert_eq!(
        stories, 1,
        "one answer though its sandbox was killed: {told:#?}"
    );
    world.remove_containers().await.unwrap();
}

async fn world() -> World {
    World::start(Options {
        sandboxes: Sandboxes::Containers,
        cap: 4,
        meta: SimMetaConfig::default(),
        variables: Vec::new(),
    })
    .await
    .unwrap()
}

async fn heard(world: &World, number: &str, received: u64, limit: Duration) -> ChatView {
    match world.meta.wait_received(number, received, limit).await {
        Ok(chat) => chat,
        Err(chat) => panic!("{received} messages were not received in {limit:?}: {chat:?}"),
    }
}

/// Waits for a message with these words in it; notices may come before.
async fn hears(world: &World, number: &str, words: &str, limit: Duration) -> ChatView {
    let deadline = Instant::now() + limit;
    let mut received = 1;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let chat = heard(world, number, received, left).await;
        if chat
            .received_texts()
            .iter()
            .any(|text| text.contains(words))
        {
            return chat;
        }
        received = chat.received + 1;
    }
}

/// The rows of `meals` in this person's sandbox, one a line.
async fn meals_of(containers: &Containers, number: &str) -> String {
    let query = "sqlite3 ~/assistant/assistant.db 'SELECT * FROM meals'";
    containers.run(number, query).await.unwrap()
}

async fn nothing_secret_is_visible_from_outside(world: &World, containers: &Containers) {
    let inspected = containers.inspect(ADA).await.unwrap();
    for (name, secret) in world.secrets() {
        assert!(
            !inspected.contains(&secret),
            "{name} can be read from the container's settings"
        );
    }
}

/// Waits until the assistant shows that it is at work on the latest message.
async fn eventually_at_work(world: &World, number: &str) {
    let before = world.meta.chat(number).typing;
    claw_testkit::eventually("the assistant types", || async {
        world.meta.chat(number).typing > before
    })
    .await;
}
