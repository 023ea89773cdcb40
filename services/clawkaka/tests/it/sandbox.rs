use std::time::Duration;

use claw_bus::{Bus, BusConfig};
use claw_domain::{MessageId, SandboxId, SandboxStatus, SleepPolicy};
use claw_events::{SandboxOrder, SandboxOrdered};
use claw_runtime::{Clock, SystemClock};
use claw_store::{Host, Keyring, NewSandbox, Sandbox, SandboxRequest};
use claw_testkit::user_of;
use futures_util::StreamExt;
use secrecy::SecretBox;
use tokio::time::timeout;

use crate::ada::{World, ada};

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_is_listed_and_shown_and_its_policy_is_set() {
    let world = World::new().await;
    let none = world.run("sandbox show +15550000001").await;
    let empty = world.run("sandbox list").await;
    let sandbox = sandbox_of_ada(&world).await;

    let set = world.run("sandbox policy +15550000001 always-on").await;
    let listed = world.run("sandbox list --status requested --json").await;
    let others = world.run("sandbox list --status asleep").await;
    let shown = world.run("sandbox show +15550000001").await;

    assert_eq!((none.status, empty.status), (1, 0));
    assert!(none.err.contains("has no sandbox"), "{}", none.err);
    assert_eq!(empty.err, "no sandboxes found\n");
    assert_eq!(
        set.err,
        format!("set the sleep policy of {} to always-on\n", sandbox.user)
    );
    let line = &listed.json()[0];
    assert_eq!(
        [&line["user"], &line["status"], &line["policy"]],
        [sandbox.user.to_string().as_str(), "requested", "always-on"]
    );
    assert_eq!(others.out, "");
    assert!(shown.out.contains("openrouter/auto"), "{}", shown.out);
    let row = world.store.sandboxes().of_user(sandbox.user).await.unwrap();
    assert_eq!(row.unwrap().policy, SleepPolicy::AlwaysOn);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_stored_for_the_provisioner_and_heard_by_the_gateway() {
    let world = World::new().await;
    let ensured = world.run("bus ensure").await;
    assert_eq!(ensured.status, 0, "{}", ensured.err);
    let gateway = BusConfig {
        url: world.nats.url("gateway").into(),
        service: "gateway",
    };
    let gateway = Bus::connect(&gateway).await.unwrap();
    // A watch ends with the next news of a connection, and that of the first may come after it is made.
    assert!(gateway.is_ready().await);
    let heard = gateway.watch::<SandboxOrdered>().await.unwrap();
    let sandbox = sandbox_of_ada(&world).await;

    for line in [
        "sandbox restart +15550000001",
        "sandbox sleep +15550000001",
        "sandbox wake +15550000001",
        "sandbox remove +15550000001 --forget",
    ] {
        let ordered = world.run(line).await;
        assert_eq!(ordered.status, 0, "{line}: {}", ordered.err);
    }

    let heard = timeout(Duration::from_secs(20), heard.take(4).collect::<Vec<_>>());
    let orders = heard.await.unwrap();
    assert!(orders.iter().all(|ordered| ordered.user == sandbox.user));
    let orders: Vec<_> = orders.iter().map(|ordered| ordered.order).collect();
    assert_eq!(
        orders,
        [
            SandboxOrder::Restart,
            SandboxOrder::Sleep,
            SandboxOrder::Wake,
            SandboxOrder::Remove
        ]
    );
    let jetstream = world.nats.jetstream_of("provisioner").await.unwrap();
    let stream = jetstream.get_stream("SANDBOX").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 4);
}

async fn sandbox_of_ada(world: &World) -> Sandbox {
    let user = user_of(&ada());
    let request = SandboxRequest {
        user,
        cause: MessageId::derived_from("first"),
        attempt: 0,
        cap: 1,
        now: SystemClock.now(),
    };
    let new = NewSandbox {
        id: SandboxId::derived_from("s"),
        host: Host {
            name: "local".to_owned(),
            engine: None,
        },
        container_name: "clawkaka-s".to_owned(),
        model: "openrouter/auto".to_owned(),
        gateway_token: "token".into(),
        device_seed: SecretBox::new(Box::new([7; 32])),
    };
    let keyring = Keyring::parse(&format!("k:{}", "0".repeat(64)).into()).unwrap();
    let sandboxes = world.store.sandboxes();
    let sandbox = sandboxes.request(&request, &new, &keyring).await.unwrap();
    assert_eq!(sandbox.status, SandboxStatus::Requested);
    sandbox
}
