//! Baselines: the time that NATS, Postgres and the disk take without our services.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use async_nats::{Client, ConnectOptions, HeaderMap, Subscriber, jetstream};
use claw_domain::{Attestation, CallId, UserId};
use claw_runtime::{Clock, SystemClock};
use claw_store::{CallBegin, Store};
use e2e::harness::World;
use futures_util::StreamExt;
use tokio::time::interval;

use crate::figures::Times;

/// Time between two measurements during other load.
const BASELINE_PERIOD: Duration = Duration::from_millis(100);

/// The subject of signals that this process sends to itself.
const ECHO: &str = "signal.bench.echo";

/// Connections to the bus, without `claw-bus`, and to the database.
#[derive(Clone)]
pub(crate) struct DirectClients {
    client: Client,
    jetstream: jetstream::Context,
    store: Store,
}

/// The measured times.
pub(crate) struct Baseline {
    /// Storing an event, until JetStream has acknowledged it.
    pub(crate) stored: Times,
    /// Writing a row, until Postgres has committed it.
    pub(crate) written: Times,
    /// A signal over core NATS to this process; nothing is stored.
    pub(crate) signalled: Times,
}

impl DirectClients {
    pub(crate) async fn connect(world: &World) -> Result<Self> {
        let url: async_nats::ServerAddr = world.nats.url("admin").parse()?;
        let password = url.password().context("a URL without password")?.to_owned();
        let client = ConnectOptions::with_user_and_password("admin".into(), password)
            .connect(url)
            .await?;
        let jetstream = jetstream::new(client.clone());
        let store = Store::connect(&world.postgres.url().into(), 1).await?;
        Ok(Self {
            client,
            jetstream,
            store,
        })
    }

    /// Stores an event; `number` makes its id unique.
    pub(crate) async fn store(&self, number: u32, payload: Vec<u8>) -> Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("bench-{number}").as_str());
        let subject = format!("receipt.bench.usr_{}", number % 500);
        let stored = self
            .jetstream
            .publish_with_headers(subject, headers, payload.into());
        stored.await?.await?;
        Ok(())
    }

    /// Stores an event of this size, writes a row and sends a signal ten times a second, until one of them fails.
    pub(crate) async fn measure(
        &self,
        baseline: &mut Baseline,
        bytes: usize,
    ) -> Result<Infallible> {
        let mut echo = self.client.subscribe(ECHO).await?;
        let calls = self.store.calls();
        let mut due = interval(BASELINE_PERIOD);
        let mut number = 0;
        loop {
            due.tick().await;
            let began = Instant::now();
            self.store(number, vec![b'x'; bytes]).await?;
            baseline.stored.add(began.elapsed());
            let began = Instant::now();
            let call = CallId::derived_from(&format!("bench-{number}"));
            calls.begin(&call_of_unknown_user(call)).await?;
            baseline.written.add(began.elapsed());
            let began = Instant::now();
            self.signal(&mut echo).await?;
            baseline.signalled.add(began.elapsed());
            number += 1;
        }
    }

    async fn signal(&self, echo: &mut Subscriber) -> Result<()> {
        self.client.publish(ECHO, "echo".into()).await?;
        echo.next().await.context("the subscription ended")?;
        Ok(())
    }
}

impl Baseline {
    pub(crate) fn none() -> Result<Self> {
        Ok(Self {
            stored: Times::none()?,
            written: Times::none()?,
            signalled: Times::none()?,
        })
    }
}

fn call_of_unknown_user(call: CallId) -> CallBegin {
    CallBegin {
        call,
        user: UserId::from_uuid(call.as_uuid()),
        attestation: Attestation::NoVerdict,
        opened_at: None,
        unstored_turn: 0,
        at: SystemClock.now(),
        sequence: 0,
    }
}
