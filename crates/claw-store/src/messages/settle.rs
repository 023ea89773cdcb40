use chrono::{DateTime, Utc};
use claw_domain::{MessageId, ReplyId, ReplySource, SandboxId, Sensitive, UserId};
use sea_orm::{QueryResult, Value};
use uuid::Uuid;

use super::Messages;
use crate::{StoreError, TranscriptCursor, database::read, text::storable};

const SETTLE: &str = include_str!("../sql/settle.sql");

pub(super) const COMPLETE: &str = "complete";
pub(super) const HELD: &str = "held";
pub(super) const WITHHELD: &str = "withheld";

/// What came of reading a person's transcript, or of deciding for ourselves.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Whose.
    pub user: UserId,
    /// The messages that need no further answer.
    pub answered: Vec<MessageId>,
    /// What was said, in order.
    pub replies: Vec<NewReply>,
    /// How far the transcript was read for it, if it was.
    pub transcript: Option<TranscriptMove>,
    /// When.
    pub now: DateTime<Utc>,
}

/// Something the assistant (or we) said, or wanted to say.
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
    /// The message it answers, if it answers one.
    pub cause: Option<MessageId>,
    /// What became of it.
    pub disposition: Disposition,
}

/// What became of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It is published. That comes before it is written down, so that a crash in between repeats it
    /// under the same id and does not lose it.
    Said,
    /// It is kept until then.
    HeldUntil(DateTime<Utc>),
    /// It will not be said: the person asked for quiet.
    Withheld,
}

/// A step forward in a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptMove {
    /// In whose transcript.
    pub sandbox: SandboxId,
    /// Where the reading began: what our row said. The row moves from there only.
    pub from: Option<TranscriptCursor>,
    /// Where the reading ended.
    pub to: TranscriptCursor,
}

/// A settlement that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// How far the transcript counts as read by our row. Other than [`TranscriptMove::to`] if somebody else
    /// moved it meanwhile (or an earlier call of ours did, whose answer was lost): read on from here.
    /// `None` also when the settlement named no transcript.
    pub transcript: Option<TranscriptCursor>,
}

impl Messages {
    /// Closes messages, keeps what was said, and how far the transcript was read: all of it or nothing, in
    /// one round trip.
    ///
    /// May be repeated. A message counts as answered from the first time; messages of others are left
    /// alone. A known reply stays as it is, but for a held or withheld one that turns out to be said. The
    /// cursor moves only from where the caller saw it: see [`Settled`].
    /// [`StoreError::Missing`] when we never heard from this person; then nothing is kept.
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
    // Arrays hold no nulls: a cause that is none is nil, an end that is none is any.
    let causes: Vec<Uuid> = replies
        .iter()
        .map(|reply| reply.cause.map_or(Uuid::nil(), |cause| cause.as_uuid()))
        .collect();
    let ends: Vec<DateTime<Utc>> = replies
        .iter()
        .map(|reply| reply.disposition.held_until().unwrap_or(*now))
        .collect();
    let texts = |text: fn(&NewReply) -> String| replies.iter().map(text).collect::<Vec<_>>();
    let sandbox = transcript.as_ref().map(|step| step.sandbox.as_uuid());
    let to = transcript.as_ref().map(|step| &step.to);
    let from = transcript.as_ref().and_then(|step| step.from.as_ref());
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
            Self::Said => COMPLETE,
            Self::HeldUntil(_) => HELD,
            Self::Withheld => WITHHELD,
        }
    }

    const fn held_until(self) -> Option<DateTime<Utc>> {
        match self {
            Self::HeldUntil(until) => Some(until),
            Self::Said | Self::Withheld => None,
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
