use std::{sync::Arc, time::Duration};

use claw_bus::{Consumer, Ownership, Share};
use claw_events::SandboxRequested;
use claw_runtime::Env;
use provisioner::{App, Config, HandleRequest, Provisioner, Readiness};
use secrecy::ExposeSecret;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::World;

#[tokio::test]
async fn the_result_of_a_request_is_announced_on_the_bus() {
    let mut world = World::new().await;
    world.settings.cap = 1;
    let (first, second) = (world.message_from(1).await, world.message_from(2).await);
    let running = Running::start(&world, world.provisioner());
    let publisher = world.gateway.publisher();

    publisher.publish(&first).await.unwrap();
    world
        .assert_announced(&format!("ready {} 1", sandbox_id(&world, &first).await))
        .await;
    publisher.publish(&second).await.unwrap();

    world
        .assert_announced(&format!("queued {}", second.user))
        .await;
    world.assert_ready(first.user, 1).await;
    running.stop().await;
}

#[tokio::test]
async fn another_attempt_restarts_a_failed_sandbox() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    let running = Running::start(&world, world.provisioner());
    let publisher = world.gateway.publisher();
    world.probe.fix(Some(Readiness::Rejected));
    publisher.publish(&requested).await.unwrap();
    let sandbox = sandbox_id(&world, &requested).await;
    world
        .assert_announced(&format!("failed {sandbox} 1 not_approved"))
        .await;

    world.probe.fix(None);
    publisher
        .publish(&SandboxRequested {
            attempt: 1,
            ..requested.clone()
        })
        .await
        .unwrap();

    world.assert_announced(&format!("ready {sandbox} 2")).await;
    world.assert_ready(requested.user, 2).await;
    running.stop().await;
}

#[tokio::test]
async fn the_next_process_finishes_a_request_that_a_stopped_one_began() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    world.probe.fix(Some(Readiness::NotReady));
    let running = Running::start(&world, world.provisioner());
    world.gateway.publisher().publish(&requested).await.unwrap();
    claw_testkit::eventually("the start begins", || async { world.probe.count() > 0 }).await;
    running.stop().await;

    world.probe.fix(None);
    let running = Running::start(&world, world.provisioner());

    let sandbox = sandbox_id(&world, &requested).await;
    world.assert_announced(&format!("ready {sandbox} 1")).await;
    assert_eq!((world.runtime.made(), world.keys.made()), (1, 1));
    running.stop().await;
}

#[tokio::test]
async fn the_service_starts_from_its_settings_handles_a_request_and_stops() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    let env = Env::from_pairs([
        ("HEALTH_PORT", "0"),
        ("NATS_URL", world.nats.url("provisioner").as_str()),
        (
            "DATABASE_URL",
            world.postgres.url_of("provisioner").as_str(),
        ),
        (
            "CLAWKAKA_MASTER_KEY",
            format!("k:{}", "01".repeat(32)).as_str(),
        ),
        ("OPENCLAW_MODEL", "openrouter/auto"),
        ("SANDBOX_RUNTIME", "external"),
        ("SANDBOX_EXTERNAL_URL", "ws://agents.example/{user}"),
        ("SANDBOX_EXTERNAL_TOKEN", "shared"),
    ]);
    let app = App::build(Config::read(&env).unwrap()).await.unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(app.run_until_stopped(stop.clone().cancelled_owned()));

    world.gateway.publisher().publish(&requested).await.unwrap();

    let sandbox = sandbox_id(&world, &requested).await;
    world.assert_announced(&format!("ready {sandbox} 1")).await;
    let secrets = world
        .store
        .sandboxes()
        .secrets_of(requested.user, sandbox, &world.keyring)
        .await;
    assert_eq!(
        secrets.unwrap().unwrap().gateway_token.expose_secret(),
        "shared"
    );
    stop.cancel();
    running.await.unwrap().unwrap();
}

/// The grace period of the test's process.
const GRACE: Duration = Duration::from_secs(5);

/// A process that handles requests.
pub struct Running {
    stop: CancellationToken,
    tasks: [JoinHandle<()>; 2],
}

impl Running {
    pub fn start(world: &World, provisioner: Provisioner) -> Self {
        let handler = HandleRequest::new(Arc::new(provisioner));
        let consumer = Consumer::new(world.bus.clone(), "provisioner-requests", handler);
        let stop = CancellationToken::new();
        let ownership = Ownership::new(&world.bus, Share::Whole, GRACE);
        let owning = tokio::spawn(ownership.clone().run(stop.clone()));
        let stopped = stop.clone();
        let working = tokio::spawn(async move { consumer.run(&ownership, stopped).await });
        Self {
            stop,
            tasks: [owning, working],
        }
    }

    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// The id of the sandbox, once the request is stored.
async fn sandbox_id(world: &World, requested: &SandboxRequested) -> claw_domain::SandboxId {
    let sandboxes = world.store.sandboxes();
    claw_testkit::eventually("the request is stored", || async {
        sandboxes.of_user(requested.user).await.unwrap().is_some()
    })
    .await;
    world.row(requested.user).await.id
}
