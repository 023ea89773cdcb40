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
use claw_events::{PARTITIONS, SandboxFailed, SandboxRequested};
use claw_testkit::{TestNats, eventually};
use futures_util::FutureExt;
use tokio::{sync::Notify, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::wire::Wire;

/// Longest wait for one thing that should happen. It is no claim about the speed of the machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

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

    /// Publishes an event of `user` that the provisioner consumes.
    pub async fn publish(&self, user: u32, number: u32) {
        let publisher = self.gateway.publisher();
        publisher.publish(&request(user, number)).await.unwrap();
    }

    /// A replica of the gateway with a connection of its own.
    pub async fn gateway_replica(&self) -> Replica {
        let bus = connect(&self.nats, "gateway").await;
        Replica::holding(&bus, Share::Partitions)
    }

    /// A client of the user admin, without our code.
    pub async fn admin(&self) -> async_nats::Client {
        self.client("admin").await
    }

    /// A client without our code.
    pub async fn client(&self, user: &str) -> async_nats::Client {
        let url: async_nats::ServerAddr = self.nats.url(user).parse().unwrap();
        let password = url.password().unwrap().to_owned();
        async_nats::ConnectOptions::with_user_and_password(user.into(), password)
            .custom_inbox_prefix(format!("_INBOX_{user}"))
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

/// Connects through `wire`.
pub async fn connect_through(wire: &Wire, nats: &TestNats, service: &'static str) -> Bus {
    connect_at(wire.port, nats, service).await
}

/// Connects through the proxy on `port`.
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
        user: claw_testkit::user(&user.to_string()),
        cause: MessageId::derived_from(&format!("{user}/{number}")),
        attempt: number,
    }
}

pub fn failure(start: u32) -> SandboxFailed {
    SandboxFailed {
        user: claw_testkit::user("x"),
        sandbox: SandboxId::derived_from("x"),
        reason: FailureReason::Engine,
        start,
    }
}

/// Decides the result of a recorder's handler.
pub type Answer = fn(&SandboxRequested, &Attempt) -> Result<(), HandlerError>;

/// A handler that records the events it is given.
#[derive(Clone, Default)]
pub struct Recorder {
    pub seen: Arc<Mutex<Vec<(UserId, u32)>>>,
    /// If set, every event waits for one notification before its handler returns.
    pub gate: Option<Arc<Notify>>,
    pub answer: Option<Answer>,
    /// How long the handling of each event takes.
    pub pause: Duration,
    /// The users with a running event.
    pub at_work: Arc<Mutex<HashSet<UserId>>>,
    pub has_overlapped: Arc<AtomicBool>,
}

impl Recorder {
    pub fn numbers_of(&self, user: u32) -> Vec<u32> {
        let user = claw_testkit::user(&user.to_string());
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|(of, _)| *of == user)
            .map(|(_, number)| *number)
            .collect()
    }

    /// Whether two events of one user ran at the same time.
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

/// A replica of a service: its ownership, and for some tests a consumer.
pub struct Replica {
    pub ownership: Ownership,
    stop: CancellationToken,
    owning: JoinHandle<()>,
    consuming: Option<JoinHandle<()>>,
}

/// The grace period of every replica. It exceeds every deadline, so that a hand-over that waits for its end fails.
const GRACE: Duration = Duration::from_mins(1);

impl Replica {
    /// Starts a replica that only holds its part of the units.
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

    /// Starts a replica that also passes the events of its part to `handler`.
    pub fn consuming(bus: &Bus, handler: impl Handler<Event = SandboxRequested>) -> Self {
        let mut replica = Self::holding(bus, Share::Partitions);
        let consumer = Consumer::new(bus.clone(), "provisioner-requests", handler);
        let (ownership, stop) = (replica.ownership.clone(), replica.stop.clone());
        replica.consuming = Some(tokio::spawn(async move {
            consumer.run(&ownership, stop).await;
        }));
        replica
    }

    /// Stops the replica as a service stops, and waits until it has released its units.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Some(consuming) = self.consuming {
            consuming.await.unwrap();
        }
        // After `abort_ownership` there is nothing to release.
        if let Err(error) = self.owning.await {
            assert!(error.is_cancelled(), "{error}");
        }
    }

    /// Aborts the ownership, so that its lease expires. Running handlers go on.
    pub fn abort_ownership(&self) {
        self.owning.abort();
    }

    /// Ends the replica as a killed process ends.
    pub fn kill(self) {
        self.owning.abort();
        if let Some(consuming) = self.consuming {
            consuming.abort();
        }
    }

    /// Waits until the replica holds this number of units.
    pub async fn until_it_holds(&self, units: usize) {
        eventually(&format!("the replica holds {units} units"), || async {
            self.ownership.holdings() == units
        })
        .await;
    }

    /// The tenures that the replica has now, oldest first.
    pub fn tenures(&self) -> Vec<Tenure> {
        let mut tenures = self.ownership.tenures();
        std::iter::from_fn(|| tenures.next().now_or_never().flatten()).collect()
    }
}

/// Waits until the replicas hold all partitions, each at least one, and no partition is being handed over.
pub async fn until_they_share_all(replicas: &[&Replica]) {
    eventually(
        "every partition is held and none is handed over",
        || async {
            let held: Vec<Vec<Tenure>> = replicas.iter().map(|replica| replica.tenures()).collect();
            let mut tenures = held.iter().flatten();
            held.iter().all(|tenures| !tenures.is_empty())
                && held.iter().map(Vec::len).sum::<usize>() == usize::from(PARTITIONS)
                && tenures.all(|tenure| !tenure.ending().is_cancelled())
        },
    )
    .await;
}

pub fn run(bus: &Bus, handler: impl Handler<Event = SandboxRequested>) -> Replica {
    Replica::consuming(bus, handler)
}
