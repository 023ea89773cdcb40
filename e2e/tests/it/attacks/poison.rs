use std::{sync::Arc, time::Duration};

use claw_testkit::eventually;
use e2e::harness::{Service, World};
use sim_meta::{Inbound, SimMeta};
use tokio::time::sleep;

use crate::crowd::{Crowd, is_answer, number};

/// 500 messages within five seconds.
const CROWD: Crowd = Crowd {
    users: 100,
    messages_each: 5,
    per_second: 100,
    copies: 1,
};

/// The user who writes the poisonous message; not one of the crowd.
const ATTACKER: u32 = 500_000;

/// The consumer that aborts its process, and the text at which it does.
const FAULT: &str = "gateway-messages=abort-the-process";

/// Pause between two checks of the gateway.
const PAUSE: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_kills_the_gateway_stops_nobody_after_three_deaths() {
    let mut options = Crowd::options();
    options
        .variables
        .push(("CLAWKAKA_FAULT_ABORT", FAULT.to_owned()));
    let mut world = World::start(options).await.unwrap();
    let meta = Arc::clone(&world.meta);

    tokio::join!(
        CROWD.write(&meta),
        write_poison(&meta),
        restart_until_given_up(&mut world)
    );

    CROWD.verify(&world).await;
    let events = world.nats.dump().await.unwrap();
    let letters = events.matches("subject dead.gateway-messages.").count();
    assert!(
        letters == 1 && events.contains("fatal"),
        "{letters} letters"
    );
    eventually("the attacker's other messages are answered", || async {
        answers_of(&world, ATTACKER).len() == 2
    })
    .await;
    let answers = answers_of(&world, ATTACKER);
    assert!(answers[0].contains("before") && answers[1].contains("after"));
}

/// Writes a harmless message, the poisonous one, and another harmless one while the crowd writes.
async fn write_poison(meta: &SimMeta) {
    for text in ["before", "abort-the-process", "after"] {
        sleep(Duration::from_secs(1)).await;
        let inbound = Inbound {
            from: number(ATTACKER),
            text: Some(text.to_owned()),
            ..Inbound::default()
        };
        meta.write_anything(inbound).unwrap();
    }
}

/// Restarts the gateway whenever it dies, until it gives an event up. Panics at its fourth death.
async fn restart_until_given_up(world: &mut World) {
    let mut deaths = 0;
    while !world.log_of(Service::Gateway).contains("gave up an event") {
        deaths += u32::from(world.restart_if_ended(Service::Gateway).await.unwrap());
        assert!(deaths <= 3, "the gateway died again");
        sleep(PAUSE).await;
    }
}

fn answers_of(world: &World, user: u32) -> Vec<String> {
    let chat = world.meta.chat(&number(user));
    let texts = chat.received_texts().into_iter();
    let answers = texts.filter(|text| is_answer(text));
    answers.map(str::to_owned).collect()
}
