use chrono::{DateTime, TimeDelta, Utc};
use claw_domain::{Attestation, CallId, CallOutcome, UserId};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    UpdateMany, Value,
    sea_query::{Expr, Func},
};

use crate::{
    StoreError,
    database::Database,
    entity::call::{Column, Entity, Model},
};

pub(crate) const BEGIN_CALL: &str = include_str!("sql/begin_call.sql");
const END_CALL: &str = include_str!("sql/end_call.sql");

/// The repository of phone calls.
#[derive(Clone)]
pub struct Calls {
    pub(crate) database: Database,
}

/// The beginning of an incoming call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallBegin {
    /// The id of the call.
    pub call: CallId,
    /// The user of the caller's number, or who may become it.
    pub user: UserId,
    /// What the network says about the number.
    pub attestation: Attestation,
    /// When the phone rang.
    pub at: DateTime<Utc>,
    /// When the caller was put through; `None` if they first have to give a PIN.
    pub opened_at: Option<DateTime<Utc>>,
    /// The number of the utterance with which a new caller became a user, and which is no message; 0 without one.
    pub unstored_turn: u32,
    /// The sequence number of its event in the stream `INBOUND`, from 1.
    pub sequence: u64,
}

/// The end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallEnd {
    /// When the call ended.
    pub at: DateTime<Utc>,
    /// The call's duration in seconds.
    pub duration_seconds: u32,
    /// How the call ended.
    pub outcome: CallOutcome,
}

/// A phone call, in progress or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The id, derived from Twilio's.
    pub id: CallId,
    /// The user of the caller's number.
    pub user: UserId,
    /// What the network says about the number; `None` if only the end of the call is known.
    pub attestation: Option<Attestation>,
    /// When the phone rang.
    pub started_at: DateTime<Utc>,
    /// The number of the caller's utterances; a PIN does not count.
    pub turns: u32,
    /// The highest number of an utterance; numbers have gaps. 0 if the caller has said nothing.
    pub last_turn: u32,
    /// When the caller last spoke.
    pub last_spoken_at: Option<DateTime<Utc>>,
    /// Whether the caller waits for their assistant to be set up: they were told so, or that it is suspended.
    pub setup_awaited: bool,
    /// Since when the caller counts as the user of the number: they were put through, or gave the PIN.
    pub opened_at: Option<DateTime<Utc>>,
    /// Utterances up to this number are no messages: the first words of a new caller, and PINs.
    pub unstored_turn: u32,
    /// How many utterances were taken as a PIN.
    pub pin_tries: u32,
    /// How many of them were a wrong PIN.
    pub wrong_pins: u32,
    /// How the call ended; `None` while it is in progress.
    pub end: Option<CallEnd>,
}

impl Call {
    /// Whether the caller counts as the user of the number.
    pub const fn is_open(&self) -> bool {
        self.opened_at.is_some()
    }
}

/// The parameters of [`BEGIN_CALL`].
pub(crate) fn begin_values(begin: &CallBegin) -> [Value; 7] {
    [
        begin.call.as_uuid().into(),
        begin.user.as_uuid().into(),
        begin.attestation.as_str().into(),
        begin.at.into(),
        begin.sequence.cast_signed().into(),
        begin.opened_at.into(),
        stored(begin.unstored_turn).into(),
    ]
}

/// Every method may be called again. [`crate::Messages::receive_voice`] counts the utterances.
impl Calls {
    /// Stores a call. A known call changes only if this opens it as the same user; in particular, an ended one stays ended.
    pub async fn begin(&self, begin: &CallBegin) -> Result<(), StoreError> {
        let rows = self
            .database
            .rows("storing a call", BEGIN_CALL, begin_values(begin));
        rows.await.map(drop)
    }

    /// Ends a call. The first end counts. An unknown call of a user is stored as ended, so that a late
    /// [`Calls::begin`] does not reopen it; one of a number that belongs to no user, or of a blocked user, is not stored.
    pub async fn end(&self, call: CallId, user: UserId, end: &CallEnd) -> Result<(), StoreError> {
        let duration = TimeDelta::seconds(end.duration_seconds.into());
        let values = [
            call.as_uuid().into(),
            user.as_uuid().into(),
            (end.at - duration).into(),
            end.at.into(),
            stored(end.duration_seconds).into(),
            end.outcome.as_str().into(),
        ];
        let rows = self.database.rows("ending a call", END_CALL, values);
        rows.await.map(drop)
    }

    /// The call with this id.
    pub async fn of(&self, call: CallId) -> Result<Option<Call>, StoreError> {
        let query = Entity::find_by_id(call.as_uuid()).one(&self.database.pool);
        let row = self.database.run("reading a call", query).await?;
        row.map(Call::try_from).transpose()
    }

    /// Calls in progress whose caller has not spoken since `since`, oldest first, at most `limit`.
    pub async fn silent_since(
        &self,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Call>, StoreError> {
        let spoken = Func::coalesce([
            Expr::col(Column::LastSpokenAt),
            Expr::col(Column::StartedAt),
        ]);
        let query = Entity::find()
            .filter(Column::EndedAt.is_null())
            .filter(Expr::expr(spoken).lt(since))
            .order_by_asc(Column::StartedAt)
            .limit(u64::from(limit))
            .all(&self.database.pool);
        let rows = self.database.run("looking for silent calls", query).await?;
        rows.into_iter().map(Call::try_from).collect()
    }

    /// Whether a call of the user is in progress.
    pub async fn is_in_call(&self, user: UserId) -> Result<bool, StoreError> {
        let query = Entity::find()
            .filter(Column::UserId.eq(user.as_uuid()))
            .filter(Column::EndedAt.is_null())
            .count(&self.database.pool);
        let calls = self.database.run("looking for a call of a user", query);
        Ok(calls.await? > 0)
    }

    /// The calls in progress, oldest first, at most `limit`.
    pub async fn in_progress(&self, limit: u32) -> Result<Vec<Call>, StoreError> {
        let query = Entity::find()
            .filter(Column::EndedAt.is_null())
            .order_by_asc(Column::StartedAt)
            .limit(u64::from(limit))
            .all(&self.database.pool);
        let rows = self.database.run("reading the calls in progress", query);
        rows.await?.into_iter().map(Call::try_from).collect()
    }

    /// Records that the caller waits for their assistant to be set up. Fails with
    /// [`StoreError::Missing`] for an unknown call.
    pub async fn await_setup(&self, call: CallId) -> Result<(), StoreError> {
        let update = update(call).col_expr(Column::SetupAwaited, Expr::value(true));
        self.database
            .update(
                "call",
                "recording that a caller waits for an assistant",
                update,
            )
            .await
    }
}

fn update(call: CallId) -> UpdateMany<Entity> {
    Entity::update_many().filter(Column::Id.eq(call.as_uuid()))
}

/// `number` as a Postgres `integer`, which is signed; a larger number is stored as the largest one.
pub(crate) fn stored(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl TryFrom<Model> for Call {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { column };
        let count = |column, count| u32::try_from(count).map_err(|_| corrupt(column));
        Ok(Self {
            id: CallId::from_uuid(row.id),
            user: UserId::from_uuid(row.user_id),
            attestation: row
                .attestation
                .map(|name| name.parse())
                .transpose()
                .map_err(|_| corrupt("call.attestation"))?,
            started_at: row.started_at,
            turns: count("call.turns", row.turns)?,
            last_turn: count("call.last_turn", row.last_turn)?,
            last_spoken_at: row.last_spoken_at,
            setup_awaited: row.setup_awaited,
            opened_at: row.opened_at,
            unstored_turn: count("call.unstored_turn", row.unstored_turn)?,
            pin_tries: count("call.pin_tries", row.pin_tries)?,
            wrong_pins: count("call.wrong_pins", row.wrong_pins)?,
            end: end(row.ended_at, row.duration_seconds, row.outcome.as_deref())?,
        })
    }
}

fn end(
    at: Option<DateTime<Utc>>,
    duration_seconds: Option<i32>,
    outcome: Option<&str>,
) -> Result<Option<CallEnd>, StoreError> {
    let Some(at) = at else { return Ok(None) };
    let corrupt = |column| StoreError::Corrupt { column };
    let duration = duration_seconds.and_then(|seconds| u32::try_from(seconds).ok());
    let outcome = outcome.and_then(|name| name.parse().ok());
    Ok(Some(CallEnd {
        at,
        duration_seconds: duration.ok_or(corrupt("call.duration_seconds"))?,
        outcome: outcome.ok_or(corrupt("call.outcome"))?,
    }))
}
