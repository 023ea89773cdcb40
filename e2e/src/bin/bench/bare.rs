//! What NATS, Postgres and the disk take by themselves, beside which our own figures stand.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use async_nats::{Client, ConnectOptions, HeaderMap, Subscriber, jetstream};
use claw_domain::{CallId, Trust, UserId};
use claw_runtime::{Clock, SystemClock};
use claw_store::{CallBegin, Store};
use e2e::harness::World;
use futures_util::StreamExt;
use tokio::time::interval;

use crate::figures::Times;

/// Between two looks at how fast things are beside everything else.
const BEAT: Duration = Duration::from_millis(100);

/// Where we signal to ourselves.
const ECHO: &str = "signal.bench.echo";

/// A connection to the bus that none of our crates is between.
#[derive(Clone)]
pub(crate) struct Bare {
    client: Client,
    jetstream: jetstream::Context,
    store: Store,
}

/// What took how long, beat by beat.
pub(crate) struct Beats {
    /// An event, until it is on disk and acknowledged.
    pub(crate) stored: Times,
    /// A row, until Postgres has it on disk.
    pub(crate) written: Times,
    /// A signal to ourselves: nothing is written.
    pub(crate) signalled: Times,
}

impl Bare {
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

    /// Stores an event with a number of its own.
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

    /// Stores events of this size, writes rows and signals, ten times a second, for ever.
    pub(crate) async fn beat(&self, beats: &mut Beats, bytes: usize) -> Result<Infallible> {
        let mut echo = self.client.subscribe(ECHO).await?;
        let calls = self.store.calls();
        let mut due = interval(BEAT);
        let mut number = 0;
        loop {
            due.tick().await;
            let began = Instant::now();
            self.store(number, vec![b'x'; bytes]).await?;
            beats.stored.add(began.elapsed());
            let began = Instant::now();
            let call = CallId::derived_from(&format!("bench-{number}"));
            calls.begin(&call_of_nobody(call)).await?;
            beats.written.add(began.elapsed());
            let began = Instant::now();
            self.signal(&mut echo).await?;
            beats.signalled.add(began.elapsed());
            number += 1;
        }
    }

    async fn signal(&self, echo: &mut Subscriber) -> Result<()> {
        self.client.publish(ECHO, "echo".into()).await?;
        echo.next().await.context("the subscription ended")?;
        Ok(())
    }
}

impl Beats {
    pub(crate) fn none() -> Result<Self> {
        Ok(Self {
            stored: Times::none()?,
            written: Times::none()?,
            signalled: Times::none()?,
        })
    }
}

fn call_of_nobody(call: CallId) -> CallBegin {
    CallBegin {
        call,
        user: UserId::from_uuid(call.as_uuid()),
        trust: Trust::Unverified,
        at: SystemClock.now(),
        sequence: 0,
    }
}
