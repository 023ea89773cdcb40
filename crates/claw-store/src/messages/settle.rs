use chrono::{DateTime, Utc};
use claw_domain::{MessageId, ReplyId, ReplySource, ReplyText, SandboxId, UserId};
use sea_orm::{QueryResult, Value};
use uuid::Uuid;

use super::Messages;
use crate::{StoreError, TranscriptCursor, database::read, text::storable};

const SETTLE: &str = include_str!("../sql/settle.sql");

pub(super) const COMPLETE: &str = "complete";
pub(super) const HELD: &str = "held";
pub(super) const WITHHELD: &str = "withheld";

/// The messages answered and the replies given in one step of a conversation.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The user of the conversation.
    pub user: UserId,
    /// The messages to mark as complete.
    pub answered: Vec<MessageId>,
    /// The replies, in order.
    pub replies: Vec<NewReply>,
    /// The move of the transcript cursor; `None` if the replies were not read from the transcript.
    pub transcript: Option<TranscriptMove>,
    /// The time of the call.
    pub now: DateTime<Utc>,
}

/// A reply of the assistant, or a notice.
#[derive(Debug, Clone)]
pub struct NewReply {
    /// The id, derived from the reply's cause.
    pub id: ReplyId,
    /// The text, in Markdown.
    pub text: ReplyText,
    /// Why the reply is sent.
    pub source: ReplySource,
    /// The agent's run that produced it.
    pub run_id: Option<String>,
    /// The message it answers; `None` for a proactive message.
    pub cause: Option<MessageId>,
    /// Whether it is published, held or withheld.
    pub disposition: Disposition,
}

/// The disposition of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It is published. Publishing comes before storing, so that a crash in between publishes it again under
    /// the same id instead of losing it.
    Published,
    /// It is held until this time.
    HeldUntil(DateTime<Utc>),
    /// It will not be published: the user turned proactive messages off.
    Withheld,
}

/// A move of a transcript cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptMove {
    /// The sandbox whose transcript was read.
    pub sandbox: SandboxId,
    /// The cursor from which the reading began. The row's cursor moves only if it still has this value.
    pub from: Option<TranscriptCursor>,
    /// The cursor at which the reading ended.
    pub to: TranscriptCursor,
}

/// The result of a settlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The row's transcript cursor, from which the next reading must begin. It differs from
    /// [`TranscriptMove::to`] if it was moved by another process, or by an earlier call whose answer was
    /// lost. `None` if the settlement has no [`TranscriptMove`].
    pub transcript: Option<TranscriptCursor>,
}

impl Messages {
    /// Completes messages, stores replies and moves the transcript cursor, atomically and in one round trip.
    ///
    /// May be repeated. A message stays complete as of the first call; messages of other users are ignored.
    /// A stored reply does not change, except that a held or withheld one becomes published. The cursor
    /// moves only from [`TranscriptMove::from`]. For an unknown user nothing is stored and the call fails
    /// with [`StoreError::Missing`].
    pub async fn settle(&self, settlement: &Settlement) -> Result<Settled, StoreError> {
        let row = self
            .database
            .row(SETTLING, SETTLE, values(settlement))
            .await?;
        if read(SETTLING, &row, "known")? {
            Settled::try_from(row)
        } else {
            Err(StoreError::Missing { what: "user" })
        }
    }
}

const SETTLING: &str = "settling messages";

fn values(settlement: &Settlement) -> [Value; 15] {
    let Settlement {
        user,
        answered,
        replies,
        transcript,
        now,
    } = settlement;
    let answered: Vec<Uuid> = answered.iter().map(MessageId::as_uuid).collect();
    let ids: Vec<Uuid> = replies.iter().map(|reply| reply.id.as_uuid()).collect();
    // The arrays hold no nulls: a missing cause is the nil id, and a missing end of a hold is an arbitrary time.
    let causes: Vec<Uuid> = replies
        .iter()
        .map(|reply| reply.cause.map_or(Uuid::nil(), |cause| cause.as_uuid()))
        .collect();
    let ends: Vec<DateTime<Utc>> = replies
        .iter()
        .map(|reply| reply.disposition.held_until().unwrap_or(*now))
        .collect();
    let texts = |text: fn(&NewReply) -> String| replies.iter().map(text).collect::<Vec<_>>();
    let sandbox = transcript.as_ref().map(|moved| moved.sandbox.as_uuid());
    let to = transcript.as_ref().map(|moved| &moved.to);
    let from = transcript.as_ref().and_then(|moved| moved.from.as_ref());
    [
        user.as_uuid().into(),
        answered.into(),
        ids.into(),
        texts(|reply| storable(reply.text.expose()).into_owned()).into(),
        texts(|reply| reply.source.as_str().to_owned()).into(),
        texts(|reply| reply.run_id.clone().unwrap_or_default()).into(),
        causes.into(),
        texts(|reply| reply.disposition.status().to_owned()).into(),
        ends.into(),
        sandbox.into(),
        to.map(|at| at.cursor.as_str()).into(),
        to.map(|at| at.boot_id.as_str()).into(),
        from.map(|at| at.cursor.as_str()).into(),
        from.map(|at| at.boot_id.as_str()).into(),
        (*now).into(),
    ]
}

impl Disposition {
    const fn status(self) -> &'static str {
        match self {
            Self::Published => COMPLETE,
            Self::HeldUntil(_) => HELD,
            Self::Withheld => WITHHELD,
        }
    }

    const fn held_until(self) -> Option<DateTime<Utc>> {
        match self {
            Self::HeldUntil(until) => Some(until),
            Self::Published | Self::Withheld => None,
        }
    }
}

impl TryFrom<QueryResult> for Settled {
    type Error = StoreError;

    fn try_from(row: QueryResult) -> Result<Self, StoreError> {
        let cursor: Option<String> = read(SETTLING, &row, "transcript_cursor")?;
        let boot_id: Option<String> = read(SETTLING, &row, "boot_id")?;
        let transcript = cursor
            .zip(boot_id)
            .map(|(cursor, boot_id)| TranscriptCursor { cursor, boot_id });
        Ok(Self { transcript })
    }
}
