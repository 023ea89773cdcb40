use chrono::{DateTime, Utc};
use claw_domain::{MessageId, Origin, Sensitive};

use crate::{Command, Plan};

/// An unanswered message in a user's queue.
#[derive(Debug, Clone)]
pub struct Item {
    /// Our id, derived from the channel's.
    pub id: MessageId,
    /// The channel the message arrived on; its answer is sent on the same channel.
    pub origin: Origin,
    /// The part of the previous answer that the caller had heard when they spoke over it.
    pub heard: Option<Sensitive<String>>,
    /// The sequence number of its event in the stream `INBOUND`.
    pub sequence: u64,
    /// When it was stored.
    pub taken_at: DateTime<Utc>,
    /// The plan for its answer.
    pub plan: Plan,
    /// The first message of the batch in which it was sent to the assistant; `None` if the database knows
    /// of no batch.
    pub batch: Option<MessageId>,
    /// It may have been sent to the assistant already, by an earlier process.
    pub may_have_been_sent: bool,
}

impl Item {
    /// Whether the message is the command "stop".
    pub const fn is_stop(&self) -> bool {
        matches!(self.plan, Plan::Obey(Command::Stop, _))
    }

    /// Whether the message was never sent to the assistant.
    pub(crate) const fn is_unsent(&self) -> bool {
        self.batch.is_none() && !self.may_have_been_sent
    }
}
