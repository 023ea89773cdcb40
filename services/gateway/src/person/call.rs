use claw_bus::HandlerError;
use claw_domain::{CallId, Channel, MessageId, ReplySource, Sensitive};
use claw_events::CallStanding;
use claw_store::NewReply;

use super::{Person, Then};
use crate::queue::Way;

/// What the assistant is told of words that were spoken.
const SPOKEN: &str = "This was said to you on the phone, and your answer is read out. Answer in one to \
    three short sentences as people speak: no lists, no notation, no links, no emoji. For anything longer \
    say what matters and offer to write the rest on WhatsApp.";

/// What the assistant is told when a call is over.
const OVER: &str = "The caller has hung up and hears nothing more. If the call left something to be had \
    in writing (what you promised, a summary of what was agreed), write it now, briefly: it goes to their \
    WhatsApp chat. If not, answer NO_REPLY and nothing else.";

impl Person {
    /// Puts a caller through, as soon as their assistant is there.
    pub(super) async fn put_through(
        &mut self,
        message: MessageId,
        call: CallId,
    ) -> Result<Then, HandlerError> {
        if self.ready_sandbox(message).await?.is_none() {
            self.link.hang_up();
            return Ok(self.wait_for_sandbox());
        }
        // Whoever has hung up hears of it when the end of their call has its turn.
        if self.is_live(call).await? {
            let written = self.desk.calls.put(call, CallStanding::Ready).await;
            written.map_err(HandlerError::retry)?;
        }
        self.close(vec![message], Vec::new()).await
    }

    /// Where the answer to something that came this way goes now.
    pub(super) async fn channel_of(&self, way: &Way) -> Result<Channel, HandlerError> {
        match way {
            Way::Call { call, turn, .. } if self.is_live(*call).await? => Ok(Channel::Voice {
                call: *call,
                turn: *turn,
            }),
            Way::Call { .. } | Way::Chat(_) | Way::AfterCall => Ok(Channel::WhatsApp),
        }
    }

    async fn is_live(&self, call: CallId) -> Result<bool, HandlerError> {
        let call = self.desk.store.calls().of(call).await?;
        Ok(call.is_some_and(|call| call.end.is_none()))
    }
}

/// What the assistant alone is told of how something came.
pub(super) fn note_of(way: &Way) -> Option<Sensitive<String>> {
    match way {
        Way::Chat(_) => None,
        Way::Call { heard: None, .. } => Some(SPOKEN.into()),
        Way::Call {
            heard: Some(heard), ..
        } => Some(
            format!(
                "{SPOKEN} They spoke over your last answer and heard only this of it: \"{}\"",
                heard.expose()
            )
            .into(),
        ),
        Way::AfterCall => Some(OVER.into()),
    }
}

/// What is said after a call nobody waits for: a failure stays unsaid.
pub(super) fn as_follow_up(replies: &mut Vec<NewReply>) {
    replies.retain(|reply| reply.source == ReplySource::Chat);
    for reply in replies {
        reply.source = ReplySource::VoiceFollowup;
    }
}
