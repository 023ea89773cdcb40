use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use claw_bus::{Attempt, Bus, BusConfig, Consumer, Handler, HandlerError, ensure};
use claw_domain::{FailureReason, MessageId, SandboxId, UserId};
use claw_events::{SandboxFailed, SandboxRequested};
use claw_testkit::TestNats;
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

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
        self.seen.lock().unwrap().push((event.user, event.attempt));
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        self.answer.map_or(Ok(()), |answer| answer(event, attempt))
    }
}

/// A consumer running in the background until told to stop.
pub struct Running {
    pub stop: CancellationToken,
    pub task: JoinHandle<Result<(), claw_bus::BusError>>,
}

pub fn run(bus: &Bus, recorder: Recorder) -> Running {
    let stop = CancellationToken::new();
    let consumer = Consumer::new(bus.clone(), "provisioner-requests", recorder);
    let task = tokio::spawn(consumer.run(stop.clone()));
    Running { stop, task }
}
