use chrono::{DateTime, Utc};
use claw_domain::{ReplyId, ReplySource, ReplyText, UserId};
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, UpdateMany, sea_query::Expr,
};

use super::{
    Messages,
    settle::{COMPLETE, WITHHELD},
    waiting::these,
};
use crate::{
    StoreError,
    database::read,
    entity::message::{Column, Entity, Model},
};

/// Most held replies returned at once. The rest follows after these are released.
const HELD_LIMIT: u64 = 128;

/// A literal, not a bound value: only then do all query plans use the partial index.
const IS_HELD: &str = "status = 'held'";

const PROACTIVE_LOAD: &str = include_str!("../sql/proactive_load.sql");
const KEEP_NEWEST_HELD: &str = include_str!("../sql/keep_newest_held.sql");

/// A reply that is held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldReply {
    /// The id under which it will be published, derived from its cause.
    pub id: ReplyId,
    /// The text, in the assistant's Markdown.
    pub text: ReplyText,
    /// Why the assistant says it.
    pub source: ReplySource,
}

/// How many proactive messages a user has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProactiveLoad {
    /// Published since a moment.
    pub sent: u32,
    /// Published or withheld since that moment, or held.
    pub stored: u32,
    /// The bytes of the texts of those stored.
    pub stored_bytes: u64,
}

/// Replies that are held back, for example during quiet hours. Each call may be repeated and ignores replies
/// that are not held.
impl Messages {
    /// A user's held replies, oldest first, at most 128.
    pub async fn held(&self, user: UserId) -> Result<Vec<HeldReply>, StoreError> {
        let query = Entity::find()
            .filter(Column::UserId.eq(user.as_uuid()))
            .filter(Expr::cust(IS_HELD))
            .order_by_asc(Column::Position)
            .limit(HELD_LIMIT)
            .all(&self.database.pool);
        let rows = self.database.run("reading held replies", query).await?;
        rows.into_iter().map(HeldReply::try_from).collect()
    }

    /// Marks held replies as published at `now`.
    pub async fn release(
        &self,
        user: UserId,
        replies: &[ReplyId],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let update = these(user, replies.iter().map(ReplyId::as_uuid))
            .col_expr(Column::Status, Expr::value(COMPLETE))
            .col_expr(Column::CompletedAt, Expr::value(now));
        self.change_held("releasing held replies", update).await
    }

    /// Withholds all of a user's held replies for good, at `now`.
    pub async fn withhold_held(&self, user: UserId, now: DateTime<Utc>) -> Result<(), StoreError> {
        let update = Entity::update_many()
            .filter(Column::UserId.eq(user.as_uuid()))
            .col_expr(Column::Status, Expr::value(WITHHELD))
            .col_expr(Column::CompletedAt, Expr::value(now));
        self.change_held("withholding held replies", update).await
    }

    /// Withholds a user's oldest held replies for good, so that at most `texts` with at most `bytes` of text are left.
    /// Returns the number withheld.
    pub async fn keep_newest_held(
        &self,
        user: UserId,
        texts: u32,
        bytes: u64,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let values = [
            user.as_uuid().into(),
            i64::from(texts).into(),
            bytes.cast_signed().into(),
            now.into(),
        ];
        let operation = "withholding the oldest held replies";
        let withheld = self
            .database
            .rows(operation, KEEP_NEWEST_HELD, values)
            .await?;
        Ok(withheld.len() as u64)
    }

    /// A user's proactive messages since `since`.
    pub async fn proactive_load(
        &self,
        user: UserId,
        since: DateTime<Utc>,
    ) -> Result<ProactiveLoad, StoreError> {
        const OPERATION: &str = "counting proactive messages";
        let values = [user.as_uuid().into(), since.into()];
        let row = self.database.row(OPERATION, PROACTIVE_LOAD, values).await?;
        let number = |column| read::<i64>(OPERATION, &row, column);
        let count = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(ProactiveLoad {
            sent: count(number("sent")?),
            stored: count(number("stored")?),
            stored_bytes: u64::try_from(number("stored_bytes")?).unwrap_or_default(),
        })
    }

    async fn change_held(
        &self,
        operation: &'static str,
        update: UpdateMany<Entity>,
    ) -> Result<(), StoreError> {
        let update = update.filter(Expr::cust(IS_HELD));
        self.database.execute(operation, update).await.map(drop)
    }
}

impl TryFrom<Model> for HeldReply {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: ReplyId::from_uuid(row.id),
            text: row.content.into(),
            source: row.source.parse().map_err(|_| StoreError::Corrupt {
                column: "message.source",
            })?,
        })
    }
}
