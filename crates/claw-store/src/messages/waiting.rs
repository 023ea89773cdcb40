use chrono::{DateTime, Utc};
use claw_domain::{CallId, MessageId, Sensitive, UserId, Wamid};
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, UpdateMany, sea_query::Expr,
};
use uuid::Uuid;

use super::{Messages, VoiceKind};
use crate::{
    StoreError,
    entity::message::{Column, Entity, Model},
};

/// Spelled out, not bound as a value: only then does every plan of the server use the index of the rows
/// that wait.
const IS_WAITING: &str = "status = 'received'";

/// A message nobody answered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingMessage {
    /// Ours, derived from the channel's.
    pub id: MessageId,
    /// By which way it came.
    pub origin: Origin,
    /// `MessageContent::kind`, or [`VoiceKind`]'s name.
    pub content_kind: String,
    /// The words, or JSON for what is more than words.
    pub content: Sensitive<String>,
    /// When they sent it.
    pub sent_at: DateTime<Utc>,
    /// When we took it.
    pub taken_at: DateTime<Utc>,
    /// The position of its event in `INBOUND`; 0 if it was taken before positions were kept.
    pub sequence: u64,
    /// The first message of the turn it was, or may have been, put to the assistant in.
    pub batch: Option<MessageId>,
}

/// By which way a message came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Written in the chat.
    WhatsApp {
        /// WhatsApp's id of it.
        wamid: Wamid,
    },
    /// A moment of a phone call.
    Voice {
        /// Which call.
        call: CallId,
        /// Which turn of it; 0 for the ringing.
        turn: u32,
        /// What happened.
        kind: VoiceKind,
    },
}

impl Messages {
    /// A person's unanswered messages, oldest first, at most `limit`.
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
            .run("reading the messages that wait", query)
            .await?;
        rows.into_iter().map(WaitingMessage::try_from).collect()
    }

    /// Notes that these messages are put to the assistant as one turn, before they are: whoever comes next
    /// finds the same turn. Leaves alone those that belong to a batch already, are answered, or are
    /// somebody else's; [`Messages::waiting`] tells what came of it.
    pub async fn form_batch(
        &self,
        user: UserId,
        first: MessageId,
        members: &[MessageId],
    ) -> Result<(), StoreError> {
        let update = these(user, members.iter().map(MessageId::as_uuid))
            .col_expr(Column::Batch, Expr::value(first.as_uuid()))
            .filter(Expr::cust(IS_WAITING))
            .filter(Column::Batch.is_null())
            .exec(&self.database.pool);
        self.database.run("forming a batch", update).await.map(drop)
    }
}

/// A change of these rows of a person. One statement, however many they are.
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
            sent_at: row.sent_at.ok_or(corrupt("message.sent_at"))?,
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
        kind: VoiceKind::from_name(&row.kind).ok_or(corrupt("message.kind"))?,
    })
}
