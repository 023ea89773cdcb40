use chrono::{DateTime, Utc};
use claw_domain::{ReplyId, ReplySource, ReplyText, UserId};
use sea_orm::{
    ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, UpdateMany,
    sea_query::Expr,
};

use super::{
    Messages,
    settle::{COMPLETE, WITHHELD},
    waiting::these,
};
use crate::{
    StoreError,
    entity::message::{Column, Entity, Model},
};

/// Most held replies returned at once. The rest follows after these are released.
const HELD_LIMIT: u64 = 1_000;

/// Literals, not bound values: only then do all query plans use the partial indices.
const IS_HELD: &str = "status = 'held'";
const IS_PROACTIVE: &str = "source IN ('heartbeat', 'cron')";

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

/// Replies that are held back, for example during quiet hours. Each call may be repeated and ignores replies
/// that are not held.
impl Messages {
    /// A user's held replies, oldest first, at most 1,000.
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

    /// Withholds all of a user's held replies for good.
    pub async fn withhold_held(&self, user: UserId) -> Result<(), StoreError> {
        let update = Entity::update_many()
            .filter(Column::UserId.eq(user.as_uuid()))
            .col_expr(Column::Status, Expr::value(WITHHELD));
        self.change_held("withholding held replies", update).await
    }

    /// The number of proactive messages published to a user at `since` or later. Held and withheld ones do not
    /// count.
    pub async fn proactive_since(
        &self,
        user: UserId,
        since: DateTime<Utc>,
    ) -> Result<u32, StoreError> {
        let query = Entity::find()
            .filter(Column::UserId.eq(user.as_uuid()))
            .filter(Expr::cust(IS_PROACTIVE))
            .filter(Column::CompletedAt.gte(since))
            .filter(Column::Status.eq(COMPLETE))
            .count(&self.database.pool);
        let count = self
            .database
            .run("counting proactive messages", query)
            .await?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
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
