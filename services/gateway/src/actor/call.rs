use claw_bus::HandlerError;
use claw_domain::{CallId, Channel, MessageId, ReplyId, ReplySource, Sensitive};
use claw_events::TurnStatus;
use claw_store::{Disposition, NewReply};
use metrics::counter;

use super::{Then, UserActor};
use crate::{
    plan::{CALL_IS_OVER, Plan},
    queue::Way,
    reply::publish_reply,
    turn::answer_id,
};

/// What the assistant is told of words that were spoken.
const SPOKEN: &str = "This was said to you on the phone, and your answer is read out. Answer in one to \
    three short sentences as people speak: no lists, no notation, no links, no emoji. For anything longer \
    say what matters and offer to write the rest on WhatsApp.";

/// What the assistant is told when a call is over.
const OVER: &str = "The caller has hung up and hears nothing more. If the call left something to be had \
    in writing (what you promised, a summary of what was agreed), write it now, briefly: it goes to their \
    WhatsApp chat, where they also find an answer of yours that they did not stay to hear. If not, answer \
    NO_REPLY and nothing else.";

impl UserActor {
    /// Puts a caller through, as soon as their assistant is there.
    pub(super) async fn put_through(
        &mut self,
        message: MessageId,
        call: CallId,
    ) -> Result<Then, HandlerError> {
        if self.ready_sandbox(message).await?.is_none() {
            self.connection.hang_up();
            return Ok(self.wait_for_sandbox());
        }
        // Whoever has hung up hears of it when the end of their call has its turn.
        if self.is_live(call).await? {
            let ready = self.context.ready_for(self.user).await?;
            self.context.live_calls.set_status(call, ready).await?;
        }
        self.close(vec![message], Vec::new()).await
    }

    /// The call is over, and every turn of it is settled. What was laid ready for the caller and not fetched
    /// before they hung up is written to their chat; then it is the assistant's turn to add to it.
    pub(super) async fn wrap_up(
        &mut self,
        message: MessageId,
        call: CallId,
    ) -> Result<Then, HandlerError> {
        if let Some(reply) = self.unheard(message, call).await?
            && self.told.iter().all(|told| told.id != reply.id)
        {
            counter!("claw_speech_total", "outcome" => "unheard").increment(1);
            let publisher = &self.context.publisher;
            publish_reply(publisher, self.user, &reply, Channel::WhatsApp).await?;
            self.told.push(reply);
        }
        if let Some(item) = self.queue.iter_mut().find(|item| item.id == message) {
            item.plan = Plan::Ask(CALL_IS_OVER.into());
        }
        Ok(Then::Again)
    }

    /// The answer to the last turn of a call that is over, if nobody has heard or read it. It is the same
    /// reply however often this is asked.
    async fn unheard(
        &self,
        cause: MessageId,
        call: CallId,
    ) -> Result<Option<NewReply>, HandlerError> {
        let store = &self.context.store;
        let (Some(known), Some(sandbox)) = (store.calls().of(call).await?, self.sandbox_id())
        else {
            return Ok(None);
        };
        let turn = known.last_turn;
        let live_calls = &self.context.live_calls;
        // What is not laid ready by now is not waited for, and written where it comes from.
        let came = live_calls.give_up(call, turn).await?;
        let heard = live_calls.last_heard(call).await?;
        if !is_unheard(&came, turn, heard) {
            return Ok(None);
        }
        let answer = answer_id(sandbox, MessageId::of_utterance(call, turn));
        let text = store.messages().published_text(self.user, answer).await?;
        Ok(text.map(|text| NewReply {
            id: ReplyId::derived_from(&format!("unheard:{answer}")),
            text,
            source: ReplySource::VoiceFollowup,
            run_id: None,
            cause: Some(cause),
            disposition: Disposition::Published,
        }))
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

    /// In a call, what is no answer is not read out: the caller need not wait for what is not said, and hears
    /// in their own language that the assistant failed.
    pub(super) async fn tell_in_call(
        &self,
        answer: &mut Vec<NewReply>,
    ) -> Result<(), HandlerError> {
        let Channel::Voice { call, turn } = self.answers_go else {
            return Ok(());
        };
        let live_calls = &self.context.live_calls;
        if answer.is_empty() {
            live_calls.refer_to_call(call, turn).await?;
        } else if answer.iter().all(|it| it.source == ReplySource::Notice) {
            let came = live_calls.fail(call, turn).await?;
            // Whoever waits no longer is told why in the chat.
            if came == TurnStatus::Failed {
                answer.clear();
            }
        }
        Ok(())
    }

    async fn is_live(&self, call: CallId) -> Result<bool, HandlerError> {
        let call = self.context.store.calls().of(call).await?;
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

/// Whether what came of the last turn is an answer that is nowhere but in the call, and was not said in it.
fn is_unheard(came: &TurnStatus, turn: u32, heard: Option<u32>) -> bool {
    match came {
        TurnStatus::Speech(speech) => !speech.is_cut && heard.is_none_or(|heard| heard < turn),
        TurnStatus::GivenUp | TurnStatus::Failed | TurnStatus::SeeCall => false,
    }
}

/// What is said after a call nobody waits for: a failure stays unsaid.
pub(super) fn as_follow_up(replies: &mut Vec<NewReply>) {
    replies.retain(|reply| reply.source == ReplySource::Chat);
    for reply in replies {
        reply.source = ReplySource::VoiceFollowup;
    }
}

#[cfg(test)]
mod tests {
    use claw_events::Speech;

    use super::*;

    #[test]
    fn an_answer_is_unheard_when_it_is_in_the_call_alone_and_nothing_later_was_heard() {
        let speech = |is_cut| {
            TurnStatus::Speech(Speech {
                text: "Yes.".into(),
                is_cut,
            })
        };

        assert!(is_unheard(&speech(false), 3, None));
        assert!(is_unheard(&speech(false), 3, Some(2)));
        for heard in [3, 1000] {
            assert!(!is_unheard(&speech(false), 3, Some(heard)), "{heard}");
        }
        let (given_up, failed) = (TurnStatus::GivenUp, TurnStatus::Failed);
        for other in [speech(true), given_up, failed, TurnStatus::SeeCall] {
            assert!(!is_unheard(&other, 3, None), "{other:?}");
        }
    }
}
