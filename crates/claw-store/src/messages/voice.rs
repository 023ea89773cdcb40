use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use claw_domain::{CallId, MessageId, PhoneNumber, Sensitive, UserId};

use super::{Messages, RECEIVING, Received, WAITING_COUNT_LIMIT, receiving};
use crate::{StoreError, calls::stored, database::read, text::storable};

static RECEIVE_VOICE: LazyLock<String> =
    LazyLock::new(|| receiving(include_str!("../sql/receive_voice.sql")));

/// A moment of a phone call that came in.
#[derive(Debug, Clone)]
pub struct VoiceMessage {
    /// Derived from the call and the turn.
    pub id: MessageId,
    /// Whose number it is, or would be.
    pub user: UserId,
    /// Who speaks.
    pub caller: Caller,
    /// In which call.
    pub call: CallId,
    /// Which turn of it; 0 for the ringing.
    pub turn: u32,
    /// What happened.
    pub kind: VoiceKind,
    /// What was said. Never a PIN: what is kept here is not sealed.
    pub content: Sensitive<String>,
    /// When it was said.
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

/// Who speaks, as far as we can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The person of this number; they are written down if we never heard from them.
    Trusted(PhoneNumber),
    /// Somebody who says so: nobody is written down for them.
    Unverified,
}

/// What happened in a phone call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoiceKind {
    /// It rang.
    CallStarted,
    /// The caller said something.
    Speech,
    /// It is over.
    CallEnded,
}

impl VoiceKind {
    const ALL: [Self; 3] = [Self::CallStarted, Self::Speech, Self::CallEnded];

    /// The name used in storage, in place of `MessageContent::kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CallStarted => "call_started",
            Self::Speech => "speech",
            Self::CallEnded => "call_ended",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl Messages {
    /// Writes a moment of a phone call down as [`Messages::receive`] does a message: it waits in the same
    /// line until it is settled, and what the caller said is counted in their call. It does not open
    /// WhatsApp's 24 hours.
    ///
    /// `None` for an unverified caller under a number we never heard from: then nothing is kept.
    pub async fn receive_voice(
        &self,
        message: &VoiceMessage,
    ) -> Result<Option<Received>, StoreError> {
        let phone = match &message.caller {
            Caller::Trusted(phone) => Some(phone.expose_e164()),
            Caller::Unverified => None,
        };
        let is_trusted = phone.is_some();
        let values = [
            message.user.as_uuid().into(),
            phone.into(),
            message.call.as_uuid().into(),
            stored(message.turn).into(),
            message.id.as_uuid().into(),
            message.kind.as_str().into(),
            storable(message.content.expose()).into_owned().into(),
            is_trusted.into(),
            message.sent_at.into(),
            message.now.into(),
            message.sequence.cast_signed().into(),
            i64::from(WAITING_COUNT_LIMIT).into(),
            message.needs_answer.into(),
            message.is_replay.into(),
        ];
        let row = self.database.row(RECEIVING, &RECEIVE_VOICE, values).await?;
        let is_kept = is_trusted || read(RECEIVING, &row, "known")?;
        is_kept.then(|| Received::try_from(row)).transpose()
    }
}
