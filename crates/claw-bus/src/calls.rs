use std::time::Duration;

use async_nats::jetstream::kv::{CreateErrorKind, Operation, Store};
use claw_domain::{Address, CallId};
use claw_events::{CallStanding, Speech, TurnStanding};
use futures_util::{Stream, StreamExt};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{Bus, BusError, streams::CALLS};

/// How long an answer of the server is waited for: a caller waits, too.
const ANSWER: Duration = Duration::from_secs(2);

/// What live calls have come to. Who talks with a caller looks here, and is told of what is new.
#[derive(Clone)]
pub struct Calls {
    pub(crate) store: Store,
}

/// Something new in a live call.
#[derive(Debug, Clone, PartialEq)]
pub enum CallNews {
    /// Of the call as a whole.
    Call(CallId, CallStanding),
    /// Of one turn.
    Turn(CallId, u32, TurnStanding),
}

impl Calls {
    /// Finds the bucket, which `claw-bus ensure` makes.
    pub async fn open(bus: &Bus) -> Result<Self, BusError> {
        let store = bus.jetstream.get_key_value(CALLS).await;
        let store =
            store.map_err(|error| BusError::jetstream("finding the bucket of calls", error))?;
        Ok(Self { store })
    }

    /// Writes what a call has come to. The latest counts.
    pub async fn put(&self, call: CallId, standing: CallStanding) -> Result<(), BusError> {
        self.write("writing of a call", of_call(call), &standing)
            .await
    }

    /// What a call has come to, if anything is known of it.
    pub async fn of(&self, call: CallId) -> Result<Option<CallStanding>, BusError> {
        self.read(of_call(call)).await
    }

    /// Lays the answer to a turn ready. What is written of the turn already stays, and is given back:
    /// a repetition, or that the caller was told not to wait for it.
    pub async fn answer(
        &self,
        call: CallId,
        turn: u32,
        speech: Speech,
    ) -> Result<TurnStanding, BusError> {
        self.settle(call, turn, TurnStanding::Speech(speech)).await
    }

    /// Notes that nobody waits for the answer to a turn any longer. If the answer is there
    /// already, it is given back.
    pub async fn give_up(&self, call: CallId, turn: u32) -> Result<TurnStanding, BusError> {
        self.settle(call, turn, TurnStanding::GivenUp).await
    }

    /// Notes that the assistant failed at a turn. If something came of it already, that is given back.
    pub async fn fail(&self, call: CallId, turn: u32) -> Result<TurnStanding, BusError> {
        self.settle(call, turn, TurnStanding::Failed).await
    }

    /// Notes that a turn was no question: what the call has come to is written, and tells how to go on.
    pub async fn refer(&self, call: CallId, turn: u32) -> Result<TurnStanding, BusError> {
        self.settle(call, turn, TurnStanding::SeeCall).await
    }

    /// What came of a turn, if anything did.
    pub async fn of_turn(&self, call: CallId, turn: u32) -> Result<Option<TurnStanding>, BusError> {
        self.read(of_turn(call, turn)).await
    }

    /// Notes that the answer to a turn was handed over to be said. The latest counts.
    pub async fn note_heard(&self, call: CallId, turn: u32) -> Result<(), BusError> {
        self.write("noting what was heard", of_heard(call), &turn)
            .await
    }

    /// The last turn whose answer was said to the caller, as far as it was noted.
    pub async fn heard(&self, call: CallId) -> Result<Option<u32>, BusError> {
        self.read(of_heard(call)).await
    }

    /// Keeps the number that a caller keyed who hides theirs: nothing Twilio sends tells it again.
    pub async fn keep_caller(&self, call: CallId, address: &Address) -> Result<(), BusError> {
        self.write("writing of a caller", of_caller(call), address)
            .await
    }

    /// The number they keyed.
    pub async fn caller(&self, call: CallId) -> Result<Option<Address>, BusError> {
        self.read(of_caller(call)).await
    }

    /// Notes which turn is asked. The latest counts.
    pub async fn note_asked(&self, call: CallId, turn: u32) -> Result<(), BusError> {
        self.write("noting a turn", of_asked(call), &turn).await
    }

    /// The turn that was asked last, if it was noted.
    pub async fn asked(&self, call: CallId) -> Result<Option<u32>, BusError> {
        self.read(of_asked(call)).await
    }

    /// What is written from now on, by anyone, of any call. Ends when the server forgets the watch: then
    /// watch again, and look.
    pub async fn watch(&self) -> Result<impl Stream<Item = CallNews> + use<>, BusError> {
        let watch = in_time("watching calls", self.store.watch(">")).await?;
        let watch = watch.map_err(|error| BusError::jetstream("watching calls", error))?;
        Ok(watch
            .take_while(|entry| std::future::ready(entry.is_ok()))
            .filter_map(|entry| {
                let news = entry
                    .ok()
                    .filter(|entry| entry.operation == Operation::Put)
                    .and_then(|entry| news_of(&entry.key, &entry.value));
                std::future::ready(news)
            }))
    }

    async fn settle(
        &self,
        call: CallId,
        turn: u32,
        standing: TurnStanding,
    ) -> Result<TurnStanding, BusError> {
        let key = of_turn(call, turn);
        let created = in_time(
            "writing of a turn",
            self.store.create(&key, json(&standing)?),
        )
        .await?;
        match created {
            Ok(_) => Ok(standing),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {
                let known = self.read(key).await?;
                // Only time removes it, and then nobody asks any more.
                Ok(known.unwrap_or(TurnStanding::GivenUp))
            }
            Err(error) => Err(BusError::jetstream("writing of a turn", error)),
        }
    }

    /// Writes under a key. The latest counts.
    pub(crate) async fn write(
        &self,
        what: &'static str,
        key: String,
        value: &impl Serialize,
    ) -> Result<(), BusError> {
        let written = in_time(what, self.store.put(key, json(value)?)).await?;
        written
            .map(drop)
            .map_err(|error| BusError::jetstream(what, error))
    }

    async fn read<T: DeserializeOwned>(&self, key: String) -> Result<Option<T>, BusError> {
        let read = in_time("reading of a call", self.store.get(key)).await?;
        let value = read.map_err(|error| BusError::jetstream("reading of a call", error))?;
        Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
    }
}

/// Boxed: the client's own futures are some 20 KB, and every caller who waits would hold one.
pub(crate) fn in_time<T>(
    operation: &'static str,
    work: impl Future<Output = T>,
) -> impl Future<Output = Result<T, BusError>> {
    let work = Box::pin(work);
    async move {
        let done = timeout(ANSWER, work).await;
        done.map_err(|late| BusError::jetstream(operation, late))
    }
}

pub(crate) fn json(value: &impl Serialize) -> Result<bytes::Bytes, BusError> {
    let json = serde_json::to_vec(value);
    json.map(Into::into)
        .map_err(|error| BusError::jetstream("writing of a call as JSON", error))
}

fn of_call(call: CallId) -> String {
    call.to_string()
}

fn of_turn(call: CallId, turn: u32) -> String {
    format!("{call}.{turn}")
}

fn of_heard(call: CallId) -> String {
    format!("{call}.heard")
}

fn of_caller(call: CallId) -> String {
    format!("{call}.caller")
}

fn of_asked(call: CallId) -> String {
    format!("{call}.asked")
}

fn news_of(key: &str, value: &[u8]) -> Option<CallNews> {
    match key.split_once('.') {
        None => {
            let standing = serde_json::from_slice(value).ok()?;
            Some(CallNews::Call(key.parse().ok()?, standing))
        }
        Some((call, turn)) => {
            let standing = serde_json::from_slice(value).ok()?;
            Some(CallNews::Turn(
                call.parse().ok()?,
                turn.parse().ok()?,
                standing,
            ))
        }
    }
}
