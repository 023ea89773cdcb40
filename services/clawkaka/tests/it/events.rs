use std::process::Stdio;

use claw_bus::{Bus, BusConfig};
use claw_domain::{FailureReason, SandboxId};
use claw_events::OperatorEvent;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_reads_what_each_service_told_once_an_hour() {
    let world = World::new().await;
    for _ in 0..3 {
        tell(
            &world,
            "outbound",
            &OperatorEvent::WhatsappRefused { code: Some(190) },
        )
        .await;
    }
    tell(&world, "provisioner", &failed("1")).await;
    tell(&world, "provisioner", &failed("2")).await;

    let all = world.run("events").await;
    let newest = world.run("events --limit 1").await;
    let refused = world.run("events --kind whatsapp_refused --json").await;

    let lines: Vec<_> = all.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", all.out);
    assert!(lines[0].contains("outbound     whatsapp_refused: WhatsApp refuses to send for us"));
    assert_eq!(newest.out.lines().collect::<Vec<_>>(), lines[2..]);
    assert_eq!(newest.err, "2 older events are not listed, see --limit\n");
    let refused = refused.json();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["service"], "outbound");
    assert_eq!(
        refused[0]["event"],
        json!({"kind": "whatsapp_refused", "code": 190})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_followed_from_the_last_one_listed() {
    let world = World::new().await;
    tell(&world, "provisioner", &failed("1")).await;
    let mut following = Command::new(env!("CARGO_BIN_EXE_clawkaka"))
        .args(["events", "--follow", "--json"])
        .env("NATS_URL", world.nats.url("admin"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();

    let listed = lines.next_line().await.unwrap().unwrap();
    tell(&world, "gateway", &failed("2")).await;
    let followed = lines.next_line().await.unwrap().unwrap();

    assert!(listed.contains(&sandbox("1").to_string()), "{listed}");
    assert!(followed.contains(&sandbox("2").to_string()), "{followed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_event_the_list_is_empty_and_says_so() {
    let world = World::new().await;

    let listed = world.run("events").await;

    assert_eq!((listed.out.as_str(), listed.status), ("", 0));
    assert_eq!(listed.err, "no operator event is stored\n");
}

async fn tell(world: &World, service: &'static str, event: &OperatorEvent) {
    let config = BusConfig {
        url: world.nats.url(service).into(),
        service,
    };
    let bus = Bus::connect(&config).await.unwrap();
    bus.publisher().tell_operator(event).await;
}

fn failed(sandbox_number: &str) -> OperatorEvent {
    OperatorEvent::SandboxFailed {
        user: claw_testkit::user("user"),
        sandbox: sandbox(sandbox_number),
        reason: FailureReason::ImageMissing,
    }
}

fn sandbox(number: &str) -> SandboxId {
    SandboxId::derived_from(number)
}
