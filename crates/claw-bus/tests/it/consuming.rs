use std::{sync::Arc, time::Duration};

use anyhow::anyhow;
use async_nats::jetstream;
use claw_bus::HandlerError;
use claw_events::{DeadLetter, Stream};
use claw_testkit::eventually;
use tokio::sync::Notify;

use crate::world::{Recorder, World, connect, failure, request, run};

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_each_user_arrive_in_order() {
    let world = World::new().await;
    let publisher = world.gateway.publisher();
    for number in 0..50 {
        for user in 0..10 {
            publisher.publish(&request(user, number)).await.unwrap();
        }
    }
    let recorder = Recorder::default();

    let running = run(&world.provisioner, recorder.clone());

    eventually("all 500 events are handled", || async {
        recorder.count() == 500
    })
    .await;
    for user in 0..10 {
        assert_eq!(recorder.numbers_of(user), (0..50).collect::<Vec<_>>());
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_event_of_one_user_does_not_delay_other_users() {
    let world = World::new().await;
    let publisher = world.gateway.publisher();
    let gate = Arc::new(Notify::new());
    let recorder = Recorder {
        gate: Some(Arc::clone(&gate)),
        ..Recorder::default()
    };
    for user in [1, 1, 2] {
        publisher
            .publish(&request(user, unused_number()))
            .await
            .unwrap();
    }

    let _running = run(&world.provisioner, recorder.clone());

    eventually("the first event of both users is begun", || async {
        recorder.numbers_of(1).len() == 1 && recorder.numbers_of(2).len() == 1
    })
    .await;
    gate.notify_one();
    gate.notify_one();
    eventually("the second event of the first user is begun", || async {
        recorder.numbers_of(1).len() == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_events_of_a_dead_process_reach_the_next_one_in_order() {
    let world = World::new().await;
    let publisher = world.gateway.publisher();
    for number in 0..3 {
        publisher.publish(&request(1, number)).await.unwrap();
    }
    let stuck = Recorder {
        gate: Some(Arc::new(Notify::new())),
        ..Recorder::default()
    };
    let first = run(&world.provisioner, stuck.clone());
    eventually("the first process begins an event", || async {
        stuck.count() == 1
    })
    .await;
    first.kill();

    let recorder = Recorder::default();
    let _second = run(&connect(&world.nats, "provisioner").await, recorder.clone());

    eventually("the next process has all three events", || async {
        recorder.count() == 3
    })
    .await;
    assert_eq!(recorder.numbers_of(1), [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_handled_once_even_if_the_server_restarts_meanwhile() {
    let mut world = World::new().await;
    let publisher = world.gateway.publisher();
    let gate = Arc::new(Notify::new());
    let recorder = Recorder {
        gate: Some(Arc::clone(&gate)),
        ..Recorder::default()
    };
    let _running = run(&world.provisioner, recorder.clone());
    publisher.publish(&request(1, 0)).await.unwrap();
    publisher.publish(&request(1, 1)).await.unwrap();
    eventually("the first event is begun", || async {
        recorder.count() == 1
    })
    .await;

    world.nats.kill().await.unwrap();
    world.nats.start_again().await.unwrap();
    publisher.publish(&request(2, 0)).await.unwrap();
    eventually("an event of another user is handled", || async {
        recorder.numbers_of(2) == [0]
    })
    .await;
    gate.notify_one();
    gate.notify_one();

    eventually("the second event is begun", || async {
        recorder.numbers_of(1).len() >= 2
    })
    .await;
    assert_eq!(recorder.numbers_of(1), [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_delays_the_users_later_events_and_a_rejected_event_becomes_a_dead_letter() {
    let world = World::new().await;
    let publisher = world.gateway.publisher();
    let recorder = Recorder {
        answer: Some(|event, attempt| match (event.attempt, attempt.number) {
            (0, 1) => Err(HandlerError::retry_after(
                anyhow!("not yet"),
                Duration::from_millis(1),
            )),
            (1, _) => Err(HandlerError::reject(
                anyhow!("never").context("looking at it"),
            )),
            _ => Ok(()),
        }),
        ..Recorder::default()
    };
    for number in 0..3 {
        publisher.publish(&request(1, number)).await.unwrap();
    }

    let _running = run(&world.provisioner, recorder.clone());

    eventually("every event is handled or rejected", || async {
        recorder.count() == 4
    })
    .await;
    assert_eq!(recorder.numbers_of(1), [0, 0, 1, 2]);
    let dead = first_dead_letter(&world).await;
    let header = |name| {
        dead.headers
            .get(name)
            .map(|value| value.as_str().to_owned())
    };
    assert_eq!(
        header(DeadLetter::ERROR).as_deref(),
        Some("looking at it: never")
    );
    assert_eq!(header(DeadLetter::REASON).as_deref(), Some("rejected"));
    assert_eq!(dead.payload, serde_json::to_vec(&request(1, 1)).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn later_events_of_the_user_overtake_a_deferred_event() {
    let world = World::new().await;
    let publisher = world.gateway.publisher();
    let recorder = Recorder {
        answer: Some(|event, _| match event.attempt {
            0 => Err(HandlerError::defer(Duration::from_millis(100))),
            _ => Ok(()),
        }),
        ..Recorder::default()
    };
    publisher.publish(&request(1, 0)).await.unwrap();
    publisher.publish(&request(1, 1)).await.unwrap();

    let _running = run(&world.provisioner, recorder.clone());

    eventually("the deferred event is handled again", || async {
        recorder.count() >= 3
    })
    .await;
    assert_eq!(recorder.numbers_of(1)[..3], [0, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_decoded_becomes_a_dead_letter_and_the_next_one_is_handled() {
    let world = World::new().await;
    let client = world.admin().await;
    let subject = claw_events::subject_of(&request(1, 0));
    jetstream::new(client)
        .publish(subject, "{".into())
        .await
        .unwrap()
        .await
        .unwrap();
    world
        .gateway
        .publisher()
        .publish(&request(1, 1))
        .await
        .unwrap();
    let recorder = Recorder::default();

    let _running = run(&world.provisioner, recorder.clone());

    eventually("the valid event is handled", || async {
        recorder.numbers_of(1) == [1]
    })
    .await;
    assert_eq!(first_dead_letter(&world).await.payload, "{");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_delivers_only_events_published_after_it_began() {
    use futures_util::StreamExt;
    let world = World::new().await;
    let publisher = world.provisioner.publisher();
    publisher.publish(&failure(1)).await.unwrap();
    let mut watch = Box::pin(world.gateway.watch().await.unwrap());

    publisher.publish(&failure(2)).await.unwrap();

    assert_eq!(watch.next().await, Some(failure(2)));
}

fn unused_number() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

async fn first_dead_letter(world: &World) -> jetstream::message::StreamMessage {
    let client = world.admin().await;
    let stream = jetstream::new(client)
        .get_stream(Stream::Dead.name())
        .await
        .unwrap();
    eventually("the event is in DEAD", || async {
        stream.get_raw_message(1).await.is_ok()
    })
    .await;
    stream.get_raw_message(1).await.unwrap()
}
