use chrono::{DateTime, Utc};
use claw_domain::{MessageId, ReplyId, ReplySource, Sensitive, UserId};
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

/// Most held texts given at once. The rest comes when these are released.
const HELD_LIMIT: u64 = 1_000;

/// Spelled out, not bound as values: only then does every plan of the server use the indices made for them.
const IS_HELD: &str = "status = 'held'";
const IS_PROACTIVE: &str = "source IN ('heartbeat', 'cron')";

/// A text that is kept for later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldReply {
    /// Its id, derived from what caused it: it is published under it.
    pub id: ReplyId,
    /// The words.
    pub text: Sensitive<String>,
    /// Why it is said.
    pub source: ReplySource,
    /// The message it answers, if it answers one.
    pub cause: Option<MessageId>,
    /// Not to be said before.
    pub until: DateTime<Utc>,
    /// When it was written down.
    pub taken_at: DateTime<Utc>,
}

/// What the guard between the assistant and the night keeps back. Each may be repeated; what is not held
/// (any more) is left alone.
impl Messages {
    /// Texts held back by the guard, oldest first, at most 1,000.
    pub async fn held(&self, user: UserId) -> Result<Vec<HeldReply>, StoreError> {
        let query = Entity::find()
            .filter(Column::UserId.eq(user.as_uuid()))
            .filter(Expr::cust(IS_HELD))
            .order_by_asc(Column::Position)
            .limit(HELD_LIMIT)
            .all(&self.database.pool);
        let rows = self.database.run("reading held texts", query).await?;
        rows.into_iter().map(HeldReply::try_from).collect()
    }

    /// They were published now.
    pub async fn release(
        &self,
        user: UserId,
        replies: &[ReplyId],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let update = these(user, replies.iter().map(ReplyId::as_uuid))
            .col_expr(Column::Status, Expr::value(COMPLETE))
            .col_expr(Column::CompletedAt, Expr::value(now));
        self.change_held("releasing held texts", update).await
    }

    /// They are kept until then.
    pub async fn hold_until(
        &self,
        user: UserId,
        replies: &[ReplyId],
        until: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let update = these(user, replies.iter().map(ReplyId::as_uuid))
            .col_expr(Column::HeldUntil, Expr::value(until));
        self.change_held("holding texts for longer", update).await
    }

    /// None of this person's held texts will be said.
    pub async fn withhold_held(&self, user: UserId) -> Result<(), StoreError> {
        let update = Entity::update_many()
            .filter(Column::UserId.eq(user.as_uuid()))
            .col_expr(Column::Status, Expr::value(WITHHELD));
        self.change_held("withholding held texts", update).await
    }

    /// How many proactive texts were sent to this person since `since`, that moment included: when they
    /// were published counts, not when they were written. Held and withheld ones do not count.
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
        let count = self.database.run("counting proactive texts", query).await?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    async fn change_held(
        &self,
        operation: &'static str,
        update: UpdateMany<Entity>,
    ) -> Result<(), StoreError> {
        let update = update.filter(Expr::cust(IS_HELD)).exec(&self.database.pool);
        self.database.run(operation, update).await.map(drop)
    }
}

impl TryFrom<Model> for HeldReply {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { column };
        Ok(Self {
            id: ReplyId::from_uuid(row.id),
            text: row.content.into(),
            source: ReplySource::from_name(&row.source).ok_or(corrupt("message.source"))?,
            cause: row.cause.map(MessageId::from_uuid),
            until: row.held_until.ok_or(corrupt("message.held_until"))?,
            taken_at: row.created_at,
        })
    }
}
