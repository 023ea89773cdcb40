use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claw_bus::{Attempt, Bus, BusConfig, OperatorEvents, Tenure};
use claw_docker::{ContainerName, VolumeName, fake::FakeRuntime};
use claw_domain::{
    Address, Endpoint, MessageId, PhoneNumber, SandboxId, SandboxStatus, UserId, Wamid,
};
use claw_events::{SandboxAsleep, SandboxFailed, SandboxQueued, SandboxReady, SandboxRequested};
use claw_model_keys::{LimitReset, SpendLimit, fake::FakeModelKeys};
use claw_runtime::{Clock, FixedClock};
use claw_store::{
    AnySandbox, Entrance, InboundMessage, Keyring, Newcomer, Sandbox, SandboxSecrets, Settlement,
    Store,
};
use claw_suspensions::SuspensionView;
use claw_testkit::{TestNats, TestPostgres, eventually, user_of};
use futures_util::StreamExt;
use parking_lot::Mutex;
use provisioner::{
    Backend, ContainerSettings, Containers, Learned, Progress, Provisioner, Readiness,
    ReadinessProbe, Reconciler, ReconcilerIntervals, Settings, Timeouts,
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
        self.provisioner_at(&self.runtime)
    }

    /// A new provisioner at another engine.
    pub fn provisioner_at(&self, runtime: &Arc<FakeRuntime>) -> Provisioner {
        let containers = Containers {
            settings: self.container_settings.clone(),
            runtime: runtime.clone(),
            keys: self.keys.clone(),
            probe: self.probe.clone(),
            sandboxes: self.store.sandboxes(),
            keyring: self.keyring.clone(),
            clock: self.clock.clone(),
            learned: Learned::default(),
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
        self.message(number, 1).await
    }

    /// Stores a user's message of this sequence; returns the request for a sandbox that it leads to.
    pub async fn message(&self, number: u32, sequence: u64) -> SandboxRequested {
        self.message_at(number, sequence, start_of_time()).await
    }

    /// The same, sent at this time.
    pub async fn message_at(
        &self,
        number: u32,
        sequence: u64,
        sent_at: DateTime<Utc>,
    ) -> SandboxRequested {
        let address =
            Address::Phone(PhoneNumber::try_from(format!("+1555000{number:04}").as_str()).unwrap());
        let wamid = Wamid::new(format!("wamid.{number}.{sequence}"));
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
            sent_at,
            now: sent_at,
            sequence,
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
        admitted.await.unwrap();
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

    /// A new reconciler of a new provisioner, as after a restart.
    pub fn reconciler(&self) -> Reconciler {
        reconciler_of(Arc::new(self.provisioner()))
    }

    /// One pass of a new reconciler, and what it begins.
    pub async fn pass(&self) {
        pass(&mut self.reconciler()).await;
    }

    /// A user with a ready sandbox, whose message has been answered.
    pub async fn ready(&self, number: u32) -> Sandbox {
        let requested = self.message_from(number).await;
        assert!(
            drive(&Arc::new(self.provisioner()), &requested)
                .await
                .unwrap()
        );
        self.answer(&requested).await;
        self.row(requested.user).await
    }

    /// The spare sandboxes that this host has, in any state.
    pub async fn spares(&self) -> Vec<AnySandbox> {
        let mut rows = self.store.sandboxes().all_of_host("local").await.unwrap();
        rows.retain(|row| row.user.is_none());
        rows
    }

    /// Lets the pool fill up to this many ready spare sandboxes.
    pub async fn fill_pool(&mut self, size: u32) {
        self.settings.pool_size = size;
        self.settings.starts_at_once = size.max(1) as usize;
        for _ in 0..2 {
            self.pass().await;
        }
        let spares = self.spares().await;
        let ready = spares
            .iter()
            .filter(|row| row.status == SandboxStatus::Ready);
        assert_eq!(ready.count(), size as usize);
    }

    /// Settles the user's message.
    pub async fn answer(&self, requested: &SandboxRequested) {
        let settlement = Settlement {
            user: requested.user,
            answered: vec![requested.cause],
            replies: Vec::new(),
            transcript: None,
            now: self.clock.now(),
        };
        self.store.messages().settle(&settlement).await.unwrap();
    }

    /// Drives the user's sandbox.
    pub async fn drive(&self, provisioner: &Provisioner, user: UserId) -> bool {
        let sandbox = self.row(user).await.id;
        provisioner
            .drive(sandbox, &CancellationToken::new())
            .await
            .unwrap()
    }

    /// The kinds of the operator events that were told, oldest first.
    pub async fn told(&self) -> Vec<String> {
        let admin = bus(&self.nats, "admin").await;
        let events = OperatorEvents::open(&admin).await.unwrap();
        let newest = events.newest(None, 100).await.unwrap();
        newest.events.into_iter().map(|told| told.kind).collect()
    }

    /// Decides the next step once and takes it `times` times, like a process that crashed before it knew the
    /// result.
    pub async fn take_step(&self, provisioner: &Provisioner, user: UserId, times: u32) -> Progress {
        let sandbox = self.row(user).await.id;
        self.take_step_of(provisioner, sandbox, times).await
    }

    /// The same with any sandbox; nothing is left to do for one whose row is gone.
    pub async fn take_step_of(
        &self,
        provisioner: &Provisioner,
        sandbox: SandboxId,
        times: u32,
    ) -> Progress {
        let Some(sandbox) = self.store.sandboxes().by_id(sandbox).await.unwrap() else {
            return Progress::Done;
        };
        let observed = provisioner.observe(&sandbox, 0).await.unwrap();
        let step = provisioner.decide(&sandbox, &observed);
        let mut progress = Progress::Done;
        for _ in 0..times {
            progress = provisioner.act(&sandbox, step).await.unwrap();
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
        let asleep = self.gateway.watch::<SandboxAsleep>().await.unwrap();
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
        let asleep = asleep.map(|fact| format!("asleep {} {}", fact.sandbox, fact.start));
        let facts = [
            ready.boxed(),
            failed.boxed(),
            queued.boxed(),
            asleep.boxed(),
        ];
        let facts = futures_util::stream::select_all(facts);
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
        let sandbox = provisioner.request(&requested).await.unwrap();
        provisioner
            .drive(sandbox.id, &CancellationToken::new())
            .await
            .unwrap()
    })
}

/// A reconciler that makes a pass only when it is asked to.
pub fn reconciler_of(provisioner: Arc<Provisioner>) -> Reconciler {
    let intervals = ReconcilerIntervals {
        sandboxes: Duration::from_hours(1),
        keys: Duration::ZERO,
    };
    Reconciler::new(provisioner, intervals)
}

/// One pass, and what it begins.
pub async fn pass(reconciler: &mut Reconciler) {
    reconciler.pass(&CancellationToken::new()).await.unwrap();
    reconciler.settle().await;
}

/// The first delivery of an event.
pub fn attempt() -> Attempt {
    Attempt {
        number: 1,
        sequence: 1,
        is_replay: false,
        stop: CancellationToken::new(),
        tenure: Tenure::unshared(),
    }
}

/// Answers that a sandbox is not ready, then not approved, then ready, unless [`FakeProbe::fix`] fixes the answer. Ready
/// sandboxes answer, unless [`FakeProbe::silence`] silences them.
#[derive(Debug, Default)]
pub struct FakeProbe {
    state: Mutex<ProbeState>,
}

#[derive(Debug, Default)]
struct ProbeState {
    fixed: Option<Readiness>,
    count: usize,
    silent: HashSet<Endpoint>,
    panics: bool,
}

impl FakeProbe {
    pub fn fix(&self, readiness: Option<Readiness>) {
        self.state.lock().fixed = readiness;
    }

    /// Lets the sandbox at this address answer no more looks, or answer again.
    pub fn silence(&self, endpoint: &Endpoint, is_silent: bool) {
        let silent = &mut self.state.lock().silent;
        if is_silent {
            silent.insert(endpoint.clone());
        } else {
            silent.remove(endpoint);
        }
    }

    /// Makes the next probe of a starting sandbox panic.
    pub fn panic_once(&self) {
        self.state.lock().panics = true;
    }

    pub fn count(&self) -> usize {
        self.state.lock().count
    }
}

#[async_trait]
impl ReadinessProbe for FakeProbe {
    async fn probe(&self, _endpoint: &Endpoint, _secrets: &SandboxSecrets) -> Readiness {
        let mut state = self.state.lock();
        assert!(!std::mem::take(&mut state.panics), "a fault in our code");
        state.count += 1;
        state.fixed.unwrap_or(match state.count {
            1 => Readiness::NotReady,
            2 => Readiness::NotApproved,
            _ => Readiness::Ready,
        })
    }

    async fn is_alive(&self, endpoint: &Endpoint) -> bool {
        !self.state.lock().silent.contains(endpoint)
    }
}

pub fn settings() -> Settings {
    Settings {
        host: "local".to_owned(),
        model: "openrouter/auto".to_owned(),
        cap: 16,
        pool_size: 0,
        starts_at_once: 2,
        timeouts: Timeouts {
            start_limit: Duration::from_mins(3),
            poll_pause: Duration::from_millis(5),
        },
        wake_lead: Duration::from_secs(45),
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
        memory_reserve_mb: 0,
        memory_mb: 1,
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
