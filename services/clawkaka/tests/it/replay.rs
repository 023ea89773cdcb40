use claw_events::{SandboxRequested, Stream};
use serde_json::json;

use crate::world::{World, rejected, unreadable_webhook};

#[tokio::test(flavor = "multi_thread")]
async fn all_dead_letters_that_were_events_are_replayed() {
    let world = World::new().await;
    world.publish_requests([0]).await;
    let event = world.stream(Stream::Sandbox).await.get_raw_message(1).await;
    let event = event.unwrap();
    world.dead_letter(&unreadable_webhook(17)).await;
    world
        .dead_letter_with(&rejected(1, &event.subject), &event.payload)
        .await;

    let replayed = world.run("dead replay --all").await;
    let again = world.run("dead replay --all --json").await;
    let of_other_consumer = world
        .run("dead replay --all --consumer gateway-messages")
        .await;

    assert_eq!(replayed.out, "DEAD:2: replayed as SANDBOX:2\n");
    assert_eq!(
        replayed.err,
        "DEAD:1: cannot be replayed: whatsapp.webhook is not an event of a stream\n\
         clawkaka: 1 of 2 could not be replayed\n"
    );
    assert_eq!(replayed.status, 1);
    assert_eq!(
        again.json(),
        [
            json!({"position": "DEAD:1", "outcome": "not_an_event", "replayed_as": null}),
            json!({"position": "DEAD:2", "outcome": "already_replayed", "replayed_as": "SANDBOX:2"}),
        ]
    );
    assert_eq!(again.err, "clawkaka: 1 of 2 could not be replayed\n");
    assert_eq!(
        of_other_consumer.err,
        "DEAD holds nothing from a consumer named gateway-messages\n"
    );
    assert_eq!(of_other_consumer.status, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_not_a_copy_of_its_event_is_not_replayed() {
    let world = World::new().await;
    world.publish_requests([0, 1]).await;
    let sandbox = world.stream(Stream::Sandbox).await;
    let first = sandbox.get_raw_message(1).await.unwrap();
    let second = sandbox.get_raw_message(2).await.unwrap();
    world
        .dead_letter_with(&rejected(1, &first.subject), &second.payload)
        .await;
    let other_user = claw_testkit::user("another");
    let other_subject = format!("sandbox.1.requested.{other_user}");
    world
        .dead_letter_with(&rejected(2, &other_subject), &second.payload)
        .await;
    world
        .dead_letter_with(&rejected(3, &first.subject), &first.payload)
        .await;

    let replayed = world.run("dead replay --all").await;

    assert_eq!(replayed.out, "");
    assert_eq!(
        replayed.err,
        "DEAD:1: cannot be replayed: the dead letter is not a copy of SANDBOX:1\n\
         DEAD:2: cannot be replayed: the dead letter is not a copy of SANDBOX:2\n\
         DEAD:3: cannot be replayed: SANDBOX:3 has aged out, so the dead letter cannot be compared with it\n\
         clawkaka: 3 of 3 could not be replayed\n"
    );
    assert_eq!(sandbox.get_info().await.unwrap().state.messages, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_event_is_replayed_once_for_a_ticket() {
    let world = World::new().await;
    world.publish_requests([0]).await;

    let first = world.run("replay SANDBOX 1 --ticket OPS-1").await;
    let again = world.run("replay SANDBOX 1 --ticket OPS-1").await;
    let other_ticket = world.run("replay SANDBOX 1 --ticket OPS-2").await;

    assert_eq!(first.out, "SANDBOX:1: replayed as SANDBOX:2\n");
    assert_eq!(
        again.out,
        "SANDBOX:1: already replayed for this ticket as SANDBOX:2, nothing was published\n"
    );
    assert_eq!(other_ticket.out, "SANDBOX:1: replayed as SANDBOX:3\n");
    assert_eq!([first.status, again.status, other_ticket.status], [0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_replayed_in_order_and_only_if_both_ends_are_stored() {
    let world = World::new().await;
    world.publish_requests(0..5).await;
    let sandbox = world.stream(Stream::Sandbox).await;
    sandbox.purge().sequence(2).await.unwrap();
    sandbox.delete_message(4).await.unwrap();

    let aged_out = world.run("replay SANDBOX 1 --to 5").await;
    let not_yet = world.run("replay SANDBOX 2 --to 6").await;
    let replayed = world.run("replay SANDBOX 2 --to 5").await;

    let held = "not stored: SANDBOX holds 2 to 5, older events have aged out\n";
    assert_eq!(aged_out.err, format!("clawkaka: SANDBOX:1 is {held}"));
    assert_eq!(not_yet.err, format!("clawkaka: SANDBOX:6 is {held}"));
    assert_eq!([aged_out.status, not_yet.status], [1, 1]);
    assert_eq!(
        replayed.out,
        "SANDBOX:2: replayed as SANDBOX:6\n\
         SANDBOX:3: replayed as SANDBOX:7\n\
         SANDBOX:5: replayed as SANDBOX:8\n"
    );
    assert!(replayed.err.starts_with("SANDBOX:4: not stored"));
    assert!(replayed.err.ends_with("1 of 4 could not be replayed\n"));
    for (sequence, number) in [(6, 1), (7, 2), (8, 4)] {
        let replay = sandbox.get_raw_message(sequence).await.unwrap();
        let request: SandboxRequested = serde_json::from_slice(&replay.payload).unwrap();
        assert_eq!(request.attempt, number);
    }
}
