use std::{process::Output, time::Duration};

use async_nats::jetstream;
use claw_bus::{Bus, BusConfig, Outgoing, Publisher};
use claw_domain::MessageId;
use claw_events::{DeadLetter, DeadReason, SandboxRequested, Stream};
use claw_testkit::{TestNats, USER_ID_KEY};
use serde_json::Value;
use tokio::process::Command;

/// A NATS server with our streams.
pub struct World {
    pub nats: TestNats,
    /// Publishes as the user `admin`.
    pub publisher: Publisher,
}

/// A command's output and exit status.
pub struct Ran {
    pub out: String,
    pub err: String,
    pub status: i32,
}

impl World {
    pub async fn new() -> Self {
        let nats = TestNats::start().await.unwrap();
        let config = BusConfig {
            url: nats.url("admin").into(),
            service: "admin",
        };
        let bus = Bus::connect(&config).await.unwrap();
        claw_bus::ensure(&bus).await.unwrap();
        Self {
            nats,
            publisher: bus.publisher(),
        }
    }

    /// Runs `clawkaka` with these arguments on the server.
    pub async fn run(&self, line: &str) -> Ran {
        run(line, &[("NATS_URL", &self.nats.url("admin"))]).await
    }

    pub async fn stream(&self, stream: Stream) -> jetstream::stream::Stream {
        let account = match stream {
            Stream::Inbound => "gateway",
            Stream::Outbound | Stream::Status => "outbound",
            Stream::Sandbox => "provisioner",
            Stream::Receipts | Stream::Dead | Stream::Operator => "admin",
        };
        let jetstream = self.nats.jetstream_of(account).await.unwrap();
        jetstream.get_stream(stream.name()).await.unwrap()
    }

    pub async fn publish_requests(&self, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            self.publisher.publish(&request(number)).await.unwrap();
        }
    }

    /// Stores a dead letter with the payload `secret`.
    pub async fn dead_letter(&self, letter: &DeadLetter) {
        self.dead_letter_with(letter, b"secret").await;
    }

    /// Stores a dead letter with this payload.
    pub async fn dead_letter_with(&self, letter: &DeadLetter, payload: &[u8]) {
        let user = claw_testkit::user("user");
        let dead = [Outgoing::dead(letter, user, payload.to_vec().into())];
        let stored = self.publisher.publish_all(&dead, Duration::from_secs(5));
        stored.await.unwrap();
    }
}

impl Ran {
    /// The output as JSON, one value per line.
    pub fn json(&self) -> Vec<Value> {
        let lines = self.out.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Runs `clawkaka` with these arguments and no environment but a `USER_ID_KEY` and `variables`.
pub async fn run(line: &str, variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clawkaka"));
    command
        .args(line.split_whitespace())
        .env_clear()
        .env("USER_ID_KEY", USER_ID_KEY)
        .envs(variables.iter().copied());
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().await.unwrap();
    Ran {
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
        status: status.code().unwrap(),
    }
}

/// A request for a sandbox; requests differ only in their number.
pub fn request(number: u32) -> SandboxRequested {
    SandboxRequested {
        user: claw_testkit::user("user"),
        cause: MessageId::derived_from(&number.to_string()),
        attempt: number,
    }
}

/// The dead letter of the event at `sequence` of `SANDBOX`, stored under `subject`.
pub fn rejected(sequence: u64, subject: &str) -> DeadLetter {
    DeadLetter {
        stream: Stream::Sandbox.name().to_owned(),
        sequence,
        subject: subject.to_owned(),
        consumer: "provisioner-requests".to_owned(),
        attempts: 3,
        reason: DeadReason::Rejected,
        error: "looking at it: never".to_owned(),
    }
}

/// The dead letter that ingress stores for a webhook that is not JSON.
pub fn unreadable_webhook(sequence: u64) -> DeadLetter {
    DeadLetter {
        stream: "webhook".to_owned(),
        sequence,
        subject: "whatsapp.webhook".to_owned(),
        consumer: "ingress".to_owned(),
        attempts: 1,
        reason: DeadReason::Undecodable,
        error: "not JSON".to_owned(),
    }
}
