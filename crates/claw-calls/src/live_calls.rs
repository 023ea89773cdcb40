use claw_bus::{Bus, BusError, CALLS, JsonBucket, Written};
use claw_domain::{Address, CallId};
use claw_events::{CallStatus, TurnStatus};
use futures_util::{Stream, StreamExt};

/// The state of live calls. Ingress waits here for writes of the gateway and outbound. Cheap to clone.
///
/// Every method fails when the server does not answer within two seconds.
#[derive(Clone)]
pub struct LiveCalls {
    pub(crate) bucket: JsonBucket,
}

/// A change in a live call.
#[derive(Debug, Clone, PartialEq)]
pub enum CallUpdate {
    /// The call has a new status.
    Call(CallId, CallStatus),
    /// The turn with this number has a status.
    Turn(CallId, u32, TurnStatus),
}

impl LiveCalls {
    /// Opens the bucket, which [`claw_bus::ensure`] creates.
    pub async fn open(bus: &Bus) -> Result<Self, BusError> {
        let bucket = JsonBucket::open(bus, CALLS).await?;
        Ok(Self { bucket })
    }

    /// Sets the status of a call. The last write wins.
    pub async fn set_status(&self, call: CallId, status: CallStatus) -> Result<(), BusError> {
        self.bucket.put(&call_key(call), &status).await
    }

    /// The status of a call; `None` if nobody has set one.
    pub async fn status(&self, call: CallId) -> Result<Option<CallStatus>, BusError> {
        self.bucket.get(&call_key(call)).await
    }

    /// Gives a turn its status, unless it has one already. Returns the status that the turn then has: the first one
    /// stays, for example if the caller stopped waiting before the answer came.
    pub async fn settle(
        &self,
        call: CallId,
        turn: u32,
        status: TurnStatus,
    ) -> Result<TurnStatus, BusError> {
        let key = turn_key(call, turn);
        if self.bucket.create(&key, &status).await? {
            return Ok(status);
        }
        let first = self.bucket.get(&key).await?;
        // A missing status has expired, and by then no caller waits for the turn.
        Ok(first.unwrap_or(TurnStatus::GivenUp))
    }

    /// The status of a turn; `None` while it has none.
    pub async fn turn_status(
        &self,
        call: CallId,
        turn: u32,
    ) -> Result<Option<TurnStatus>, BusError> {
        self.bucket.get(&turn_key(call, turn)).await
    }

    /// Records that the answer to a turn was handed over to be spoken. The last write wins.
    pub async fn note_heard(&self, call: CallId, turn: u32) -> Result<(), BusError> {
        self.bucket.put(&heard_key(call), &turn).await
    }

    /// The last turn whose answer is recorded as spoken.
    pub async fn last_heard(&self, call: CallId) -> Result<Option<u32>, BusError> {
        self.bucket.get(&heard_key(call)).await
    }

    /// Records which turn the caller has asked. The last write wins.
    pub async fn note_asked(&self, call: CallId, turn: u32) -> Result<(), BusError> {
        self.bucket.put(&asked_key(call), &turn).await
    }

    /// The last turn that is recorded as asked.
    pub async fn last_asked(&self, call: CallId) -> Result<Option<u32>, BusError> {
        self.bucket.get(&asked_key(call)).await
    }

    /// The turn that was asked last, if its answer may still come and has not been spoken.
    pub async fn owed_turn(&self, call: CallId) -> Result<Option<u32>, BusError> {
        let Some(turn) = self.last_asked(call).await? else {
            return Ok(None);
        };
        let heard = self.last_heard(call).await?;
        if heard.is_some_and(|heard| heard >= turn) {
            return Ok(None);
        }
        Ok(match self.turn_status(call, turn).await? {
            None | Some(TurnStatus::Speech(_)) => Some(turn),
            Some(TurnStatus::GivenUp | TurnStatus::Failed | TurnStatus::SeeCall) => None,
        })
    }

    /// Stores the number keyed in by a caller with a hidden caller ID. Twilio's later requests do not
    /// contain it.
    pub async fn keep_caller(&self, call: CallId, address: &Address) -> Result<(), BusError> {
        self.bucket.put(&caller_key(call), address).await
    }

    /// The number that was stored with [`Self::keep_caller`].
    pub async fn caller(&self, call: CallId) -> Result<Option<Address>, BusError> {
        self.bucket.get(&caller_key(call)).await
    }

    /// Every status of a call or turn written from now on. The stream ends when the server forgets the
    /// watch; then watch again, and read the values that may have been missed.
    pub async fn watch(&self) -> Result<impl Stream<Item = CallUpdate> + use<>, BusError> {
        let written = self.bucket.watch().await?;
        Ok(written.filter_map(|written| std::future::ready(update_of(&written))))
    }
}

fn call_key(call: CallId) -> String {
    call.to_string()
}

fn turn_key(call: CallId, turn: u32) -> String {
    format!("{call}.{turn}")
}

fn heard_key(call: CallId) -> String {
    format!("{call}.heard")
}

fn asked_key(call: CallId) -> String {
    format!("{call}.asked")
}

fn caller_key(call: CallId) -> String {
    format!("{call}.caller")
}

/// `None` for keys that hold no status.
fn update_of(written: &Written) -> Option<CallUpdate> {
    match written.key.split_once('.') {
        None => Some(CallUpdate::Call(
            written.key.parse().ok()?,
            written.value()?,
        )),
        Some((call, turn)) => Some(CallUpdate::Turn(
            call.parse().ok()?,
            turn.parse().ok()?,
            written.value()?,
        )),
    }
}
