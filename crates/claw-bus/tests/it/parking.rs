//! Events that their handler parks.

use std::sync::LazyLock;

use claw_bus::HandlerError;
use claw_testkit::eventually;
use tokio::{sync::watch, time::timeout};

use crate::world::{DEADLINE, Recorder, World, connect, run};

/// Parks events with even numbers until the gate opens.
static GATE: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(false));

#[tokio::test(flavor = "multi_thread")]
async fn parked_events_let_others_pass_and_are_handled_in_order_when_they_may_be() {
    let world = World::new().await;
    for number in 0..6 {
        world.publish(1, number).await;
    }
    let recorder = Recorder {
        answer: Some(|event, _| {
            let mut gate = GATE.subscribe();
            let is_open = *gate.borrow_and_update();
            if event.attempt % 2 == 0 && !is_open {
                return Err(HandlerError::park(async move {
                    let _ = gate.wait_for(|is_open| *is_open).await;
                }));
            }
            Ok(())
        }),
        ..Recorder::default()
    };
    let _running = run(&world.provisioner, recorder.clone());
    eventually("every event is tried", || async { recorder.count() == 6 }).await;
    assert_eq!(recorder.numbers_of(1), [0, 1, 2, 3, 4, 5]);

    GATE.send_replace(true);
    world.publish(1, 7).await;

    eventually("the parked events are handled", || async {
        recorder.numbers_of(1).len() >= 10
    })
    .await;
    let mut again = recorder.numbers_of(1).split_off(6);
    again.retain(|number| *number != 7);
    assert_eq!(again, [0, 2, 4]);
    assert!(!recorder.has_overlapped());
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_events_of_a_dead_process_reach_the_next_one_in_order() {
    let world = World::new().await;
    for number in 0..3 {
        world.publish(1, number).await;
    }
    let parking = Recorder {
        answer: Some(|_, _| Err(HandlerError::park(std::future::pending()))),
        ..Recorder::default()
    };
    let first = run(&world.provisioner, parking.clone());
    eventually("every event is parked", || async { parking.count() == 3 }).await;
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
async fn a_process_with_parked_events_stops_at_once() {
    let world = World::new().await;
    world.publish(1, 0).await;
    let recorder = Recorder {
        answer: Some(|_, _| Err(HandlerError::park(std::future::pending()))),
        ..Recorder::default()
    };
    let running = run(&world.provisioner, recorder.clone());
    eventually("the event is parked", || async { recorder.count() == 1 }).await;

    timeout(DEADLINE, running.stop()).await.unwrap();
}
