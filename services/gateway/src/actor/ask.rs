use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use claw_agent::{History, RunFailure};
use claw_bus::HandlerError;
use claw_chat::{Batch, Notice, confirm_stop};
use claw_domain::{Origin, ReplyId, SandboxId, UserId, VoiceKind};
use claw_events::{OperatorEvent, TurnFailed};
use claw_metrics::{MESSAGES_DONE, TURNS};
use claw_store::NewReply;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    Flow, PendingTurn, UserActor,
    call::{as_follow_up, note_of},
};
use crate::{
    proactive::{around, proactive_texts},
    reply::{notice_of_failure, notice_reply},
    session::Session,
    turn::{Answer, Ended, Turn, answer_id},
};

/// How long a turn that keeps failing is retried. Longer than any outage an operator would sit out. Waiting
/// for a place or for a sandbox to start is no failure.
const GIVE_UP_AFTER: Duration = Duration::from_hours(24);

impl UserActor {
    /// Sends a batch to the assistant as soon as the sandbox is ready, and passes on the answer. `start` is
    /// the permit to connect to the sandbox.
    pub(super) async fn ask(
        &mut self,
        batch: &Batch,
        start: Option<OwnedSemaphorePermit>,
    ) -> Result<Flow, HandlerError> {
        // The user said "stop" before the turn began.
        if !batch.may_have_been_sent && confirm_stop(&mut self.queue) {
            return Ok(Flow::Continue);
        }
        if !self.is_sandbox_ready(batch.first).await? {
            return Ok(self.wait_for_sandbox());
        }
        if self.has_disabled_key() {
            return Ok(self.wait_for_key());
        }
        let pending = self.pending_turn.take();
        let failing_since = pending
            .filter(|pending| pending.messages == batch.members)
            .and_then(|pending| pending.failing_since);
        self.pending_turn = Some(PendingTurn {
            messages: batch.members.clone(),
            failing_since,
        });
        match self.ask_now(batch, failing_since, start).await {
            Ok(flow) => {
                self.pending_turn = None;
                Ok(flow)
            }
            Err(HandlerError::Retry { source, .. })
                if self.settling.is_none()
                    && failing_since.is_some_and(|since| since.elapsed() > GIVE_UP_AFTER) =>
            {
                Err(HandlerError::reject(
                    source.context("giving up after a day"),
                ))
            }
            Err(error) => {
                if let Some(pending) = &mut self.pending_turn {
                    pending.failing_since.get_or_insert_with(Instant::now);
                }
                Err(error)
            }
        }
    }

    async fn ask_now(
        &mut self,
        batch: &Batch,
        failing_since: Option<Instant>,
        start: Option<OwnedSemaphorePermit>,
    ) -> Result<Flow, HandlerError> {
        let (sandbox, session) = match self.connect().await {
            Ok(connected) => connected,
            Err(error) => {
                let still_waking_after = self.context.policy.still_waking_after;
                let is_unreachable =
                    failing_since.is_some_and(|since| since.elapsed() > still_waking_after);
                if is_unreachable && batch.origin.is_written() {
                    self.publish_notice(Notice::WakingUp, batch.first).await?;
                }
                return Err(error);
            }
        };
        // A turn may take long, and other users need the permit.
        drop(start);
        let before = self.connection.cursor();
        let turn = Turn {
            session: &session,
            tenure: &self.tenure,
            sandbox,
            message: batch.first,
            text: &batch.text,
            call: batch.origin.call_turn(),
            note: note_of(&batch.origin, batch.heard.as_ref()),
            before: before.as_ref(),
            asks_again: self.may_be_aborted(batch).await?,
            limits: self.context.policy.limits,
        };
        if batch.may_have_been_sent && !batch.is_recorded && !turn.was_sent().await? {
            // The messages behind this batch were not sent either, so all can be batched.
            for item in &mut self.queue {
                item.may_have_been_sent = item.batch.is_some();
            }
            return Ok(Flow::Continue);
        }
        let has_several = batch.members.len() > 1;
        if has_several && !batch.is_recorded {
            let messages = self.context.store.messages();
            messages
                .form_batch(self.user, batch.first, &batch.members)
                .await?;
        }
        for item in &mut self.queue {
            if batch.members.contains(&item.id) {
                item.may_have_been_sent = true;
                item.batch = has_several.then_some(batch.first);
            }
        }
        let began_at = self.context.clock.now();
        let (ended, notices) = self.run_turn(&turn, batch).await;
        for reply in notices {
            if self.notices_sent.iter().all(|sent| sent.id != reply.id) {
                self.notices_sent.push(reply);
            }
        }
        let Some(ended) = ended? else {
            // The messages wait for the end of the suspension.
            return Ok(Flow::Continue);
        };
        if self.is_lost_to_suspension(&ended.answer, began_at).await? {
            // They are asked again as soon as the sandbox's row says that the key is enabled.
            self.mailbox.reread_sandbox();
            return Ok(Flow::Continue);
        }
        self.finish(sandbox, &session, batch, ended).await
    }

    /// Whether a turn failed because the user's model key was disabled: before this process heard of the suspension, or
    /// for a suspension that is over already.
    async fn is_lost_to_suspension(
        &self,
        answer: &Answer,
        began_at: DateTime<Utc>,
    ) -> Result<bool, HandlerError> {
        let Answer::Failed(failure) = answer else {
            return Ok(false);
        };
        self.context.suspensions.refresh().await?;
        if self.context.suspensions.is_suspended(self.user) {
            return Ok(true);
        }
        if *failure != RunFailure::Auth {
            return Ok(false);
        }
        let suspensions = self.context.store.suspensions();
        let was_suspended = suspensions.has_suspended_since(self.user, began_at);
        Ok(was_suspended.await?)
    }

    /// Whether a run of this batch may have been aborted by a suspension: it was sent before, and a suspension has begun
    /// since it was taken.
    async fn may_be_aborted(&self, batch: &Batch) -> Result<bool, HandlerError> {
        let first = self.queue.iter().find(|item| item.id == batch.first);
        let Some(first) = first.filter(|_| batch.may_have_been_sent) else {
            return Ok(false);
        };
        let suspensions = self.context.store.suspensions();
        let is_suspended = suspensions.has_suspended_since(self.user, first.taken_at);
        Ok(is_suspended.await?)
    }

    /// Passes on the result of a turn and the proactive messages written meanwhile.
    async fn finish(
        &mut self,
        sandbox: SandboxId,
        session: &Session,
        batch: &Batch,
        ended: Ended,
    ) -> Result<Flow, HandlerError> {
        let Ended { answer, history } = ended;
        let is_over = matches!(answer, Answer::Lost | Answer::Silent);
        let is_stopped = is_over && self.is_stop_requested();
        let answer = if !matches!(answer, Answer::Lost) {
            answer
        } else if self.is_spoken_over(&batch.origin) {
            Answer::SpokenOver
        } else if is_stopped {
            Answer::Stopped
        } else {
            answer
        };
        if is_stopped {
            // The command may still be in the mailbox.
            self.take_mail().await?;
            confirm_stop(&mut self.queue);
        }
        let row = answer.row().map(str::to_owned);
        let mut replies = self.replies_of(sandbox, batch, answer).await?;
        if matches!(
            batch.origin,
            Origin::Voice {
                kind: VoiceKind::CallEnded,
                ..
            }
        ) {
            as_follow_up(&mut replies);
        }
        let channel = self.channel_of(&batch.origin).await?;
        self.report_unanswered(channel, &mut replies).await?;
        MESSAGES_DONE.add(batch.members.len() as u64, ["turn"]);
        let mut transcript = None;
        if let Some(history) = &history {
            replies = self
                .with_proactive(sandbox, history, row.as_deref(), replies)
                .await?;
            let boot_id = session.handle().boot_id();
            transcript = self.connection.move_to_end_of(history, sandbox, boot_id);
        }
        self.settle(batch.members.clone(), replies, channel, transcript)
            .await?;
        Ok(Flow::Continue)
    }

    /// The replies to a turn and the proactive messages since the last reading, in the order of the
    /// transcript.
    async fn with_proactive(
        &mut self,
        sandbox: SandboxId,
        history: &History,
        row: Option<&str>,
        answer: Vec<NewReply>,
    ) -> Result<Vec<NewReply>, HandlerError> {
        let (before, after) = around(history, row, proactive_texts(history, sandbox));
        let early: HashSet<ReplyId> = before.iter().map(|text| text.id).collect();
        let proactive = self
            .filter(sandbox, before.into_iter().chain(after).collect())
            .await?;
        let (mut replies, late): (Vec<_>, Vec<_>) = proactive
            .into_iter()
            .partition(|reply| early.contains(&reply.id));
        replies.extend(answer);
        replies.extend(late);
        Ok(replies)
    }

    /// The replies that give the user the answer. Failures are published, and told to the operator where he can help.
    async fn replies_of(
        &self,
        sandbox: SandboxId,
        batch: &Batch,
        answer: Answer,
    ) -> Result<Vec<NewReply>, HandlerError> {
        let cause = batch.first;
        // A successor may find another result of the turn. Both replies have one id, so the user gets one.
        let instead = |notice: Notice| NewReply {
            id: answer_id(sandbox, cause),
            ..notice_reply(notice, cause)
        };
        let (label, replies) = match answer {
            Answer::Said { reply, .. } => ("said", vec![reply]),
            Answer::Silent => ("silent", Vec::new()),
            Answer::Failed(failure) => {
                let failed = TurnFailed {
                    user: self.user,
                    sandbox,
                    cause,
                    failure: failure.as_str().to_owned(),
                };
                self.context.publisher.publish(&failed).await?;
                if let Some(event) = operator_event_of(failure, self.user, sandbox) {
                    self.context.publisher.tell_operator(&event).await;
                }
                (failure.as_str(), vec![instead(notice_of_failure(failure))])
            }
            // The caller hears the answer to their next utterance instead.
            Answer::SpokenOver => ("spoken_over", Vec::new()),
            // The user gets the answer to the command "stop" instead.
            Answer::Stopped => ("stopped", Vec::new()),
            Answer::Lost => ("lost", vec![instead(Notice::LostThread)]),
        };
        TURNS.increment([label]);
        Ok(replies)
    }
}

/// What the operator must know of a failed turn. Other failures pass by themselves, or are counted.
const fn operator_event_of(
    failure: RunFailure,
    user: UserId,
    sandbox: SandboxId,
) -> Option<OperatorEvent> {
    match failure {
        RunFailure::Billing => Some(OperatorEvent::ModelKeySpent { user, sandbox }),
        RunFailure::Auth => Some(OperatorEvent::ModelKeyRefused { user, sandbox }),
        RunFailure::ModelNotFound
        | RunFailure::RateLimit
        | RunFailure::ServerError
        | RunFailure::Timeout
        | RunFailure::Other => None,
    }
}
