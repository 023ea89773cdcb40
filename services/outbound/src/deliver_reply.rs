use anyhow::anyhow;
use async_trait::async_trait;
use claw_bus::{Attempt, Handler, HandlerError, Publisher};
use claw_calls::LiveCalls;
use claw_domain::{CallId, Channel};
use claw_events::{ReplyDelivered, ReplyFailed, ReplyProduced, TurnStanding};
use claw_whatsapp::send::Template;
use metrics::counter;
use tracing::info;

use crate::{
    forms::forms_of,
    pieces::pieces_of,
    send_piece::{Fate, Piece, PieceSender},
    speech::speech_of,
    trouble::of_store,
};

/// Says each reply to its person.
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
        if let Channel::Voice { call, turn } = reply.channel
            && self.speak(reply, call, turn).await?
        {
            return self.announce_delivery(reply, 1).await;
        }
        // Also what was said to a caller only in part, or too late.
        self.write(reply, attempt).await
    }
}

impl DeliverReply {
    /// A handler that sends through `sender` and tells what became of it; in `template`, where nothing else
    /// passes.
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

    /// Lays what is good to hear of the reply ready for the caller. Whether that is all of it, and in time.
    async fn speak(
        &self,
        reply: &ReplyProduced,
        call: CallId,
        turn: u32,
    ) -> Result<bool, HandlerError> {
        let speech = speech_of(reply.text.expose());
        let standing = self.live_calls.answer(call, turn, speech).await?;
        let (label, is_all) = match standing {
            TurnStanding::Speech(speech) if speech.is_cut => ("cut", false),
            TurnStanding::Speech(_) => ("whole", true),
            TurnStanding::GivenUp | TurnStanding::Failed | TurnStanding::SeeCall => ("late", false),
        };
        counter!("claw_speech_total", "outcome" => label).increment(1);
        Ok(is_all)
    }

    /// Writes the reply into the person's chat.
    async fn write(&self, reply: &ReplyProduced, attempt: &Attempt) -> Result<(), HandlerError> {
        let texts = pieces_of(reply.text.expose());
        match self.say(reply, &texts, attempt).await? {
            Fate::Taken => self.announce_delivery(reply, texts.len()).await,
            Fate::TakenInTemplate => self.announce_delivery(reply, 1).await,
            Fate::Failed { code } => self.announce_failure(reply, code).await,
        }
    }

    /// Sends the pieces strictly in order. One that fails ends the reply: the rest alone would mislead. So
    /// does a template, which speaks for all of them; the rows of the others stay as they are.
    async fn say(
        &self,
        reply: &ReplyProduced,
        texts: &[String],
        attempt: &Attempt,
    ) -> Result<Fate, HandlerError> {
        let now = self.sender.clock.now();
        let outgoing = self
            .sender
            .deliveries
            .begin(reply.user, reply.id, number(texts.len()), now)
            .await
            .map_err(of_store)?
            .ok_or_else(|| HandlerError::reject(anyhow!("a reply for an unknown user")))?;
        let mut previous = None;
        let last_written_at = outgoing.last_written_at;
        let wordings = forms_of(texts, self.template.as_ref(), last_written_at, now);
        for (delivery, wording) in outgoing.pieces.into_iter().zip(wordings) {
            let id = delivery.id;
            let is_settled = delivery.state.is_settled();
            if let Some(previous) = previous.filter(|_| !is_settled) {
                let fate = self.sender.await_arrival(previous, attempt).await?;
                if fate != Fate::Taken {
                    return Ok(fate);
                }
            }
            let piece = Piece {
                to: &outgoing.address,
                wording,
                is_claimed: outgoing.claimed_first && delivery.index == 0,
                delivery,
            };
            let fate = self.sender.send(piece, attempt).await?;
            if fate != Fate::Taken {
                return Ok(fate);
            }
            previous = Some(id);
        }
        Ok(Fate::Taken)
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
        counter!("claw_replies_total", "outcome" => "delivered", "source" => reply.source.as_str())
            .increment(1);
        info!(reply.id = %reply.id, pieces, "reply {} is with WhatsApp", reply.id);
        Ok(())
    }

    async fn announce_failure(
        &self,
        reply: &ReplyProduced,
        code: Option<i64>,
    ) -> Result<(), HandlerError> {
        let failed = ReplyFailed {
            reply: reply.id,
            user: reply.user,
            code,
        };
        self.publisher.publish(&failed).await?;
        counter!("claw_replies_total", "outcome" => "failed", "source" => reply.source.as_str())
            .increment(1);
        Ok(())
    }
}

/// Pieces are limited to a dozen.
fn number(pieces: usize) -> u32 {
    u32::try_from(pieces).unwrap_or(u32::MAX)
}
