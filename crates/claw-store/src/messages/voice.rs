use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use claw_domain::{CallId, MessageId, PhoneNumber, Sensitive, UserId, VoiceKind};

use super::{Messages, RECEIVING, Received, receiving};
use crate::{StoreError, calls::stored, database::read, text::storable};

static RECEIVE_VOICE: LazyLock<String> =
    LazyLock::new(|| receiving(include_str!("../sql/receive_voice.sql")));

/// An event of a phone call: it rings, the caller says something, or it ends.
#[derive(Debug, Clone)]
pub struct VoiceMessage {
    /// The id, derived from the call and the utterance's number.
    pub id: MessageId,
    /// The user of the caller's number.
    pub user: UserId,
    /// Whether the caller becomes a user.
    pub caller: Caller,
    /// The call that the event belongs to.
    pub call: CallId,
    /// The number of the utterance within the call; 0 for the ringing phone.
    pub turn: u32,
    /// The kind of the event.
    pub kind: VoiceKind,
    /// The caller's words. Must not be a PIN: the content is not sealed.
    pub content: Sensitive<String>,
    /// When Twilio reported the event.
    pub sent_at: DateTime<Utc>,
    /// The time of the call to the store.
    pub now: DateTime<Utc>,
    /// The sequence number of its event in the stream `INBOUND`, from 1.
    pub sequence: u64,
    /// Whether it needs an answer; otherwise it is stored as complete.
    pub needs_answer: bool,
    /// Whether to reopen the message if it was given up.
    pub is_replay: bool,
}

/// Whether a caller becomes a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The caller is stored as a user if they are none.
    Welcomed {
        /// The number of the call.
        phone: PhoneNumber,
        /// Whether they pressed the key that asks for a WhatsApp message.
        wants_template: bool,
    },
    /// The caller is a user, or nothing is stored.
    Known,
}

impl Messages {
    /// Stores an event of a phone call in the same queue as [`Messages::receive`] does a message, and counts
    /// the caller's utterances. It does not open WhatsApp's 24-hour window.
    ///
    /// Stores nothing and returns `None` for a blocked user, and for a [`Caller::Known`] whose number belongs to no user.
    pub async fn receive_voice(
        &self,
        message: &VoiceMessage,
    ) -> Result<Option<Received>, StoreError> {
        let (phone, wants_template) = match &message.caller {
            Caller::Welcomed {
                phone,
                wants_template,
            } => (Some(phone.expose_e164()), *wants_template),
            Caller::Known => (None, false),
        };
        let is_welcomed = phone.is_some();
        let values = [
            message.user.as_uuid().into(),
            phone.into(),
            message.call.as_uuid().into(),
            stored(message.turn).into(),
            message.id.as_uuid().into(),
            message.kind.as_str().into(),
            storable(message.content.expose()).into_owned().into(),
            is_welcomed.into(),
            message.sent_at.into(),
            message.now.into(),
            message.sequence.cast_signed().into(),
            message.is_replay.into(),
            message.needs_answer.into(),
            wants_template.into(),
        ];
        let row = self.database.row(RECEIVING, &RECEIVE_VOICE, values).await?;
        let is_blocked: bool = read(RECEIVING, &row, "blocked")?;
        let is_stored = !is_blocked && (is_welcomed || read(RECEIVING, &row, "known")?);
        is_stored.then(|| Received::try_from(row)).transpose()
    }
}
