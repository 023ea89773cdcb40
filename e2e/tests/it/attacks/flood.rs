use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use claw_testkit::eventually;
use e2e::harness::{Service, World};
use sim_openclaw::Flood;
use tokio::time::sleep;

use crate::crowd::{Crowd, is_answer, number};

/// Users who write while sandboxes of others flood the gateway: 200 messages within five seconds.
const CROWD: Crowd = Crowd {
    users: 50,
    messages_each: 4,
    per_second: 40,
    copies: 1,
};

/// The first user with a hostile sandbox; not one of the crowd.
const ATTACKER: u32 = 600_000;

/// One hostile sandbox each.
const FLOODS: [Flood; 4] = [
    Flood::Frames { bytes: 1024 * 1024 },
    Flood::Frames {
        bytes: 8 * 1024 * 1024,
    },
    Flood::Finals { pause_ms: 0 },
    Flood::Rows { count: 5_000 },
];

/// Most by which the gateway may grow, in bytes.
const GROWTH_LIMIT: u64 = 64 * 1024 * 1024;

/// Pause between two looks at the gateway's memory.
const PAUSE: Duration = Duration::from_millis(50);

/// Most proactive messages of one user that are stored in a day, and held.
const STORED_PER_DAY: usize = 300;
const HELD: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn sandboxes_that_flood_the_gateway_get_neither_its_memory_nor_its_time() {
    let world = Crowd::world().await;
    let attackers: Vec<String> = (ATTACKER..).take(FLOODS.len()).map(number).collect();
    for attacker in &attackers {
        ask(&world, attacker, "before").await;
    }
    let before = world.memory_of(Service::Gateway).unwrap();
    let peak = AtomicU64::new(before);

    let attack = async {
        for (attacker, flood) in attackers.iter().zip(FLOODS) {
            flood_from(&world, attacker, Some(flood));
        }
        for attacker in &attackers {
            let sandbox = world.assistant_of(attacker).unwrap();
            eventually("the sandbox is cut off", async || {
                is_cut_off(&world, &sandbox)
            })
            .await;
            flood_from(&world, attacker, None);
        }
    };
    tokio::select! {
        () = watch_memory(&world, &peak) => {}
        _ = async { tokio::join!(attack, CROWD.write(&world.meta)) } => {}
    }

    for user in 0..CROWD.users {
        eventually("every message is answered", async || {
            is_answered(&world, &number(user))
        })
        .await;
    }
    for attacker in &attackers {
        ask(&world, attacker, "afterwards").await;
    }
    let growth = peak.load(Ordering::Relaxed) - before;
    assert!(growth <= GROWTH_LIMIT, "the gateway grew by {growth} bytes");
    let events = world.nats.dump().await.unwrap();
    for attacker in &attackers {
        let user = world.assistant_of(attacker).unwrap();
        let is_told = |line: &str| line.contains("sandbox_flooded") && line.contains(&user);
        assert_eq!(events.lines().filter(|line| is_told(line)).count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_invents_reminders_without_end_fills_neither_tables_nor_a_phone() {
    let mut options = Crowd::options();
    options
        .variables
        .push(("PROACTIVE_PER_DAY", "2".to_owned()));
    let world = World::start(options).await.unwrap();
    let attacker = number(ATTACKER);
    ask(&world, &attacker, "before").await;

    flood_from(&world, &attacker, Some(Flood::Rows { count: 1_500 }));
    let log = || world.log_of(Service::Gateway);
    eventually("reminders of several readings are refused", async || {
        log().matches("too many for one day").count() >= 3
    })
    .await;
    flood_from(&world, &attacker, None);

    ask(&world, &attacker, "afterwards").await;
    let texts = world.meta.chat(&attacker);
    let texts = texts.received_texts();
    let sent = texts.iter().filter(|text| text.starts_with("flood "));
    assert_eq!(sent.count(), 2);
    let rows = world.postgres.dump().await.unwrap();
    let stored = |status: &str| {
        let is_stored = |row: &&str| row.contains("'flood ") && row.contains(status);
        rows.lines().filter(is_stored).count()
    };
    assert_eq!((stored(""), stored("'held'")), (STORED_PER_DAY, HELD));
}

/// Writes a text and waits for its answer.
async fn ask(world: &World, user: &str, text: &str) {
    world.meta.write(user, text).unwrap();
    eventually("the text is answered", async || {
        let chat = world.meta.chat(user);
        let texts = chat.received_texts();
        texts
            .iter()
            .any(|answer| *answer == format!("echo: {text}"))
    })
    .await;
}

/// Whether every message that the user wrote is in an answer.
fn is_answered(world: &World, user: &str) -> bool {
    let chat = world.meta.chat(user);
    let (written, received) = (chat.written_texts(), chat.received_texts());
    let is_in_answer = |text: &&str| {
        let mut answers = received.iter().filter(|answer| is_answer(answer));
        answers.any(|answer| answer.contains(text))
    };
    written.len() == CROWD.messages_each as usize && written.iter().all(is_in_answer)
}

fn flood_from(world: &World, user: &str, flood: Option<Flood>) {
    let assistant = world.assistant_of(user).unwrap();
    world.openclaw.as_ref().unwrap().flood(&assistant, flood);
}

fn is_cut_off(world: &World, user: &str) -> bool {
    let log = world.log_of(Service::Gateway);
    log.lines()
        .any(|line| line.contains("cut off a sandbox") && line.contains(user))
}

/// Keeps the highest memory of the gateway, until it is dropped.
async fn watch_memory(world: &World, peak: &AtomicU64) {
    loop {
        let memory = world.memory_of(Service::Gateway).unwrap();
        peak.fetch_max(memory, Ordering::Relaxed);
        sleep(PAUSE).await;
    }
}
