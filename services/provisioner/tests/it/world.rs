use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claw_bus::{Bus, BusConfig};
use claw_docker::{ContainerName, VolumeName, fake::FakeRuntime};
use claw_domain::{Address, Endpoint, MessageId, PhoneNumber, UserId, Wamid};
use claw_events::{SandboxFailed, SandboxQueued, SandboxReady, SandboxRequested};
use claw_model_keys::{LimitReset, SpendLimit, fake::FakeModelKeys};
use claw_runtime::FixedClock;
use claw_store::{Entrance, InboundMessage, Keyring, Newcomer, Sandbox, SandboxSecrets, Store};
use claw_suspensions::SuspensionView;
use claw_testkit::{TestNats, TestPostgres, eventually, user_of};
use futures_util::StreamExt;
use parking_lot::Mutex;
use provisioner::{
    Backend, ContainerSettings, Containers, Progress, Provisioner, Readiness, ReadinessProbe,
    Settings, Timeouts,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The owner label of this installation's containers and keys.
pub const OWNER: &str = "test";

/// A database, a bus, and fakes of the container engine, the key provider, the probe and the clock.
pub struct World {
    pub runtime: Arc<FakeRuntime>,
    pub keys: Arc<FakeModelKeys>,
    pub probe: Arc<FakeProbe>,
    pub clock: Arc<FixedClock>,
    pub store: Store,
    /// What every provisioner of this world knows of suspensions.
    pub suspensions: SuspensionView,
    pub keyring: Arc<Keyring>,
    pub settings: Settings,
    pub container_settings: ContainerSettings,
    pub gateway: Bus,
    pub bus: Bus,
    announced: Arc<Mutex<HashSet<String>>>,
    pub postgres: TestPostgres,
    pub nats: TestNats,
}

impl World {
    pub async fn new() -> Self {
        let (postgres, nats) = tokio::join!(TestPostgres::start(), TestNats::start());
        let (postgres, nats) = (postgres.unwrap(), nats.unwrap());
        let url = postgres.url().into();
        claw_store::migrate(&url, &[], Duration::from_secs(10))
            .await
            .unwrap();
        let store = Store::connect(&url, 8).await.unwrap();
        claw_bus::ensure(&bus(&nats, "admin").await).await.unwrap();
        let gateway = bus(&nats, "gateway").await;
        let keyring = Keyring::parse(&format!("k:{}", "01".repeat(32)).into()).unwrap();
        let world = Self {
            runtime: Arc::default(),
            keys: Arc::default(),
            probe: Arc::default(),
            clock: Arc::new(FixedClock::at(start_of_time())),
            suspensions: SuspensionView::read(&store).await.unwrap(),
            store,
            keyring: Arc::new(keyring),
            settings: settings(),
            container_settings: container_settings(),
            gateway,
            bus: bus(&nats, "provisioner").await,
            announced: Arc::default(),
            postgres,
            nats,
        };
        world.listen().await;
        world
    }

    /// A new provisioner, which shares no memory with any other, as after a restart.
    pub fn provisioner(&self) -> Provisioner {
        let containers = Containers {
            settings: self.container_settings.clone(),
            runtime: self.runtime.clone(),
            keys: self.keys.clone(),
            probe: self.probe.clone(),
            sandboxes: self.store.sandboxes(),
            keyring: self.keyring.clone(),
            clock: self.clock.clone(),
        };
        self.provisioner_with(Backend::Containers(Box::new(containers)))
    }

    pub fn provisioner_with(&self, backend: Backend) -> Provisioner {
        Provisioner::new(
            self.settings.clone(),
            backend,
            self.store.sandboxes(),
            self.keyring.clone(),
            self.bus.publisher(),
            self.suspensions.clone(),
            self.clock.clone(),
        )
    }

    /// Stores a user's first message; returns the request for a sandbox that it leads to.
    pub async fn message_from(&self, number: u32) -> SandboxRequested {
        let address =
            Address::Phone(PhoneNumber::try_from(format!("+1555000{number:04}").as_str()).unwrap());
        let wamid = Wamid::new(format!("wamid.{number}"));
        let cause = MessageId::derived_from(wamid.as_str());
        let user = user_of(&address);
        let message = InboundMessage {
            id: cause,
            user,
            address,
            wa_user_id: None,
            name: None,
            wamid,
            content_kind: "text".to_owned(),
            content: "hi".into(),
            sent_at: start_of_time(),
            now: start_of_time(),
            sequence: 1,
            needs_answer: true,
            is_replay: false,
        };
        let newcomer = Newcomer {
            user,
            address: message.address.clone(),
            wa_user_id: None,
        };
        let now = start_of_time();
        let newcomers = self.store.newcomers();
        let admitted = newcomers.admit(&newcomer, Entrance::Listed, now);
        assert!(admitted.await.unwrap());
        self.store.messages().receive(&message).await.unwrap();
        SandboxRequested {
            user,
            cause,
            attempt: 0,
        }
    }

    pub async fn row(&self, user: UserId) -> Sandbox {
        self.store.sandboxes().of_user(user).await.unwrap().unwrap()
    }

    /// Decides the next action once and takes it `times` times, like a process that crashed before it knew the
    /// result.
    pub async fn take_action(
        &self,
        provisioner: &Provisioner,
        user: UserId,
        times: u32,
    ) -> Progress {
        let sandbox = self.row(user).await;
        let observed = provisioner.observe(&sandbox, 0).await.unwrap();
        let action = provisioner.decide(&sandbox, &observed);
        let mut progress = Progress::Done;
        for _ in 0..times {
            progress = provisioner.act(&sandbox, action).await.unwrap();
        }
        progress
    }

    pub async fn assert_ready(&self, user: UserId, start: u32) {
        let sandbox = self.row(user).await;
        assert_eq!(sandbox.status.as_str(), "ready");
        assert_eq!(sandbox.start, start);
        let name = ContainerName::of(sandbox.id, start).to_string();
        assert_eq!(self.runtime.containers(), [name]);
        assert_eq!(
            self.runtime.volumes(),
            [VolumeName::of(sandbox.id).to_string()]
        );
        assert_eq!(self.keys.names(), [sandbox.model_key_name.unwrap()]);
        self.assert_announced(&format!("ready {} {start}", sandbox.id))
            .await;
    }

    pub async fn assert_nothing_is_left_but(&self, user: UserId, reason: &str) {
        let sandbox = self.row(user).await;
        assert_eq!(sandbox.status.as_str(), "failed");
        assert_eq!(sandbox.failure.unwrap().as_str(), reason);
        assert_eq!((sandbox.port, sandbox.model_key_hash), (None, None));
        assert!(self.runtime.containers().is_empty());
        assert!(self.runtime.volumes().is_empty());
        assert!(self.keys.names().is_empty());
        self.assert_announced(&format!("failed {} {} {reason}", sandbox.id, sandbox.start))
            .await;
    }

    pub async fn assert_announced(&self, fact: &str) {
        let claim = format!("announced: {fact}; so far {:?}", self.announced.lock());
        eventually(&claim, || async { self.announced.lock().contains(fact) }).await;
    }

    async fn listen(&self) {
        let announced = self.announced.clone();
        let ready = self.gateway.watch::<SandboxReady>().await.unwrap();
        let failed = self.gateway.watch::<SandboxFailed>().await.unwrap();
        let queued = self.gateway.watch::<SandboxQueued>().await.unwrap();
        let ready = ready.map(|fact| format!("ready {} {}", fact.sandbox, fact.start));
        let failed = failed.map(|fact| {
            format!(
                "failed {} {} {}",
                fact.sandbox,
                fact.start,
                fact.reason.as_str()
            )
        });
        let queued = queued.map(|fact| format!("queued {}", fact.user));
        let facts =
            futures_util::stream::select(ready, futures_util::stream::select(failed, queued));
        tokio::spawn(facts.for_each(move |fact| {
            announced.lock().insert(fact);
            std::future::ready(())
        }));
    }
}

/// Stores the request and drives the sandbox in the background; the result is that of `Provisioner::drive`.
pub fn drive(provisioner: &Arc<Provisioner>, requested: &SandboxRequested) -> JoinHandle<bool> {
    let (provisioner, requested) = (provisioner.clone(), requested.clone());
    tokio::spawn(async move {
        provisioner.request(&requested).await.unwrap();
        provisioner
            .drive(requested.user, &CancellationToken::new())
            .await
            .unwrap()
    })
}

/// Answers that a sandbox is not ready, then not approved, then ready, unless [`FakeProbe::fix`] fixes the answer.
#[derive(Debug, Default)]
pub struct FakeProbe {
    state: Mutex<ProbeState>,
}

#[derive(Debug, Default)]
struct ProbeState {
    fixed: Option<Readiness>,
    count: usize,
}

impl FakeProbe {
    pub fn fix(&self, readiness: Option<Readiness>) {
        self.state.lock().fixed = readiness;
    }

    pub fn count(&self) -> usize {
        self.state.lock().count
    }
}

#[async_trait]
impl ReadinessProbe for FakeProbe {
    async fn probe(&self, _endpoint: &Endpoint, _secrets: &SandboxSecrets) -> Readiness {
        let mut state = self.state.lock();
        state.count += 1;
        state.fixed.unwrap_or(match state.count {
            1 => Readiness::NotReady,
            2 => Readiness::NotApproved,
            _ => Readiness::Ready,
        })
    }
}

pub fn settings() -> Settings {
    Settings {
        host: "local".to_owned(),
        model: "openrouter/auto".to_owned(),
        cap: 16,
        starts_at_once: 2,
        timeouts: Timeouts {
            start_limit: Duration::from_mins(3),
            poll_pause: Duration::from_millis(5),
        },
    }
}

pub fn container_settings() -> ContainerSettings {
    ContainerSettings {
        owner: OWNER.to_owned(),
        image: "clawkaka/sandbox:test".to_owned(),
        ports: 40_000..=40_100,
        published_on: [127, 0, 0, 1].into(),
        key_limit: SpendLimit {
            usd: 5.0,
            reset: LimitReset::Daily,
        },
        model_base_url: None,
        heartbeat_every: "0m".to_owned(),
        time_zone: None,
    }
}

pub fn start_of_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

async fn bus(nats: &TestNats, user: &'static str) -> Bus {
    Bus::connect(&BusConfig {
        url: nats.url(user).into(),
        service: user,
    })
    .await
    .unwrap()
}
