use claw_bus::HandlerError;
use claw_chat::{Notice, Plan};
use claw_domain::{CallId, Channel, MessageId, Origin, ReplyId, ReplySource, Sensitive, VoiceKind};
use claw_events::TurnStatus;
use claw_metrics::SPOKEN_ANSWERS;
use claw_store::{Disposition, NewReply};

use super::{Flow, UserActor};
use crate::{
    item::{CallWarning, warning_of},
    turn::answer_id,
};

/// The message to the assistant at the end of a call.
const CALL_IS_OVER: &str = "(The phone call is over.)";

/// The note to the assistant on spoken messages.
const SPOKEN: &str = "This was said to you on the phone, and your answer is read out. Answer in one to \
    three short sentences as people speak: no lists, no notation, no links, no emoji. For anything longer \
    say what matters and offer to write the rest on WhatsApp.";

/// The note to the assistant on the end of a call.
const OVER: &str = "The caller has hung up and hears nothing more. If the call left something to be had \
    in writing (what you promised, a summary of what was agreed), write it now, briefly: it goes to their \
    WhatsApp chat, where they also find an answer of yours that they did not stay to hear. If not, answer \
    NO_REPLY and nothing else.";

/// Longest quotation of an answer that was spoken over. No answer is spoken for longer.
const MOST_HEARD_CHARS: usize = 600;

impl UserActor {
    /// Puts a caller through as soon as their assistant is ready.
    pub(super) async fn put_through(
        &mut self,
        message: MessageId,
        call: CallId,
    ) -> Result<Flow, HandlerError> {
        if !self.is_sandbox_ready(message).await? {
            return Ok(self.wait_for_sandbox());
        }
        // A caller who has hung up gets a notice instead, when the queue reaches the end of their call.
        if self.is_live(call).await? {
            let ready = self.context.ready_for(self.user).await?;
            self.context.live_calls.set_status(call, ready).await?;
        }
        self.close(vec![message], Vec::new()).await
    }

    /// Wraps up a call that has ended and whose turns are all settled: writes an unheard answer in the chat,
    /// then asks the assistant whether it has something to add. Neither, if we may not write to the user.
    pub(super) async fn wrap_up(
        &mut self,
        message: MessageId,
        call: CallId,
    ) -> Result<Flow, HandlerError> {
        if !self.context.has_chat(self.user).await? {
            return self.close(vec![message], Vec::new()).await;
        }
        if let Some(reply) = self.unheard(message, call).await?
            && self.publish_once(reply).await?
        {
            SPOKEN_ANSWERS.increment(["unheard"]);
        }
        if let Some(item) = self.queue.iter_mut().find(|item| item.id == message) {
            item.plan = Plan::Ask(CALL_IS_OVER.into());
        }
        Ok(Flow::Continue)
    }

    /// Tells the user about a call whose caller may have been somebody else.
    pub(super) async fn warn(
        &mut self,
        message: MessageId,
        call: CallId,
    ) -> Result<Flow, HandlerError> {
        let known = self.context.store.calls().of(call).await?;
        let Some((known, warning)) = known.and_then(|known| {
            let warning = warning_of(&known)?;
            Some((known, warning))
        }) else {
            return self.close(vec![message], Vec::new()).await;
        };
        let zone = self.preferences().await?.zone;
        let notice = match warning {
            CallWarning::CalledAsUser => Notice::CalledAsYou(zone, known.started_at),
            CallWarning::WrongPin => Notice::WrongPin(zone, known.started_at),
        };
        self.say(message, notice).await
    }

    /// The answer to the last turn of an ended call, if the caller has neither heard nor read it. May be
    /// repeated: the reply is the same.
    async fn unheard(
        &self,
        cause: MessageId,
        call: CallId,
    ) -> Result<Option<NewReply>, HandlerError> {
        let store = &self.context.store;
        let (Some(known), Some(sandbox)) = (store.calls().of(call).await?, &self.sandbox) else {
            return Ok(None);
        };
        let turn = known.last_turn;
        let live_calls = &self.context.live_calls;
        // If the live call has no answer by now, the turn itself writes its answer in the chat.
        let status = live_calls.settle(call, turn, TurnStatus::GivenUp).await?;
        let heard = live_calls.last_heard(call).await?;
        if !is_unheard(&status, turn, heard) {
            return Ok(None);
        }
        let answer = answer_id(sandbox.id, MessageId::of_utterance(call, turn));
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

    /// The channel for the answer to a message of this origin: the call, as long as it is live.
    pub(super) async fn channel_of(&self, origin: &Origin) -> Result<Channel, HandlerError> {
        match origin.call_turn() {
            Some((call, turn)) if self.is_live(call).await? => Ok(Channel::Voice { call, turn }),
            Some(_) | None => Ok(Channel::WhatsApp),
        }
    }

    /// Tells a live call that its turn has no answer: the caller is not kept waiting, and hears of a failure
    /// in their own language. Removes notices from `replies` that the call says itself.
    pub(super) async fn report_unanswered(
        &self,
        channel: Channel,
        replies: &mut Vec<NewReply>,
    ) -> Result<(), HandlerError> {
        let Channel::Voice { call, turn } = channel else {
            return Ok(());
        };
        let status = if replies.is_empty() {
            TurnStatus::SeeCall
        } else if replies.iter().all(|it| it.source == ReplySource::Notice) {
            TurnStatus::Failed
        } else {
            return Ok(());
        };
        let live_calls = &self.context.live_calls;
        // If the caller has stopped waiting, the notice goes to the chat.
        if live_calls.settle(call, turn, status).await? == TurnStatus::Failed {
            replies.clear();
        }
        Ok(())
    }

    async fn is_live(&self, call: CallId) -> Result<bool, HandlerError> {
        let call = self.context.store.calls().of(call).await?;
        Ok(call.is_some_and(|call| call.end.is_none()))
    }
}

/// The note to the assistant on how a message arrived.
pub(super) fn note_of(
    origin: &Origin,
    heard: Option<&Sensitive<String>>,
) -> Option<Sensitive<String>> {
    let Origin::Voice { kind, .. } = origin else {
        return None;
    };
    let note = match (kind, heard) {
        (VoiceKind::Speech, None) => SPOKEN.into(),
        (VoiceKind::Speech, Some(heard)) => {
            let heard: String = heard.expose().chars().take(MOST_HEARD_CHARS).collect();
            format!(
                "{SPOKEN} They spoke over your last answer and heard only this of it: \"{heard}\""
            )
            .into()
        }
        (VoiceKind::CallStarted | VoiceKind::CallEnded | VoiceKind::CallWarning, _) => OVER.into(),
    };
    Some(note)
}

/// Whether the last turn has an answer that is stored only in the live call and was not spoken.
fn is_unheard(status: &TurnStatus, turn: u32, heard: Option<u32>) -> bool {
    match status {
        TurnStatus::Speech(speech) => !speech.is_cut && heard.is_none_or(|heard| heard < turn),
        TurnStatus::GivenUp | TurnStatus::Failed | TurnStatus::SeeCall => false,
    }
}

/// Turns replies to the end of a call into follow-ups. Nobody waits for them, so notices of failures are
/// left out.
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
    fn a_note_quotes_no_more_of_an_answer_than_is_ever_spoken() {
        let origin = Origin::Voice {
            call: CallId::derived_from("CA1"),
            turn: 2,
            kind: VoiceKind::Speech,
        };
        let note = |heard: String| {
            note_of(&origin, Some(&heard.into()))
                .unwrap()
                .into_exposed()
        };

        assert!(note("Two rotis,".to_owned()).ends_with(": \"Two rotis,\""));
        assert_eq!(note("ä".repeat(600)), note("ä".repeat(100_000)));
    }

    #[test]
    fn an_answer_only_in_the_live_call_is_unheard_unless_it_or_a_later_one_was_heard() {
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
