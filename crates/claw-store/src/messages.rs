mod held;
mod settle;
mod voice;
mod waiting;

use std::{collections::HashSet, sync::LazyLock};

use chrono::{DateTime, Utc};
use claw_domain::{Address, MessageId, ReplyId, Sensitive, UserId, Wamid, WhatsAppUserId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryResult, QuerySelect, sea_query::Expr};
use uuid::Uuid;

pub use held::HeldReply;
pub use settle::{Disposition, NewReply, Settled, Settlement, TranscriptMove};
pub use voice::{Caller, VoiceKind, VoiceMessage};
pub use waiting::{Origin, WaitingMessage};

use waiting::these;

use crate::{
    Sandbox, StoreError,
    database::{Database, columns, joined, read},
    entity::{message, sandbox},
    text::storable,
};

static RECEIVE: LazyLock<String> = LazyLock::new(|| receiving(include_str!("sql/receive.sql")));

/// Beyond this a backlog is just long: nobody needs to know by how much.
const WAITING_COUNT_LIMIT: u32 = 1_000;

/// What was said, by people and by their assistants.
#[derive(Clone)]
pub struct Messages {
    pub(crate) database: Database,
}

/// A message as it came in.
#[derive(Debug, Clone)]
pub struct InboundMessage {
    /// Ours, derived from WhatsApp's.
    pub id: MessageId,
    /// Who sent it.
    pub user: UserId,
    /// Where they can be answered.
    pub address: Address,
    /// WhatsApp's own id of the person, when told beside their number.
    pub wa_user_id: Option<WhatsAppUserId>,
    /// The name of their profile.
    pub name: Option<Sensitive<String>>,
    /// WhatsApp's id of the message.
    pub wamid: Wamid,
    /// `MessageContent::kind`.
    pub content_kind: String,
    /// The words, or JSON for what is more than words.
    pub content: Sensitive<String>,
    /// When they sent it.
    pub sent_at: DateTime<Utc>,
    /// When we took it.
    pub now: DateTime<Utc>,
    /// The position of its event in `INBOUND`, from 1.
    pub sequence: u64,
    /// It is to be answered; otherwise it is only kept.
    pub needs_answer: bool,
    /// Should it have been given up, it waits again.
    pub is_replay: bool,
}

/// What there is to know when a message comes in.
#[derive(Debug, Clone)]
pub struct Received {
    /// This call wrote the message down; `false` for a repetition.
    pub fresh: bool,
    /// It was answered before. Of two calls at the same moment, one may miss what the other just did.
    pub complete: bool,
    /// The person's sandbox, in whatever state, if they have a row.
    pub sandbox: Option<Sandbox>,
    /// No message of this person was answered before.
    pub first_contact: bool,
    /// How many messages of this person are unanswered, this one included unless it is complete; counted
    /// up to 1,000. Messages taken at the same moment may be missed.
    pub waiting: u32,
}

impl Messages {
    /// Writes an inbound message down, and its sender if we never heard from them. From here on it waits
    /// until [`Messages::settle`] closes it. One round trip; a repetition changes nothing.
    pub async fn receive(&self, message: &InboundMessage) -> Result<Received, StoreError> {
        let (phone, wa_user_id) = match &message.address {
            Address::Phone(phone) => (Some(phone.expose_e164()), message.wa_user_id.as_ref()),
            Address::WhatsApp(id) => (None, Some(id)),
        };
        let name = message
            .name
            .as_ref()
            .map(|name| storable(name.expose()).into_owned());
        let values = [
            message.user.as_uuid().into(),
            phone.into(),
            wa_user_id.map(WhatsAppUserId::expose).into(),
            name.into(),
            message.id.as_uuid().into(),
            message.content_kind.as_str().into(),
            storable(message.content.expose()).into_owned().into(),
            message.wamid.as_str().into(),
            message.sent_at.into(),
            message.now.into(),
            message.sequence.cast_signed().into(),
            i64::from(WAITING_COUNT_LIMIT).into(),
            message.needs_answer.into(),
            message.is_replay.into(),
        ];
        let row = self.database.row(RECEIVING, &RECEIVE, values).await?;
        Received::try_from(row)
    }

    /// Marks closed messages as given up: only a replay opens them again.
    pub async fn give_up(&self, user: UserId, messages: &[MessageId]) -> Result<(), StoreError> {
        let update = these(user, messages.iter().map(MessageId::as_uuid))
            .filter(message::Column::Status.eq("complete"))
            .filter(message::Column::Role.eq("user"))
            .col_expr(message::Column::Status, Expr::value("given_up"));
        let update = update.exec(&self.database.pool);
        self.database
            .run("giving messages up", update)
            .await
            .map(drop)
    }

    /// Which of these replies are written down, whatever became of them.
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

    /// What was said to this person under this id, if it was.
    pub async fn said(
        &self,
        user: UserId,
        reply: ReplyId,
    ) -> Result<Option<Sensitive<String>>, StoreError> {
        let query = message::Entity::find_by_id(reply.as_uuid())
            .filter(message::Column::UserId.eq(user.as_uuid()))
            .filter(message::Column::Role.eq("assistant"))
            .filter(message::Column::Status.eq(settle::COMPLETE))
            .select_only()
            .column(message::Column::Content)
            .into_tuple::<String>()
            .one(&self.database.pool);
        let said = self
            .database
            .run("looking for what was said", query)
            .await?;
        Ok(said.map(Sensitive::new))
    }

    /// Whether this person sent that message.
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

const RECEIVING: &str = "writing down an inbound message";

/// A statement that takes a message: how it is written down, and what is the same for all of them.
fn receiving(written_down: &str) -> String {
    let told =
        include_str!("sql/received.sql").replace("{sandbox}", &columns::<sandbox::Entity>("s"));
    format!("{written_down}{told}")
}

impl TryFrom<QueryResult> for Received {
    type Error = StoreError;

    fn try_from(row: QueryResult) -> Result<Self, StoreError> {
        let sandbox: Option<sandbox::Model> = joined(RECEIVING, &row, "s")?;
        let waiting: i64 = read(RECEIVING, &row, "waiting")?;
        Ok(Self {
            fresh: read(RECEIVING, &row, "fresh")?,
            complete: read(RECEIVING, &row, "complete")?,
            sandbox: sandbox.map(Sandbox::try_from).transpose()?,
            first_contact: read(RECEIVING, &row, "first_contact")?,
            waiting: u32::try_from(waiting).unwrap_or(WAITING_COUNT_LIMIT),
        })
    }
}
