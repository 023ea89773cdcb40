use std::{ffi::OsString, time::Duration};

use anyhow::anyhow;
use async_nats::jetstream::{self, message::PublishMessage};
use claw_bus::{Command, HandlerError, OperateError, Outgoing, Terminal};
use claw_domain::UserId;
use claw_events::{DeadLetter, DeadReason, SandboxRequested, Stream, subject_of};
use claw_testkit::eventually;

use crate::world::{Recorder, World, connect, request, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_event_is_listed_replayed_and_handled_as_a_new_one_that_names_the_old() {
    let world = World::new().await;
    let recorder = rejecting_the_first();
    let _running = run(&world.provisioner, recorder.clone());
    let publisher = world.gateway.publisher();
    publisher.publish(&request(1, 7)).await.unwrap();
    eventually("it is in DEAD", || async {
        stored(&world, Stream::Dead).await == 1
    })
    .await;

    let listed = operate(&world, "dead list --consumer provisioner-requests").await;
    let replayed = operate(&world, "dead replay 1").await;

    let line = listed.out.lines().nth(1).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(
        [words[0], words[2], words[3], words[4], words[5], words[6]],
        [
            "1",
            "provisioner-requests",
            "SANDBOX:1",
            "rejected",
            "1",
            "-"
        ]
    );
    assert!(line.ends_with("looking at it: never"), "{line}");
    assert!(!line.contains(&request(1, 7).cause.to_string()), "{line}");
    assert_eq!(replayed.out, "DEAD:1: replayed as SANDBOX:2\n");
    eventually("it is handled again", || async {
        recorder.numbers_of(1) == [7, 7]
    })
    .await;
    let (old, new) = (event(&world, 1).await, event(&world, 2).await);
    let header = |name: &str| new.headers.get(name).map(|value| value.as_str().to_owned());
    assert_eq!(header("Claw-Replay-Of").as_deref(), Some("SANDBOX:1"));
    assert_eq!(
        header("Nats-Msg-Id").as_deref(),
        Some("replay:SANDBOX:1:dead-1")
    );
    assert_eq!(header("Claw-Event").as_deref(), Some("sandbox.requested"));
    assert_eq!(header("Claw-Event-Version").as_deref(), Some("1"));
    assert_eq!(
        (new.subject, new.payload),
        (old.subject, old.payload),
        "same person, same partition, same fact"
    );
    let listed = operate(&world, "dead list").await;
    assert!(listed.out.contains(" SANDBOX:2 "), "{}", listed.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_made_once_for_a_ticket_even_when_the_server_has_forgotten_its_id() {
    let world = World::new().await;
    let publisher = world.gateway.publisher();
    publisher.publish(&request(1, 0)).await.unwrap();
    let first = operate(&world, "replay SANDBOX 1 --ticket OPS-1").await;

    let at_once = operate(&world, "replay SANDBOX 1 --ticket OPS-1").await;
    let other_ticket = operate(&world, "replay SANDBOX 1 --ticket OPS-2").await;
    forget_ids(&world).await;
    let before = stored(&world, Stream::Sandbox).await;
    let later = operate(&world, "replay SANDBOX 1 --ticket OPS-1").await;

    assert_eq!(first.out, "SANDBOX:1: replayed as SANDBOX:2\n");
    let nothing = "SANDBOX:1: was replayed as SANDBOX:2 for this ticket, nothing is done\n";
    assert_eq!(at_once.out, nothing);
    assert_eq!(other_ticket.out, "SANDBOX:1: replayed as SANDBOX:3\n");
    assert_eq!(later.out, nothing);
    assert_eq!(stored(&world, Stream::Sandbox).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_dead_are_replayed_though_one_of_them_never_was_an_event() {
    let world = World::new().await;
    let ingress = connect(&world.nats, "ingress").await;
    let body = Outgoing::dead(&unreadable_webhook(), user(9), "secret".into());
    ingress
        .publisher()
        .publish_all(&[body], Duration::from_secs(5))
        .await
        .unwrap();
    let recorder = rejecting_the_first();
    world
        .gateway
        .publisher()
        .publish(&request(1, 0))
        .await
        .unwrap();
    let _running = run(&world.provisioner, recorder.clone());
    eventually("both are in DEAD", || async {
        stored(&world, Stream::Dead).await == 2
    })
    .await;

    let listed = operate(&world, "dead list").await;
    let replayed = operate(&world, "dead replay --all").await;
    let of_nobody = operate(&world, "dead replay --all --consumer gateway-messages").await;

    assert!(listed.out.contains("whatsapp.webhook"), "{}", listed.out);
    assert!(!listed.out.contains("secret"), "{}", listed.out);
    assert_eq!(replayed.out, "DEAD:2: replayed as SANDBOX:2\n");
    assert_eq!(
        replayed.remarks,
        "DEAD:1: is no event of a stream (whatsapp.webhook), it cannot be replayed\n"
    );
    assert_eq!(replayed.error(), "1 of 2 could not be replayed");
    assert_eq!(
        of_nobody.remarks,
        "DEAD holds nothing of a consumer named gateway-messages\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_replayed_in_order_and_not_at_all_when_an_end_of_it_is_gone() {
    let world = World::new().await;
    for number in 0..5 {
        let publisher = world.gateway.publisher();
        publisher.publish(&request(1, number)).await.unwrap();
    }
    let sandbox = stream(&world, Stream::Sandbox).await;
    sandbox.purge().sequence(2).await.unwrap();
    sandbox.delete_message(4).await.unwrap();

    let aged_out = operate(&world, "replay SANDBOX 1 --to 5").await;
    let not_yet = operate(&world, "replay SANDBOX 2 --to 6").await;
    let replayed = operate(&world, "replay SANDBOX 2 --to 5").await;

    let held = "SANDBOX holds 2 to 5, and what is older has aged out";
    assert_eq!(aged_out.error(), format!("SANDBOX:1 is not there: {held}"));
    assert_eq!(not_yet.error(), format!("SANDBOX:6 is not there: {held}"));
    assert_eq!(
        replayed.out,
        "SANDBOX:2: replayed as SANDBOX:6\n\
         SANDBOX:3: replayed as SANDBOX:7\n\
         SANDBOX:5: replayed as SANDBOX:8\n"
    );
    assert!(replayed.remarks.starts_with("SANDBOX:4: is not there"));
    assert_eq!(replayed.error(), "1 of 4 could not be replayed");
    let numbers: Vec<_> = [6, 7, 8].map(|sequence| number(&world, sequence)).into();
    assert_eq!(futures_util::future::join_all(numbers).await, [1, 2, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_dead_cannot_be_shown_and_says_so() {
    let world = World::new().await;

    let absent = operate(&world, "dead show 1").await;

    assert_eq!(absent.error(), "DEAD:1 is not there: DEAD is empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_is_shown_only_when_asked_for_and_with_a_warning() {
    let world = World::new().await;
    let ingress = connect(&world.nats, "ingress").await;
    let body = Outgoing::dead(&unreadable_webhook(), user(9), "secret".into());
    let publisher = ingress.publisher();
    publisher
        .publish_all(&[body], Duration::from_secs(5))
        .await
        .unwrap();

    let hidden = operate(&world, "dead show 1").await;
    let shown = operate(&world, "dead show 1 --payload").await;

    assert!(hidden.out.contains("Claw-Dead-Error: not JSON\n"));
    assert!(!hidden.out.contains("secret"), "{}", hidden.out);
    assert_eq!(hidden.remarks, "");
    assert!(shown.out.ends_with("\nsecret\n"), "{}", shown.out);
    assert!(shown.remarks.contains("personal data"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_are_listed_and_nothing_stays_behind_on_the_server() {
    let world = World::new().await;
    let ingress = connect(&world.nats, "ingress").await;
    let publisher = ingress.publisher();
    for sequence in 0..3 {
        let letter = DeadLetter {
            sequence,
            ..unreadable_webhook()
        };
        let body = Outgoing::dead(&letter, user(9), "secret".into());
        publisher
            .publish_all(&[body], Duration::from_secs(5))
            .await
            .unwrap();
    }

    let listed = operate(&world, "dead list --limit 2").await;

    let sequences: Vec<_> = listed
        .out
        .lines()
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert_eq!(sequences, ["DEAD", "2", "3"]);
    assert_eq!(listed.remarks, "1 older ones are not listed: --limit\n");
    let dead = stream(&world, Stream::Dead).await;
    eventually("no consumer is left", || async {
        dead.get_info().await.unwrap().state.consumer_count == 0
    })
    .await;
}

/// What a command wrote, and how it ended.
struct Ran {
    out: String,
    remarks: String,
    end: Result<(), OperateError>,
}

impl Ran {
    fn error(&self) -> String {
        self.end.as_ref().unwrap_err().to_string()
    }
}

async fn operate(world: &World, line: &str) -> Ran {
    let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    let command = Command::parse(words).unwrap();
    let (mut out, mut remarks) = (Vec::new(), Vec::new());
    let bus = connect(&world.nats, "admin").await;
    let mut terminal = Terminal {
        out: &mut out,
        remarks: &mut remarks,
    };
    let end = command.run(&bus, &mut terminal).await;
    Ran {
        out: String::from_utf8(out).unwrap(),
        remarks: String::from_utf8(remarks).unwrap(),
        end,
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

fn unreadable_webhook() -> DeadLetter {
    DeadLetter {
        stream: "webhook".to_owned(),
        sequence: 17,
        subject: "whatsapp.webhook".to_owned(),
        consumer: "ingress".to_owned(),
        attempts: 1,
        reason: DeadReason::Undecodable,
        error: "not JSON".to_owned(),
    }
}

fn user(number: u32) -> UserId {
    UserId::derived_from(&number.to_string())
}

async fn stream(world: &World, stream: Stream) -> jetstream::stream::Stream {
    let jetstream = jetstream::new(world.admin().await);
    jetstream.get_stream(stream.name()).await.unwrap()
}

async fn stored(world: &World, which: Stream) -> u64 {
    stream(world, which).await.cached_info().state.messages
}

async fn event(world: &World, sequence: u64) -> jetstream::message::StreamMessage {
    let sandbox = stream(world, Stream::Sandbox).await;
    sandbox.get_raw_message(sequence).await.unwrap()
}

async fn number(world: &World, sequence: u64) -> u32 {
    let payload = event(world, sequence).await.payload;
    let request: SandboxRequested = serde_json::from_slice(&payload).unwrap();
    request.attempt
}

/// Makes the server remember ids briefly, and waits until one published now is forgotten.
async fn forget_ids(world: &World) {
    let jetstream = jetstream::new(world.admin().await);
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
