use chrono::{DateTime, Utc};
use claw_domain::{CallId, MessageId, Origin, Sensitive, UserId, Wamid};
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, UpdateMany, sea_query::Expr,
};
use uuid::Uuid;

use super::Messages;
use crate::{
    StoreError,
    entity::message::{Column, Entity, Model},
};

/// A literal, not a bound value: only then do all query plans use the partial index.
const IS_WAITING: &str = "status = 'received'";

/// A message of a user that is not answered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingMessage {
    /// Our id, derived from the channel's.
    pub id: MessageId,
    /// The channel it arrived on.
    pub origin: Origin,
    /// The result of `MessageContent::kind`, or the name of the [`VoiceKind`](claw_domain::VoiceKind).
    pub content_kind: String,
    /// The text, or JSON for any other kind of content.
    pub content: Sensitive<String>,
    /// When it was stored.
    pub taken_at: DateTime<Utc>,
    /// The sequence number of its event in the stream `INBOUND`; 0 if it was stored before schema 2.
    pub sequence: u64,
    /// The first message of its batch; `None` if it was not sent to the assistant yet.
    pub batch: Option<MessageId>,
}

impl Messages {
    /// A user's unanswered messages, oldest first, at most `limit`.
    pub async fn waiting(
        &self,
        user: UserId,
        limit: u32,
    ) -> Result<Vec<WaitingMessage>, StoreError> {
        let query = Entity::find()
            .filter(Column::UserId.eq(user.as_uuid()))
            .filter(Expr::cust(IS_WAITING))
            .order_by_asc(Column::Position)
            .limit(u64::from(limit))
            .all(&self.database.pool);
        let rows = self
            .database
            .run("reading the waiting messages", query)
            .await?;
        rows.into_iter().map(WaitingMessage::try_from).collect()
    }

    /// Records that these messages form a batch, before the batch is sent to the assistant as one turn, so
    /// that a successor sends the same turn. Ignores messages that already have a batch, are answered or
    /// belong to another user; read [`Messages::waiting`] for the result.
    pub async fn form_batch(
        &self,
        user: UserId,
        first: MessageId,
        members: &[MessageId],
    ) -> Result<(), StoreError> {
        let update = these(user, members.iter().map(MessageId::as_uuid))
            .col_expr(Column::Batch, Expr::value(first.as_uuid()))
            .filter(Expr::cust(IS_WAITING))
            .filter(Column::Batch.is_null());
        self.database
            .execute("forming a batch", update)
            .await
            .map(drop)
    }
}

/// An update of these rows of a user, in one statement.
pub(super) fn these(user: UserId, ids: impl Iterator<Item = Uuid>) -> UpdateMany<Entity> {
    Entity::update_many()
        .filter(Column::UserId.eq(user.as_uuid()))
        .filter(Column::Id.eq_any(ids))
}

impl TryFrom<Model> for WaitingMessage {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { column };
        let sequence = row.sequence.map(u64::try_from);
        Ok(Self {
            id: MessageId::from_uuid(row.id),
            origin: origin(&row)?,
            content_kind: row.kind,
            content: row.content.into(),
            taken_at: row.created_at,
            sequence: sequence
                .ok_or(corrupt("message.sequence"))?
                .map_err(|_| corrupt("message.sequence"))?,
            batch: row.batch.map(MessageId::from_uuid),
        })
    }
}

fn origin(row: &Model) -> Result<Origin, StoreError> {
    let corrupt = |column| StoreError::Corrupt { column };
    let Some(call) = row.call_id else {
        let wamid = row.wamid.as_deref().map(Wamid::new);
        let wamid = wamid.ok_or(corrupt("message.wamid"))?;
        return Ok(Origin::WhatsApp { wamid });
    };
    let turn = row.turn.and_then(|turn| u32::try_from(turn).ok());
    Ok(Origin::Voice {
        call: CallId::from_uuid(call),
        turn: turn.ok_or(corrupt("message.turn"))?,
        kind: row.kind.parse().map_err(|_| corrupt("message.kind"))?,
    })
}
