use anyhow::anyhow;
use async_trait::async_trait;
use claw_bus::{Attempt, Handler, HandlerError, Publisher};
use claw_calls::LiveCalls;
use claw_domain::{CallId, Channel, Language, ReplySource};
use claw_events::{CallStatus, ReplyDelivered, ReplyFailed, ReplyProduced, TurnStatus};
use claw_metrics::{REPLIES, SPOKEN_ANSWERS};
use claw_whatsapp::send::Template;
use tokio::time::Instant;
use tracing::info;

use crate::{
    failures::store_failure,
    messages::messages_of,
    pieces::pieces_of,
    send_piece::{Piece, PieceSender, SendOutcome, while_suspended},
    speech::speech_of,
};

/// Delivers each reply to its user.
pub struct DeliverReply {
    sender: PieceSender,
    publisher: Publisher,
    live_calls: LiveCalls,
    template: Option<Template>,
}

#[async_trait]
impl Handler for DeliverReply {
    type Event = ReplyProduced;

    async fn handle(&self, reply: &ReplyProduced, attempt: &Attempt) -> Result<(), HandlerError> {
        if self.sender.is_held(reply) {
            return Err(self.sender.park(reply.user));
        }
        // The statement that begins the delivery drops what is for a blocked user.
        if !self.sender.is_blocked(reply.user)
            && let Channel::Voice { call, turn } = reply.channel
            && self.speak(reply, call, turn).await?
        {
            return self.announce_delivery(reply, 1).await;
        }
        // The chat also gets replies that the caller heard only in part or not in time.
        self.write(reply, attempt).await
    }
}

impl DeliverReply {
    /// A handler that sends through `sender`, in `template` where WhatsApp accepts nothing else.
    pub const fn new(
        sender: PieceSender,
        publisher: Publisher,
        live_calls: LiveCalls,
        template: Option<Template>,
    ) -> Self {
        Self {
            sender,
            publisher,
            live_calls,
            template,
        }
    }

    /// Stores the spoken part of the reply for the caller. Returns whether that is the whole reply and the
    /// caller still waits for it.
    async fn speak(
        &self,
        reply: &ReplyProduced,
        call: CallId,
        turn: u32,
    ) -> Result<bool, HandlerError> {
        let status = self.live_calls.status(call).await?;
        let language = status.and_then(CallStatus::language);
        let speech = speech_of(reply.text.expose(), language.unwrap_or(Language::EnglishUs));
        let speech = TurnStatus::Speech(speech);
        let (label, is_all) = match self.live_calls.settle(call, turn, speech).await? {
            TurnStatus::Speech(speech) if speech.is_cut => ("cut", false),
            TurnStatus::Speech(_) => ("whole", true),
            TurnStatus::GivenUp | TurnStatus::Failed | TurnStatus::SeeCall => ("late", false),
        };
        SPOKEN_ANSWERS.increment([label]);
        Ok(is_all)
    }

    /// Sends the reply to the user's chat.
    async fn write(&self, reply: &ReplyProduced, attempt: &Attempt) -> Result<(), HandlerError> {
        let texts = pieces_of(reply.text.expose());
        match self.send(reply, &texts, attempt).await? {
            SendOutcome::Accepted => self.announce_delivery(reply, texts.len()).await,
            SendOutcome::AcceptedAsTemplate => self.announce_delivery(reply, 1).await,
            SendOutcome::Blocked => self.announce_failure(reply, "blocked", None).await,
            SendOutcome::Failed { code } => self.announce_failure(reply, "failed", code).await,
        }
    }

    /// Sends the pieces in order. A failed piece ends the reply, because the rest alone would mislead. So does a
    /// template, which stands for all pieces; the rows of the others say so, and a redelivery sends none of them.
    async fn send(
        &self,
        reply: &ReplyProduced,
        texts: &[String],
        attempt: &Attempt,
    ) -> Result<SendOutcome, HandlerError> {
        // Where sends queue up, the first piece is claimed when its turn has come, and not for the length of the queue.
        let has_slot = self.sender.rate_limiter.try_acquire();
        let began = Instant::now();
        let now = self.sender.clock.now();
        let delivery = self.sender.deliveries.begin(
            reply.user,
            reply.id,
            number(texts.len()),
            has_slot,
            while_suspended(reply),
            now,
        );
        let Some(outgoing) = delivery.await.map_err(store_failure)? else {
            return self.send_to_nobody(reply).await;
        };
        if outgoing.is_suspended {
            return Err(self.sender.refresh_and_park(reply.user).await);
        }
        if !outgoing.has_chat {
            info!(reply.id = %reply.id, "the user of reply {} has only called, and asked for no message", reply.id);
            return Ok(SendOutcome::Failed { code: None });
        }
        let mut previous = None;
        let is_in_template = outgoing.is_in_template();
        // A reply that has begun as a template stays one, also after the user has written.
        let last_written_at = outgoing.last_written_at.filter(|_| !is_in_template);
        let messages = messages_of(texts, self.template.as_ref(), last_written_at, now);
        let ids: Vec<_> = outgoing.pieces.iter().map(|piece| piece.id).collect();
        for (delivery, message) in outgoing.pieces.into_iter().zip(messages) {
            let id = delivery.id;
            let is_settled = delivery.state.is_settled();
            if let Some(previous) = previous.filter(|_| !is_settled) {
                let outcome = self.sender.await_arrival(previous, attempt).await?;
                if outcome != SendOutcome::Accepted {
                    return Ok(outcome);
                }
            }
            let is_first = delivery.index == 0;
            let piece = Piece {
                user: reply.user,
                to: &outgoing.address,
                message,
                has_slot: has_slot && is_first,
                while_suspended: while_suspended(reply),
                rest: ids.iter().skip(1).copied().filter(|_| is_first).collect(),
                claimed_at: (outgoing.claimed_first && is_first).then_some(began),
                delivery,
            };
            let outcome = self.sender.send(piece, attempt).await?;
            if outcome != SendOutcome::Accepted {
                return Ok(outcome);
            }
            previous = Some(id);
        }
        Ok(if is_in_template {
            SendOutcome::AcceptedAsTemplate
        } else {
            SendOutcome::Accepted
        })
    }

    /// The outcome for a user to whom no reply is sent.
    async fn send_to_nobody(&self, reply: &ReplyProduced) -> Result<SendOutcome, HandlerError> {
        let deliveries = &self.sender.deliveries;
        let is_blocked = deliveries.is_blocked(reply.user).await;
        if is_blocked.map_err(store_failure)? {
            return Ok(SendOutcome::Blocked);
        }
        // The refusal of whom it was for is deleted after a month, and a parked answer may be older.
        if reply.source == ReplySource::Notice {
            info!(reply.id = %reply.id, "nobody is known any more for the notice {}", reply.id);
            return Ok(SendOutcome::Failed { code: None });
        }
        Err(HandlerError::reject(anyhow!(
            "the reply is for an unknown user"
        )))
    }

    async fn announce_delivery(
        &self,
        reply: &ReplyProduced,
        pieces: usize,
    ) -> Result<(), HandlerError> {
        let delivered = ReplyDelivered {
            reply: reply.id,
            user: reply.user,
            cause: reply.cause,
            pieces: number(pieces),
        };
        self.publisher.publish(&delivered).await?;
        REPLIES.increment(["delivered", reply.source.as_str()]);
        info!(reply.id = %reply.id, pieces, "reply {} was sent", reply.id);
        Ok(())
    }

    async fn announce_failure(
        &self,
        reply: &ReplyProduced,
        outcome: &'static str,
        code: Option<i64>,
    ) -> Result<(), HandlerError> {
        let failed = ReplyFailed {
            reply: reply.id,
            user: reply.user,
            code,
        };
        self.publisher.publish(&failed).await?;
        REPLIES.increment([outcome, reply.source.as_str()]);
        Ok(())
    }
}

/// Never saturates, since a reply has at most a dozen pieces.
fn number(pieces: usize) -> u32 {
    u32::try_from(pieces).unwrap_or(u32::MAX)
}
