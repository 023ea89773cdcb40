//! Events whose handling ends the process. A process that dies is a replica whose tasks are aborted: it releases nothing,
//! and its lease expires.

use std::future::pending;

use async_trait::async_trait;
use claw_bus::{Attempt, DeadLetters, Handler, HandlerError, StoredLetter};
use claw_events::{DeadLetter, SandboxRequested};
use claw_testkit::eventually;
use tokio::sync::mpsc;

use crate::world::{Recorder, Replica, World, connect, run};

/// User and number of an event.
type Name = (u32, u32);

#[tokio::test(flavor = "multi_thread")]
async fn events_that_end_their_processes_go_to_dead_and_all_others_are_handled_in_order() {
    const USERS: u32 = 50;
    const EVENTS: u32 = 10;
    const POISON: [Name; 2] = [(7, 3), (31, 0)];
    let world = World::new().await;
    let letters = letters(&world).await;
    for number in 0..EVENTS {
        for user in 0..USERS {
            world.publish(user, number).await;
        }
    }
    let recorder = Recorder::default();
    let expected = |user| {
        let numbers = 0..EVENTS;
        let numbers = numbers.filter(move |number| !POISON.contains(&(user, *number)));
        numbers.collect::<Vec<_>>()
    };
    let all_are_decided = || async {
        let handled =
            (0..USERS).all(|user| survived_of(&recorder, user, &POISON) == expected(user));
        handled && reasons(&letters).await.len() == POISON.len()
    };

    let mut deaths = 0;
    loop {
        let (replica, mut death) = mortal(&world, &recorder, &POISON).await;
        tokio::select! {
            Some(()) = death.recv() => {
                replica.kill();
                deaths += 1;
                assert!(deaths <= 6, "more than 6 processes died of two events");
            }
            () = eventually("every event is handled or dead", all_are_decided) => {
                replica.stop().await;
                break;
            }
        }
    }

    for reason in reasons(&letters).await {
        assert_eq!(reason, ("fatal".to_owned(), "3".to_owned()));
    }
    for (user, number) in POISON {
        let begun = recorder.numbers_of(user);
        let begun = begun.iter().filter(|begun| **begun == number).count();
        assert!(
            begun <= 3,
            "event {number} of user {user} was begun {begun} times"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_in_progress_while_processes_die_of_something_else_is_handled_in_the_end() {
    const SLOW: Name = (1, 0);
    let world = World::new().await;
    let letters = letters(&world).await;
    world.publish(SLOW.0, SLOW.1).await;
    let recorder = Recorder::default();

    for deaths in 0..5 {
        let (replica, mut begun) = mortal(&world, &recorder, &[SLOW]).await;
        if deaths < 2 {
            begun.recv().await.unwrap();
        } else {
            // By now the event is suspicious, and waits until the process has lived for a while.
            world.publish(2, deaths).await;
            eventually("an event of another user is handled", || async {
                recorder.numbers_of(2).contains(&deaths)
            })
            .await;
        }
        replica.kill();
    }
    assert_eq!(recorder.numbers_of(SLOW.0), [0, 0], "begun too often");
    let survivor = run(&connect(&world.nats, "provisioner").await, recorder.clone());

    eventually("the event is handled", || async {
        recorder.numbers_of(SLOW.0) == [0, 0, 0]
    })
    .await;
    world.publish(SLOW.0, 1).await;
    eventually("the user's next event is handled", || async {
        recorder.numbers_of(SLOW.0).ends_with(&[1])
    })
    .await;
    assert_eq!(reasons(&letters).await, []);
    survivor.stop().await;
}

/// A handler that reports that it has begun a deadly event, and never ends it.
struct Mortal {
    recorder: Recorder,
    deadly: Vec<Name>,
    dies: mpsc::UnboundedSender<()>,
}

#[async_trait]
impl Handler for Mortal {
    type Event = SandboxRequested;

    async fn handle(
        &self,
        event: &SandboxRequested,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        self.recorder.handle(event, attempt).await?;
        let is = |(user, number): &Name| {
            event.user == claw_testkit::user(&user.to_string()) && event.attempt == *number
        };
        if self.deadly.iter().any(is) {
            // Fails if the process is dying of another event.
            let _ = self.dies.send(());
            pending::<()>().await;
        }
        Ok(())
    }
}

/// A process that handles events until a deadly one is begun, which the receiver yields.
async fn mortal(
    world: &World,
    recorder: &Recorder,
    deadly: &[Name],
) -> (Replica, mpsc::UnboundedReceiver<()>) {
    let bus = connect(&world.nats, "provisioner").await;
    let (dies, death) = mpsc::unbounded_channel();
    let handler = Mortal {
        recorder: recorder.clone(),
        deadly: deadly.to_vec(),
        dies,
    };
    (run(&bus, handler), death)
}

/// The numbers of a user's events that are not deadly, in the order in which they were first begun.
fn survived_of(recorder: &Recorder, user: u32, deadly: &[Name]) -> Vec<u32> {
    let mut numbers = Vec::new();
    for number in recorder.numbers_of(user) {
        if !numbers.contains(&number) && !deadly.contains(&(user, number)) {
            numbers.push(number);
        }
    }
    numbers
}

async fn letters(world: &World) -> DeadLetters {
    let admin = connect(&world.nats, "admin").await;
    DeadLetters::open(&admin).await.unwrap()
}

/// Reason and attempts of every dead letter.
async fn reasons(letters: &DeadLetters) -> Vec<(String, String)> {
    let newest = letters.newest(None, 100).await.unwrap();
    let header = |letter: &StoredLetter, name| letter.header(name).unwrap().to_owned();
    let reasons = newest.letters.iter().map(|letter| {
        (
            header(letter, DeadLetter::REASON),
            header(letter, DeadLetter::ATTEMPTS),
        )
    });
    reasons.collect()
}
