use chrono::{DateTime, TimeDelta, Utc};
use claw_domain::{CallId, CallOutcome, Trust, UserId};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, UpdateMany,
    sea_query::{Expr, Func},
};

use crate::{
    StoreError,
    database::Database,
    entity::call::{Column, Entity, Model},
};

const BEGIN_CALL: &str = include_str!("sql/begin_call.sql");
const END_CALL: &str = include_str!("sql/end_call.sql");

/// Phone calls.
#[derive(Clone)]
pub struct Calls {
    pub(crate) database: Database,
}

/// A call as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallBegin {
    /// Which.
    pub call: CallId,
    /// Whose number it is, or would be: an unverified caller may be nobody we know.
    pub user: UserId,
    /// Whether the number is vouched for.
    pub trust: Trust,
    /// When it rang.
    pub at: DateTime<Utc>,
    /// The position of its event in `INBOUND`, from 1.
    pub sequence: u64,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallEnd {
    /// When.
    pub at: DateTime<Utc>,
    /// How long it took, in seconds.
    pub duration_seconds: u32,
    /// In which way.
    pub outcome: CallOutcome,
}

/// A phone call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which.
    pub id: CallId,
    /// Whose number it is, or would be.
    pub user: UserId,
    /// Whether the number is vouched for.
    pub trust: Trust,
    /// The position of its first event in `INBOUND`; `None` if only its end is known.
    pub sequence: Option<u64>,
    /// When it rang.
    pub started_at: DateTime<Utc>,
    /// How often the caller has spoken; a PIN is not counted.
    pub turns: u32,
    /// The highest number of what they have said; numbers have gaps. 0 when they have said nothing.
    pub last_turn: u32,
    /// When they spoke last.
    pub last_spoken_at: Option<DateTime<Utc>>,
    /// The caller was told that their assistant is being made.
    pub setup_awaited: bool,
    /// When the right PIN was given in it.
    pub unlocked_at: Option<DateTime<Utc>>,
    /// How it ended; `None` while somebody is on the line.
    pub end: Option<CallEnd>,
}

impl Call {
    /// Whether the caller may be treated as the person of the number.
    pub const fn is_open_to_its_user(&self) -> bool {
        matches!(self.trust, Trust::Trusted) || self.unlocked_at.is_some()
    }
}

/// Every change may be repeated; one of a call nobody wrote down is [`StoreError::Missing`]. What is said in a
/// call is counted as it is taken: [`crate::Messages::receive_voice`].
impl Calls {
    /// Writes a call down. A known one stays as it is; above all, one that is over stays over.
    pub async fn begin(&self, begin: &CallBegin) -> Result<(), StoreError> {
        let values = [
            begin.call.as_uuid().into(),
            begin.user.as_uuid().into(),
            begin.trust.as_str().into(),
            begin.at.into(),
            begin.sequence.cast_signed().into(),
        ];
        let rows = self
            .database
            .rows("writing down a call", BEGIN_CALL, values);
        rows.await.map(drop)
    }

    /// The call is over. The first final state wins. A call whose beginning was never written down is
    /// written down with its end, so that a beginning that comes late does not open it.
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

    /// A call, if it was written down.
    pub async fn of(&self, call: CallId) -> Result<Option<Call>, StoreError> {
        let query = Entity::find_by_id(call.as_uuid()).one(&self.database.pool);
        let row = self.database.run("reading a call", query).await?;
        row.map(Call::try_from).transpose()
    }

    /// Calls that nobody ended, in which the caller has not spoken since then; the oldest first.
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

    /// The caller gave the right PIN. The first time counts.
    pub async fn unlock(&self, call: CallId, now: DateTime<Utc>) -> Result<(), StoreError> {
        let first = Func::coalesce([Expr::col(Column::UnlockedAt), Expr::value(now)]);
        let update = update(call).col_expr(Column::UnlockedAt, first.into());
        self.database
            .update("call", "unlocking a call", update)
            .await
    }

    /// The caller was told that their assistant is being made.
    pub async fn await_setup(&self, call: CallId) -> Result<(), StoreError> {
        let update = update(call).col_expr(Column::SetupAwaited, Expr::value(true));
        self.database
            .update(
                "call",
                "noting that a caller waits for an assistant",
                update,
            )
            .await
    }
}

fn update(call: CallId) -> UpdateMany<Entity> {
    Entity::update_many().filter(Column::Id.eq(call.as_uuid()))
}

/// Postgres has no unsigned numbers; what is beyond its own is as good as its largest.
pub(crate) fn stored(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl TryFrom<Model> for Call {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { column };
        let count = |column, count| u32::try_from(count).map_err(|_| corrupt(column));
        let sequence = row.sequence.map(u64::try_from).transpose();
        Ok(Self {
            id: CallId::from_uuid(row.id),
            user: UserId::from_uuid(row.user_id),
            trust: Trust::from_name(&row.trust).ok_or(corrupt("call.trust"))?,
            sequence: sequence.map_err(|_| corrupt("call.sequence"))?,
            started_at: row.started_at,
            turns: count("call.turns", row.turns)?,
            last_turn: count("call.last_turn", row.last_turn)?,
            last_spoken_at: row.last_spoken_at,
            setup_awaited: row.setup_awaited,
            unlocked_at: row.unlocked_at,
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
    let outcome = outcome.and_then(CallOutcome::from_name);
    Ok(Some(CallEnd {
        at,
        duration_seconds: duration.ok_or(corrupt("call.duration_seconds"))?,
        outcome: outcome.ok_or(corrupt("call.outcome"))?,
    }))
}
