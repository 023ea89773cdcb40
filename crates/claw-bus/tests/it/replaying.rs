use std::time::Duration;

use anyhow::anyhow;
use async_nats::{
    header::NATS_MESSAGE_ID,
    jetstream::{self, message::PublishMessage},
};
use claw_bus::{DeadLetters, HandlerError, ReplayOutcome, Replayer, StreamHistory, StreamPosition};
use claw_events::{DeadLetter, Stream, subject_of};
use claw_testkit::eventually;

use crate::world::{Recorder, World, connect, request, run};

#[tokio::test(flavor = "multi_thread")]
async fn the_replay_of_a_rejected_event_is_handled_and_names_the_old_event() {
    let world = World::new().await;
    let recorder = rejecting_the_first();
    let _running = run(&world.provisioner, recorder.clone());
    let publisher = world.gateway.publisher();
    publisher.publish(&request(1, 7)).await.unwrap();
    eventually("the event is in DEAD", || async {
        stored(&world, Stream::Dead).await == 1
    })
    .await;
    let admin = connect(&world.nats, "admin").await;
    let letters = DeadLetters::open(&admin).await.unwrap();

    let before = letters.newest(Some("provisioner-requests"), 10).await;
    let outcome = Replayer::new(&admin, None).replay_letter(&letters, 1).await;

    let letter = &before.unwrap().letters[0];
    assert_eq!(letter.event(), Some(sandbox(1)));
    assert_eq!(letter.header(DeadLetter::REASON), Some("rejected"));
    assert_eq!(
        letter.header(DeadLetter::ERROR),
        Some("looking at it: never")
    );
    assert_eq!(outcome.unwrap(), ReplayOutcome::Replayed(sandbox(2)));
    let latest = letters.latest_replay(letter).await.unwrap();
    assert_eq!(latest, Some(sandbox(2)));
    eventually("the replay is handled", || async {
        recorder.numbers_of(1) == [7, 7]
    })
    .await;
    let history = StreamHistory::open(&admin, Stream::Sandbox).await.unwrap();
    let old = history.find(1).await.unwrap().unwrap();
    let new = history.find(2).await.unwrap().unwrap();
    for header in [
        ("Claw-Replay-Of", "SANDBOX:1"),
        ("Nats-Msg-Id", "replay:SANDBOX:1:dead-1"),
        ("Claw-Event", "sandbox.requested"),
        ("Claw-Event-Version", "1"),
    ] {
        assert!(new.headers().contains(&header), "{header:?} in {new:?}");
    }
    assert_eq!(
        (new.subject, new.payload),
        (old.subject, old.payload),
        "the replay has the same subject and payload"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_replayed_once_for_a_ticket_even_after_the_servers_deduplication_window() {
    let world = World::new().await;
    let publisher = world.gateway.publisher();
    publisher.publish(&request(1, 0)).await.unwrap();

    let first = replay_with_ticket(&world, "OPS-1").await;
    let at_once = replay_with_ticket(&world, "OPS-1").await;
    let other_ticket = replay_with_ticket(&world, "OPS-2").await;
    forget_ids(&world).await;
    let before = stored(&world, Stream::Sandbox).await;
    let later = replay_with_ticket(&world, "OPS-1").await;

    assert_eq!(first, ReplayOutcome::Replayed(sandbox(2)));
    assert_eq!(at_once, ReplayOutcome::AlreadyReplayed(sandbox(2)));
    assert_eq!(other_ticket, ReplayOutcome::Replayed(sandbox(3)));
    assert_eq!(later, ReplayOutcome::AlreadyReplayed(sandbox(2)));
    assert_eq!(stored(&world, Stream::Sandbox).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_differs_from_its_event_is_not_replayed() {
    let world = World::new().await;
    let _running = run(&world.provisioner, rejecting_the_first());
    let publisher = world.gateway.publisher();
    publisher.publish(&request(1, 7)).await.unwrap();
    eventually("the event is in DEAD", || async {
        stored(&world, Stream::Dead).await == 1
    })
    .await;
    let letter = stream(&world, Stream::Dead).await;
    let mut headers = letter.get_raw_message(1).await.unwrap().headers;
    headers.insert(NATS_MESSAGE_ID, "forged");
    let provisioner = world.client("provisioner").await;
    let subject =
        subject_of(&request(1, 7)).replacen("sandbox.requested", "dead.provisioner-requests", 1);
    provisioner
        .request_with_headers(subject, headers, "{}".into())
        .await
        .unwrap();
    let admin = connect(&world.nats, "admin").await;
    let letters = DeadLetters::open(&admin).await.unwrap();
    let before = stored(&world, Stream::Sandbox).await;

    let forged = Replayer::new(&admin, None).replay_letter(&letters, 2).await;

    assert_eq!(forged.unwrap(), ReplayOutcome::NotTheOriginal(sandbox(1)));
    assert_eq!(stored(&world, Stream::Sandbox).await, before);
}

/// Replays the first event of `SANDBOX`.
async fn replay_with_ticket(world: &World, ticket: &str) -> ReplayOutcome {
    let admin = connect(&world.nats, "admin").await;
    let history = StreamHistory::open(&admin, Stream::Sandbox).await.unwrap();
    let replayer = Replayer::new(&admin, Some(ticket.parse().unwrap()));
    replayer.replay_event(&history, 1).await.unwrap()
}

const fn sandbox(sequence: u64) -> StreamPosition {
    StreamPosition {
        stream: Stream::Sandbox,
        sequence,
    }
}

fn rejecting_the_first() -> Recorder {
    Recorder {
        answer: Some(|_, attempt| match attempt.sequence {
            1 => Err(HandlerError::reject(
                anyhow!("never").context("looking at it"),
            )),
            _ => Ok(()),
        }),
        ..Recorder::default()
    }
}

async fn stream(world: &World, stream: Stream) -> jetstream::stream::Stream {
    let account = if stream == Stream::Dead {
        "admin"
    } else {
        "provisioner"
    };
    let jetstream = world.nats.jetstream_of(account).await.unwrap();
    jetstream.get_stream(stream.name()).await.unwrap()
}

async fn stored(world: &World, which: Stream) -> u64 {
    stream(world, which).await.cached_info().state.messages
}

/// Shortens the deduplication window, and waits until it is over for all ids so far.
async fn forget_ids(world: &World) {
    let jetstream = world.nats.jetstream_of("provisioner").await.unwrap();
    let mut config = stream(world, Stream::Sandbox)
        .await
        .cached_info()
        .config
        .clone();
    config.duplicate_window = Duration::from_millis(100);
    jetstream.update_stream(config).await.unwrap();
    let subject = subject_of(&request(99, 0));
    let publish_probe = || async {
        let probe = PublishMessage::build().message_id("probe");
        let sent = jetstream.send_publish(subject.clone(), probe).await;
        sent.unwrap().await.unwrap()
    };
    publish_probe().await;
    eventually("the id is forgotten", || async {
        !publish_probe().await.duplicate
    })
    .await;
}
