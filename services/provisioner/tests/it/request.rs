use std::{sync::Arc, time::Duration};

use claw_bus::{Consumer, Ownership, Share};
use claw_events::SandboxRequested;
use claw_runtime::Env;
use provisioner::{App, Config, Door, HandleRequest, Provisioner};
use secrecy::ExposeSecret;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::World;

#[tokio::test]
async fn a_request_on_the_bus_is_answered_once_it_is_ready() {
    let mut world = World::new().await;
    world.settings.cap = 1;
    let (first, second) = (world.wish_of(1).await, world.wish_of(2).await);
    let running = Running::start(&world, world.provisioner());
    let publisher = world.gateway.publisher();

    publisher.publish(&first).await.unwrap();
    world
        .assert_told(&format!("ready {} 1", world_row(&world, &first).await))
        .await;
    publisher.publish(&second).await.unwrap();

    world.assert_told(&format!("queued {}", second.user)).await;
    world.assert_ready(first.user, 1).await;
    running.stop().await;
}

#[tokio::test]
async fn another_attempt_starts_what_had_failed_over() {
    let world = World::new().await;
    let wish = world.wish_of(1).await;
    let running = Running::start(&world, world.provisioner());
    let publisher = world.gateway.publisher();
    world.doors.stick(Some(Door::Barred));
    publisher.publish(&wish).await.unwrap();
    let sandbox = world_row(&world, &wish).await;
    world
        .assert_told(&format!("failed {sandbox} 1 not_approved"))
        .await;

    world.doors.stick(None);
    publisher
        .publish(&SandboxRequested {
            attempt: 1,
            ..wish.clone()
        })
        .await
        .unwrap();

    world.assert_told(&format!("ready {sandbox} 2")).await;
    world.assert_ready(wish.user, 2).await;
    running.stop().await;
}

#[tokio::test]
async fn a_request_that_a_stopped_process_had_begun_is_finished_by_the_next() {
    let world = World::new().await;
    let wish = world.wish_of(1).await;
    world.doors.stick(Some(Door::Silent));
    let running = Running::start(&world, world.provisioner());
    world.gateway.publisher().publish(&wish).await.unwrap();
    claw_testkit::eventually("it has begun", || async { world.doors.knocks() > 0 }).await;
    running.stop().await;

    world.doors.stick(None);
    let running = Running::start(&world, world.provisioner());

    let sandbox = world_row(&world, &wish).await;
    world.assert_told(&format!("ready {sandbox} 1")).await;
    assert_eq!((world.runtime.made(), world.keys.made()), (1, 1));
    running.stop().await;
}

#[tokio::test]
async fn the_whole_service_answers_from_its_settings_and_stops_when_told() {
    let world = World::new().await;
    let wish = world.wish_of(1).await;
    let env = Env::from_pairs([
        ("HEALTH_PORT", "0"),
        ("NATS_URL", world.nats.url("provisioner").as_str()),
        ("DATABASE_URL", world.postgres.url().as_str()),
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

    world.gateway.publisher().publish(&wish).await.unwrap();

    let sandbox = world_row(&world, &wish).await;
    world.assert_told(&format!("ready {sandbox} 1")).await;
    let secrets = world
        .store
        .sandboxes()
        .secrets_of(wish.user, sandbox, &world.keyring)
        .await;
    assert_eq!(
        secrets.unwrap().unwrap().gateway_token.expose_secret(),
        "shared"
    );
    stop.cancel();
    running.await.unwrap().unwrap();
}

/// Longest a test's process takes to stop.
const GRACE: Duration = Duration::from_secs(5);

struct Running {
    stop: CancellationToken,
    tasks: [JoinHandle<()>; 2],
}

impl Running {
    fn start(world: &World, provisioner: Provisioner) -> Self {
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

    async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// The id of the sandbox, once the request has been written down.
async fn world_row(world: &World, wish: &SandboxRequested) -> claw_domain::SandboxId {
    let sandboxes = world.store.sandboxes();
    claw_testkit::eventually("the request is written down", || async {
        sandboxes.of_user(wish.user).await.unwrap().is_some()
    })
    .await;
    world.row(wish.user).await.id
}
