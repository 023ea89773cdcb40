use claw_events::Stream;
use claw_testkit::eventually;
use serde_json::json;

use crate::world::{World, rejected, unreadable_webhook};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_listed_with_its_cause_and_its_latest_replay_and_without_its_payload() {
    let world = World::new().await;
    world.publish_requests([7]).await;
    let event = world.stream(Stream::Sandbox).await.get_raw_message(1).await;
    let event = event.unwrap();
    let letter = rejected(1, &event.subject);
    world.dead_letter_with(&letter, &event.payload).await;

    let listed = world.run("dead list --consumer provisioner-requests").await;
    let replayed = world.run("dead replay 1").await;
    let again = world.run("dead list --json").await;

    let line = listed.out.lines().nth(1).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(
        [words[0], words[2], words[3], words[4], words[5], words[6]],
        [
            "1",
            "provisioner-requests",
            "SANDBOX:1",
            "rejected",
            "3",
            "-"
        ]
    );
    assert!(line.ends_with("looking at it: never"), "{line}");
    assert_eq!(replayed.out, "DEAD:1: replayed as SANDBOX:2\n");
    let line = &again.json()[0];
    assert_eq!(
        (&line["replayed_as"], &line["attempts"], &line["event"]),
        (&json!("SANDBOX:2"), &json!(3), &json!("SANDBOX:1"))
    );
    assert!(!again.out.contains("secret"), "{}", again.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_dead_letters_are_listed_and_no_consumer_is_left() {
    let world = World::new().await;
    for sequence in 0..3 {
        world.dead_letter(&unreadable_webhook(sequence)).await;
    }

    let listed = world.run("dead list --limit 2").await;

    let sequences: Vec<_> = listed
        .out
        .lines()
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert_eq!(sequences, ["DEAD", "2", "3"]);
    assert_eq!(
        listed.err,
        "1 older dead letters are not listed, see --limit\n"
    );
    let dead = world.stream(Stream::Dead).await;
    eventually("no consumer is left", || async {
        dead.get_info().await.unwrap().state.consumer_count == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_is_shown_only_when_asked_for_and_with_a_warning() {
    let world = World::new().await;
    world.dead_letter(&unreadable_webhook(17)).await;

    let hidden = world.run("dead show 1").await;
    let shown = world.run("dead show 1 --payload").await;
    let hidden_json = world.run("dead show 1 --json").await;
    let shown_json = world.run("dead show 1 --json --payload").await;

    assert!(hidden.out.contains("Claw-Dead-Error: not JSON\n"));
    assert!(!hidden.out.contains("secret"), "{}", hidden.out);
    assert_eq!(hidden.err, "");
    assert!(shown.out.ends_with("\n\nsecret\n"), "{}", shown.out);
    assert!(shown.err.contains("personal data"));
    let line = &hidden_json.json()[0];
    assert_eq!(line["headers"]["Claw-Dead-Sequence"], "17");
    assert!(line.get("payload").is_none(), "{line}");
    assert_eq!(shown_json.json()[0]["payload"], "secret");
    assert!(shown_json.err.contains("personal data"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_dead_letter_is_reported_with_the_contents_of_dead() {
    let world = World::new().await;

    let absent = world.run("dead show 1").await;
    let none = world.run("dead list --json").await;

    assert_eq!(
        absent.err,
        "clawkaka: DEAD:1 is not stored: DEAD is empty\n"
    );
    assert_eq!(absent.status, 1);
    assert_eq!((none.out.as_str(), none.status), ("", 0));
    assert_eq!(none.err, "DEAD is empty\n");
}
