mod held;
mod settle;
mod voice;
mod waiting;

use std::{collections::HashSet, sync::LazyLock};

use chrono::{DateTime, Utc};
use claw_domain::{
    Address, MessageId, ReplyId, ReplyText, Sensitive, UserId, Wamid, WhatsAppUserId,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryResult, QuerySelect, sea_query::Expr};
use uuid::Uuid;

pub use held::{HeldReply, ProactiveLoad};
pub use settle::{Disposition, NewReply, Settled, Settlement, TranscriptMove};
pub use voice::{Caller, VoiceMessage};
pub use waiting::WaitingMessage;

use waiting::these;

use crate::{
    Sandbox, StoreError,
    database::{Database, columns, joined, read},
    entity::{message, sandbox},
    text::storable,
};

static RECEIVE: LazyLock<String> = LazyLock::new(|| receiving(include_str!("sql/receive.sql")));

/// The repository of messages from users and replies to them.
#[derive(Clone)]
pub struct Messages {
    pub(crate) database: Database,
}

/// A WhatsApp message from a user.
#[derive(Debug, Clone)]
pub struct InboundMessage {
    /// Our id, derived from WhatsApp's.
    pub id: MessageId,
    /// The user who sent the message.
    pub user: UserId,
    /// The address that the message came from.
    pub address: Address,
    /// WhatsApp's id of the sender, if the webhook gave it in addition to the phone number.
    pub wa_user_id: Option<WhatsAppUserId>,
    /// The name in the sender's WhatsApp profile.
    pub name: Option<Sensitive<String>>,
    /// WhatsApp's id of the message.
    pub wamid: Wamid,
    /// The result of `MessageContent::kind`.
    pub content_kind: String,
    /// The text, or JSON for any other kind of content.
    pub content: Sensitive<String>,
    /// When it was sent, by WhatsApp's clock.
    pub sent_at: DateTime<Utc>,
    /// The time of the call.
    pub now: DateTime<Utc>,
    /// The sequence number of its event in the stream `INBOUND`, from 1.
    pub sequence: u64,
    /// Whether it needs an answer; otherwise it is stored as complete.
    pub needs_answer: bool,
    /// Whether to reopen the message if it was given up.
    pub is_replay: bool,
}

/// The outcome of receiving a message.
#[derive(Debug, Clone)]
pub enum Receipt {
    /// The message is stored, by this call or an earlier one.
    Stored(Box<Received>),
    /// Nothing is stored: the sender has no row as a user. See `Newcomers::admit`.
    Newcomer,
    /// Nothing is stored: the operator has blocked the sender.
    Blocked,
}

impl Receipt {
    /// The state of the message, if it is stored.
    pub fn stored(self) -> Option<Received> {
        match self {
            Self::Stored(received) => Some(*received),
            Self::Newcomer | Self::Blocked => None,
        }
    }
}

/// The state of a message and its user after the message was received.
#[derive(Debug, Clone)]
pub struct Received {
    /// Whether this call stored the message; `false` for a repetition.
    pub fresh: bool,
    /// Whether the message is answered or given up. A concurrent call that answers it may be missed.
    pub complete: bool,
    /// The user's sandbox, in any state; `None` if the user has none.
    pub sandbox: Option<Sandbox>,
}

impl Messages {
    /// Stores an inbound message of a user who is known and not blocked. The message waits until
    /// [`Messages::settle`] closes it. One round trip; a repetition changes nothing.
    pub async fn receive(&self, message: &InboundMessage) -> Result<Receipt, StoreError> {
        let wa_user_id = match &message.address {
            Address::Phone(_) => message.wa_user_id.as_ref(),
            Address::WhatsApp(id) => Some(id),
        };
        let name = message
            .name
            .as_ref()
            .map(|name| storable(name.expose()).into_owned());
        let values = [
            message.user.as_uuid().into(),
            wa_user_id.map(WhatsAppUserId::expose).into(),
            name.into(),
            message.wamid.as_str().into(),
            message.id.as_uuid().into(),
            message.content_kind.as_str().into(),
            storable(message.content.expose()).into_owned().into(),
            message.sent_at.into(),
            message.now.into(),
            message.needs_answer.into(),
            message.sequence.cast_signed().into(),
            message.is_replay.into(),
        ];
        let row = self.database.row(RECEIVING, &RECEIVE, values).await?;
        if read(RECEIVING, &row, "blocked")? {
            return Ok(Receipt::Blocked);
        }
        if !read(RECEIVING, &row, "known")? {
            return Ok(Receipt::Newcomer);
        }
        Received::try_from(row).map(|received| Receipt::Stored(Box::new(received)))
    }

    /// Marks closed messages as given up: only a replay reopens them.
    pub async fn give_up(&self, user: UserId, messages: &[MessageId]) -> Result<(), StoreError> {
        let update = these(user, messages.iter().map(MessageId::as_uuid))
            .filter(message::Column::Status.eq("complete"))
            .filter(message::Column::Role.eq("user"))
            .col_expr(message::Column::Status, Expr::value("given_up"));
        self.database
            .execute("giving messages up", update)
            .await
            .map(drop)
    }

    /// The ids among `replies` that are stored, with any disposition.
    pub async fn known(
        &self,
        user: UserId,
        replies: &[ReplyId],
    ) -> Result<HashSet<ReplyId>, StoreError> {
        let query = message::Entity::find()
            .filter(message::Column::UserId.eq(user.as_uuid()))
            .filter(message::Column::Id.is_in(replies.iter().map(ReplyId::as_uuid)))
            .select_only()
            .column(message::Column::Id)
            .into_tuple::<Uuid>()
            .all(&self.database.pool);
        let known = self.database.run("looking for replies", query).await?;
        Ok(known.into_iter().map(ReplyId::from_uuid).collect())
    }

    /// The text of a reply; `None` unless it was published to this user.
    pub async fn published_text(
        &self,
        user: UserId,
        reply: ReplyId,
    ) -> Result<Option<ReplyText>, StoreError> {
        let query = message::Entity::find_by_id(reply.as_uuid())
            .filter(message::Column::UserId.eq(user.as_uuid()))
            .filter(message::Column::Role.eq("assistant"))
            .filter(message::Column::Status.eq(settle::COMPLETE))
            .select_only()
            .column(message::Column::Content)
            .into_tuple::<String>()
            .one(&self.database.pool);
        let text = self.database.run("reading a reply", query).await?;
        Ok(text.map(ReplyText::from))
    }

    /// Whether this user sent this message.
    pub async fn exists(&self, user: UserId, message: MessageId) -> Result<bool, StoreError> {
        let query = message::Entity::find_by_id(message.as_uuid())
            .filter(message::Column::UserId.eq(user.as_uuid()))
            .filter(message::Column::Role.eq("user"))
            .select_only()
            .column(message::Column::Id)
            .into_tuple::<Uuid>()
            .one(&self.database.pool);
        Ok(self
            .database
            .run("looking for a message", query)
            .await?
            .is_some())
    }
}

const RECEIVING: &str = "storing an inbound message";

/// The statement that receives a message: `head` stores it, and the rest is the same for every channel.
fn receiving(head: &str) -> String {
    let tail =
        include_str!("sql/received.sql").replace("{sandbox}", &columns::<sandbox::Entity>("s"));
    format!("{head}{tail}")
}

impl TryFrom<QueryResult> for Received {
    type Error = StoreError;

    fn try_from(row: QueryResult) -> Result<Self, StoreError> {
        let sandbox: Option<sandbox::Model> = joined(RECEIVING, &row, "s")?;
        Ok(Self {
            fresh: read(RECEIVING, &row, "fresh")?,
            complete: read(RECEIVING, &row, "complete")?,
            sandbox: sandbox.map(Sandbox::try_from).transpose()?,
        })
    }
}
