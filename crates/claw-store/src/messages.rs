use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use claw_domain::{
    Address, MessageId, ReplyId, ReplySource, SandboxId, Sensitive, UserId, Wamid, WhatsAppUserId,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QueryResult, QuerySelect};
use uuid::Uuid;

use crate::{
    Sandbox, StoreError, TranscriptCursor,
    database::{Database, columns, joined, read},
    entity::{message, sandbox},
    text::storable,
};

static RECEIVE: LazyLock<String> = LazyLock::new(|| {
    include_str!("sql/receive.sql").replace("{sandbox}", &columns::<sandbox::Entity>("s"))
});
const COMPLETE: &str = include_str!("sql/complete.sql");

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
}

/// Something the assistant (or we) said to a message.
#[derive(Debug, Clone)]
pub struct NewReply {
    /// Derived from what caused it.
    pub id: ReplyId,
    /// The words.
    pub text: Sensitive<String>,
    /// Why it was said.
    pub source: ReplySource,
    /// The agent's run that said it.
    pub run_id: Option<String>,
}

/// A reply as written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReply {
    /// Its id.
    pub id: ReplyId,
    /// The message it answers.
    pub cause: Option<MessageId>,
    /// The words.
    pub text: Sensitive<String>,
    /// Why it was said.
    pub source: ReplySource,
}

impl Messages {
    /// Writes an inbound message down, and its sender if we never heard from them. One round trip; a
    /// repetition changes nothing.
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
        ];
        let row = self.database.row(RECEIVING, &RECEIVE, values).await?;
        Received::try_from(row)
    }

    /// Marks a message as answered by `replies`, in their order, and remembers how far the transcript was
    /// read. One round trip. A repetition adds replies that are not known yet and leaves the cursor
    /// alone. [`StoreError::Missing`] when this person never sent that message.
    pub async fn complete(
        &self,
        user: UserId,
        message: MessageId,
        replies: &[NewReply],
        cursor: Option<(SandboxId, TranscriptCursor)>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (sandbox, cursor) = cursor.unzip();
        let (cursor, boot_id) = cursor.map(|at| (at.cursor, at.boot_id)).unzip();
        let each = |text: fn(&NewReply) -> String| replies.iter().map(text).collect::<Vec<_>>();
        let values = [
            user.as_uuid().into(),
            message.as_uuid().into(),
            replies
                .iter()
                .map(|reply| reply.id.as_uuid())
                .collect::<Vec<_>>()
                .into(),
            each(|reply| storable(reply.text.expose()).into_owned()).into(),
            each(|reply| reply.source.as_str().to_owned()).into(),
            each(|reply| reply.run_id.clone().unwrap_or_default()).into(),
            sandbox.map(|sandbox| sandbox.as_uuid()).into(),
            cursor.into(),
            boot_id.into(),
            now.into(),
        ];
        let row = self.database.row(COMPLETING, COMPLETE, values).await?;
        if read(COMPLETING, &row, "known")? {
            Ok(())
        } else {
            Err(StoreError::Missing {
                what: "message of this user",
            })
        }
    }

    /// What was said to a message, in order.
    pub async fn replies_to(
        &self,
        user: UserId,
        message: MessageId,
    ) -> Result<Vec<StoredReply>, StoreError> {
        let query = message::Entity::find()
            .filter(message::Column::Cause.eq(message.as_uuid()))
            .filter(message::Column::UserId.eq(user.as_uuid()))
            .filter(message::Column::Role.eq("assistant"))
            .order_by_asc(message::Column::Position)
            .all(&self.database.pool);
        let rows = self
            .database
            .run("reading the replies to a message", query)
            .await?;
        rows.into_iter().map(StoredReply::try_from).collect()
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
const COMPLETING: &str = "completing a message";

impl TryFrom<QueryResult> for Received {
    type Error = StoreError;

    fn try_from(row: QueryResult) -> Result<Self, StoreError> {
        let sandbox: Option<sandbox::Model> = joined(RECEIVING, &row, "s")?;
        Ok(Self {
            fresh: read(RECEIVING, &row, "fresh")?,
            complete: read(RECEIVING, &row, "complete")?,
            sandbox: sandbox.map(Sandbox::try_from).transpose()?,
            first_contact: read(RECEIVING, &row, "first_contact")?,
        })
    }
}

impl TryFrom<message::Model> for StoredReply {
    type Error = StoreError;

    fn try_from(row: message::Model) -> Result<Self, StoreError> {
        let source = [ReplySource::Chat, ReplySource::Notice]
            .into_iter()
            .find(|source| source.as_str() == row.source)
            .ok_or(StoreError::Corrupt {
                column: "message.source",
            })?;
        Ok(Self {
            id: ReplyId::from_uuid(row.id),
            cause: row.cause.map(MessageId::from_uuid),
            text: row.content.into(),
            source,
        })
    }
}
