use claw_bus::HandlerError;
use claw_chat::{Item, Notice};
use claw_domain::{Channel, MessageId};
use claw_events::DeadReason;
use claw_metrics::MESSAGES_DONE;
use claw_store::{NewReply, Settlement, TranscriptMove};
use tracing::{error, info, warn};

use super::{Flow, UserActor, settling::Settling};
use crate::reply::notice_reply;

/// The consumer's name on messages in `DEAD`.
const PURPOSE: &str = "gateway-turns";

impl UserActor {
    /// Publishes `replies` in order, records them and the move of the transcript's cursor, and closes the
    /// messages they answer. Replies to those messages go to `channel`.
    pub(super) async fn settle(
        &mut self,
        answered: Vec<MessageId>,
        replies: Vec<NewReply>,
        channel: Channel,
        transcript: Option<TranscriptMove>,
    ) -> Result<(), HandlerError> {
        let mut all = std::mem::take(&mut self.notices_sent);
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
            channel,
        }));
        self.finish_settling().await
    }

    /// Finishes an interrupted [`UserActor::settle`], if there is one.
    pub(super) async fn finish_settling(&mut self) -> Result<(), HandlerError> {
        let Some(settling) = &mut self.settling else {
            return Ok(());
        };
        let settled = settling.finish(&self.context).await?;
        let settlement = &settling.settlement;
        if settlement.transcript.is_some() {
            self.connection.set_read_to(settled.transcript);
        }
        let answered = &settlement.answered;
        self.queue.retain(|item| !answered.contains(&item.id));
        for message in answered {
            info!(user.id = %self.user, message.id = %message, "{message} is answered");
        }
        if !answered.is_empty() {
            self.setup_notice = None;
        }
        if !answered.is_empty() || !settlement.replies.is_empty() {
            self.rest.note_activity(!answered.is_empty());
        }
        self.settling = None;
        Ok(())
    }

    /// Closes messages with these replies, without reading the transcript.
    pub(super) async fn close(
        &mut self,
        messages: Vec<MessageId>,
        replies: Vec<NewReply>,
    ) -> Result<Flow, HandlerError> {
        let outcome = if replies.is_empty() {
            "nothing"
        } else {
            "notice"
        };
        MESSAGES_DONE.add(messages.len() as u64, [outcome]);
        self.settle(messages, replies, Channel::WhatsApp, None)
            .await?;
        Ok(Flow::Continue)
    }

    /// Answers a message with a notice.
    pub(super) async fn say(
        &mut self,
        message: MessageId,
        notice: Notice,
    ) -> Result<Flow, HandlerError> {
        if notice == Notice::Welcome && self.sandbox.is_none() {
            // The sandbox is created while the user types their first question.
            self.request_sandbox(message, 0).await?;
        }
        self.close(vec![message], vec![notice_reply(notice, message)])
            .await
    }

    /// Puts the messages of the pending turn into `DEAD`, and tells the user that they will not be answered.
    /// If this fails, the messages stay in the queue and are tried again.
    pub(super) async fn give_up(&mut self, error: &str) {
        let Some(pending) = self.pending_turn.take() else {
            return;
        };
        let is_pending = |item: &&Item| pending.messages.contains(&item.id);
        let items: Vec<Item> = self.queue.iter().filter(is_pending).cloned().collect();
        for item in &items {
            error!(user.id = %self.user, message.id = %item.id, "giving up a message: {error}");
            let (sequence, reason) = (item.sequence, DeadReason::Rejected);
            let bus = &self.context.bus;
            let set_aside = bus.set_aside(sequence, self.user, PURPOSE, reason, error);
            if let Err(error) = set_aside.await {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "could not put a message into DEAD"
                );
                return;
            }
        }
        let notice = items
            .first()
            .map(|first| notice_reply(Notice::LostThread, first.id));
        let messages = pending.messages;
        let closed = self.close(messages.clone(), notice.into_iter().collect());
        if closed.await.is_err() {
            warn!(user.id = %self.user, "messages in DEAD are not closed yet");
            return;
        }
        let store = self.context.store.messages();
        if let Err(error) = store.give_up(self.user, &messages).await {
            warn!(
                error = &error as &dyn std::error::Error,
                "a replay of the messages in DEAD will find them answered"
            );
        }
    }
}
