use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use claw_bus::{
    Attempt, Bus, BusConfig, Consumer, Handler, HandlerError, Ownership, Share, Tenure, ensure,
};
use claw_domain::{FailureReason, MessageId, SandboxId, UserId};
use claw_events::{SandboxFailed, SandboxRequested};
use claw_testkit::{TestNats, eventually};
use tokio::{sync::Notify, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::wire::Wire;

/// A server with its streams, and connections to it.
pub struct World {
    pub nats: TestNats,
    pub gateway: Bus,
    pub provisioner: Bus,
}

impl World {
    pub async fn new() -> Self {
        let nats = TestNats::start().await.unwrap();
        ensure(&connect(&nats, "admin").await).await.unwrap();
        let gateway = connect(&nats, "gateway").await;
        let provisioner = connect(&nats, "provisioner").await;
        Self {
            nats,
            gateway,
            provisioner,
        }
    }

    /// A bare client that may do everything.
    pub async fn admin(&self) -> async_nats::Client {
        let url: async_nats::ServerAddr = self.nats.url("admin").parse().unwrap();
        let password = url.password().unwrap().to_owned();
        async_nats::ConnectOptions::with_user_and_password("admin".into(), password)
            .connect(url)
            .await
            .unwrap()
    }
}

pub async fn connect(nats: &TestNats, service: &'static str) -> Bus {
    Bus::connect(&BusConfig {
        url: nats.url(service).into(),
        service,
    })
    .await
    .unwrap()
}

/// The same through `wire`.
pub async fn connect_through(wire: &Wire, nats: &TestNats, service: &'static str) -> Bus {
    connect_at(wire.port, nats, service).await
}

/// The same through whatever listens on `port`.
pub async fn connect_at(port: u16, nats: &TestNats, service: &'static str) -> Bus {
    let url = nats.url(service);
    let (start, _port) = url.rsplit_once(':').unwrap();
    Bus::connect(&BusConfig {
        url: format!("{start}:{port}").into(),
        service,
    })
    .await
    .unwrap()
}

pub fn request(user: u32, number: u32) -> SandboxRequested {
    SandboxRequested {
        user: UserId::derived_from(&user.to_string()),
        cause: MessageId::derived_from(&format!("{user}/{number}")),
        attempt: number,
    }
}

pub fn failure(start: u32) -> SandboxFailed {
    SandboxFailed {
        user: UserId::derived_from("x"),
        sandbox: SandboxId::derived_from("x"),
        reason: FailureReason::Engine,
        start,
    }
}

/// What a recorder answers.
pub type Answer = fn(&SandboxRequested, &Attempt) -> Result<(), HandlerError>;

/// Notes what it is given, and answers as it is told.
#[derive(Clone, Default)]
pub struct Recorder {
    pub seen: Arc<Mutex<Vec<(UserId, u32)>>>,
    pub gate: Option<Arc<Notify>>,
    pub answer: Option<Answer>,
    /// How long each takes.
    pub pause: Duration,
    pub at_work: Arc<Mutex<HashSet<UserId>>>,
    pub has_overlapped: Arc<AtomicBool>,
}

impl Recorder {
    pub fn numbers_of(&self, user: u32) -> Vec<u32> {
        let user = UserId::derived_from(&user.to_string());
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|(of, _)| *of == user)
            .map(|(_, number)| *number)
            .collect()
    }

    /// Whether two events of one person were at work at the same time.
    pub fn has_overlapped(&self) -> bool {
        self.has_overlapped.load(Ordering::Acquire)
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

#[async_trait]
impl Handler for Recorder {
    type Event = SandboxRequested;

    async fn handle(
        &self,
        event: &SandboxRequested,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        if !self.at_work.lock().unwrap().insert(event.user) {
            self.has_overlapped.store(true, Ordering::Release);
        }
        self.seen.lock().unwrap().push((event.user, event.attempt));
        sleep(self.pause).await;
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        self.at_work.lock().unwrap().remove(&event.user);
        self.answer.map_or(Ok(()), |answer| answer(event, attempt))
    }
}

/// A replica of a service: its ownership, and a consumer if it has one.
pub struct Replica {
    pub ownership: Ownership,
    stop: CancellationToken,
    owning: JoinHandle<()>,
    consuming: Option<JoinHandle<()>>,
}

/// Longest a replica of a test takes to stop.
const GRACE: Duration = Duration::from_secs(5);

impl Replica {
    /// One that only holds its part.
    pub fn holding(bus: &Bus, share: Share) -> Self {
        let ownership = Ownership::new(bus, share, GRACE);
        let stop = CancellationToken::new();
        Self {
            owning: tokio::spawn(ownership.clone().run(stop.clone())),
            ownership,
            stop,
            consuming: None,
        }
    }

    /// One that gives the events of its part to `recorder`.
    pub fn consuming(bus: &Bus, recorder: Recorder) -> Self {
        let mut replica = Self::holding(bus, Share::Partitions);
        let consumer = Consumer::new(bus.clone(), "provisioner-requests", recorder);
        let (ownership, stop) = (replica.ownership.clone(), replica.stop.clone());
        replica.consuming = Some(tokio::spawn(async move {
            consumer.run(&ownership, stop).await;
        }));
        replica
    }

    /// Ends as a service does when told to.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Some(consuming) = self.consuming {
            consuming.await.unwrap();
        }
        // One that has fallen silent has nothing to give back.
        if let Err(error) = self.owning.await {
            assert!(error.is_cancelled(), "{error}");
        }
    }

    /// Ends without a word. What its handler has begun goes on.
    pub fn fall_silent(&self) {
        self.owning.abort();
    }

    /// Ends as a killed process does.
    pub fn die(self) {
        self.owning.abort();
        if let Some(consuming) = self.consuming {
            consuming.abort();
        }
    }

    pub async fn has(&self, units: usize) {
        eventually(&format!("it has {units}"), || async {
            self.ownership.holdings() == units
        })
        .await;
    }

    /// The tenures it has now.
    pub async fn tenures(&self) -> Vec<Tenure> {
        let mut tenures = self.ownership.tenures();
        let mut all = Vec::new();
        for _ in 0..self.ownership.holdings() {
            all.push(tenures.next().await.unwrap());
        }
        all
    }
}

pub fn run(bus: &Bus, recorder: Recorder) -> Replica {
    Replica::consuming(bus, recorder)
}
