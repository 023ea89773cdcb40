use claw_agent::History;
use claw_bus::HandlerError;
use claw_chat::Notice;
use claw_domain::{Channel, MessageId, SandboxId};
use claw_events::DeadReason;
use claw_store::{Disposition, NewReply, Settlement, TranscriptCursor, TranscriptMove};
use metrics::counter;
use tracing::{error, info, warn};

use super::{Then, UserActor};
use crate::{
    queue::Item,
    reply::{notice_reply, publish_reply},
};

/// Who gives up, in `DEAD`.
const PURPOSE: &str = "gateway-turns";

/// Something that was said, on its way to the person and into the record.
pub(super) struct Settling {
    settlement: Settlement,
    /// Replies before this one are on the bus.
    published: usize,
    /// Where the answers to these messages go; whatever else was said goes into the chat.
    channel: Channel,
}

impl Settling {
    fn channel_of(&self, reply: &NewReply) -> Channel {
        let answered = &self.settlement.answered;
        match reply.cause {
            Some(cause) if answered.contains(&cause) => self.channel,
            Some(_) | None => Channel::WhatsApp,
        }
    }
}

impl UserActor {
    /// Says `replies` in their order, then keeps them together with how far the transcript was read,
    /// and closes the messages they answer.
    ///
    /// First said, then kept: a crash in between says them again under the same ids, which follow from
    /// their causes. Once kept, nobody would know that they were not said.
    pub(super) async fn settle(
        &mut self,
        answered: Vec<MessageId>,
        replies: Vec<NewReply>,
        read: Option<(SandboxId, &History, &str)>,
    ) -> Result<(), HandlerError> {
        // While something runs, its rows are read again when it has ended: ids tell what is known.
        let transcript = read
            .filter(|(_, history, _)| history.activity.is_idle())
            .and_then(|(sandbox, history, boot_id)| {
                let to = TranscriptCursor {
                    cursor: history.cursor.as_ref()?.as_str().to_owned(),
                    boot_id: boot_id.to_owned(),
                };
                let from = self.connection.read_to.clone();
                Some(TranscriptMove { sandbox, from, to })
            });
        let mut all = std::mem::take(&mut self.told);
        let published = all.len();
        all.extend(replies);
        self.settling = Some(Box::new(Settling {
            settlement: Settlement {
                user: self.user,
                answered,
                replies: all,
                transcript,
                now: self.context.clock.now(),
            },
            published,
            channel: std::mem::replace(&mut self.answers_go, Channel::WhatsApp),
        }));
        self.conclude().await
    }

    /// Brings what is being settled to its end. What fails is tried again from where it was.
    pub(super) async fn conclude(&mut self) -> Result<(), HandlerError> {
        let Some(settling) = &mut self.settling else {
            return Ok(());
        };
        while let Some(reply) = settling.settlement.replies.get(settling.published) {
            if reply.disposition == Disposition::Published {
                let channel = settling.channel_of(reply);
                publish_reply(&self.context.publisher, self.user, reply, channel).await?;
            }
            settling.published += 1;
        }
        let settlement = &settling.settlement;
        let settled = self.context.store.messages().settle(settlement).await?;
        if settlement.transcript.is_some() {
            self.connection.read_to = settled.transcript;
        }
        let answered = &settlement.answered;
        self.queue.retain(|item| !answered.contains(&item.id));
        for message in answered {
            info!(user.id = %self.user, message.id = %message, "{message} is answered");
        }
        if !answered.is_empty() {
            self.setup_notice = None;
        }
        self.settling = None;
        Ok(())
    }

    /// Closes messages with these replies, the transcript unread.
    pub(super) async fn close(
        &mut self,
        messages: Vec<MessageId>,
        replies: Vec<NewReply>,
    ) -> Result<Then, HandlerError> {
        let said = if replies.is_empty() {
            "nothing"
        } else {
            "notice"
        };
        counter!("claw_messages_total", "outcome" => said).increment(messages.len() as u64);
        self.settle(messages, replies, None).await?;
        Ok(Then::Again)
    }

    /// Answers a message with a line of our own.
    pub(super) async fn say(
        &mut self,
        message: MessageId,
        notice: Notice,
    ) -> Result<Then, HandlerError> {
        if notice == Notice::Welcome && self.sandbox.is_none() {
            // Opening the chat has the assistant made before the first question.
            self.request_sandbox(message, 0).await?;
        }
        self.close(vec![message], vec![notice_reply(notice, message)])
            .await
    }

    /// Sets the messages whose turn was tried aside in `DEAD`, and tells the person that no answer will
    /// come of it. A failure here is only told: they stay where they are and are tried again.
    pub(super) async fn give_up(&mut self, error: &str) {
        let Some(trying) = self.trying.take() else {
            return;
        };
        let is_tried = |item: &&Item| trying.messages.contains(&item.id);
        let items: Vec<Item> = self.queue.iter().filter(is_tried).cloned().collect();
        for item in &items {
            error!(user.id = %self.user, message.id = %item.id, "a message is set aside: {error}");
            let (sequence, reason) = (item.sequence, DeadReason::Rejected);
            let set_aside = self
                .context
                .bus
                .set_aside(sequence, self.user, PURPOSE, reason, error);
            if let Err(error) = set_aside.await {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "DEAD did not take a message"
                );
                return;
            }
        }
        let notice = items
            .first()
            .map(|first| notice_reply(Notice::LostThread, first.id));
        let messages = trying.messages;
        let closed = self.close(messages.clone(), notice.into_iter().collect());
        if closed.await.is_err() {
            warn!(user.id = %self.user, "what was set aside is not closed yet");
            return;
        }
        let store = self.context.store.messages();
        if let Err(error) = store.give_up(self.user, &messages).await {
            warn!(
                error = &error as &dyn std::error::Error,
                "a replay will find a message closed"
            );
        }
    }
}
