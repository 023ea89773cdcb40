use std::{collections::HashSet, time::Duration};

use claw_agent::History;
use claw_bus::HandlerError;
use claw_chat::{Command, Notice};
use claw_domain::{Channel, MessageId, ReplyId, SandboxId, SandboxStatus};
use claw_events::{SandboxRequested, TurnFailed, TypingStarted};
use claw_store::NewReply;
use metrics::counter;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::{
    Then, Trying, UserActor,
    call::{as_follow_up, note_of},
};
use crate::{
    plan::Plan,
    proactive::{around, proactive_texts},
    provisioning::{Request, SetupNotice, setup_step},
    queue::{Batch, Item, Way, keep_before_stop},
    reply::{notice_of_failure, notice_reply, publish_reply},
    session::Session,
    turn::{Answer, Ended, Turn, answer_id},
};

/// Meta shows typing for 25 s at most.
const TYPING_EVERY: Duration = Duration::from_secs(20);

/// How often a turn that is to be stopped, and does not run yet, is stopped again.
const STOP_EVERY: Duration = Duration::from_secs(1);

/// After this long without a connection to their sandbox a person hears that it is starting up. Many a
/// restart is over sooner.
const UNANSWERED_AFTER: Duration = Duration::from_secs(4);

/// How long a turn that fails is tried, without a break. Longer than any outage an operator would sit
/// out; waiting for room or for a sandbox to start is no failure.
const GIVE_UP_AFTER: Duration = Duration::from_hours(24);

impl UserActor {
    /// Puts messages to the assistant, once it is there, and passes on what it says.
    pub(super) async fn ask(&mut self, batch: Batch) -> Result<Then, HandlerError> {
        // Stopped before it began.
        if !batch.may_have_been_sent && keep_before_stop(&mut self.queue) {
            return Ok(Then::Again);
        }
        let Some(sandbox) = self.ready_sandbox(batch.first).await? else {
            self.connection.hang_up();
            return Ok(self.wait_for_sandbox());
        };
        let same = self
            .trying
            .take()
            .filter(|trying| trying.messages == batch.members);
        let failing_since = same.and_then(|trying| trying.failing_since);
        self.trying = Some(Trying {
            messages: batch.members.clone(),
            failing_since,
        });
        let outcome = self.ask_at(sandbox, &batch).await;
        match outcome {
            Ok(then) => {
                self.trying = None;
                Ok(then)
            }
            Err(HandlerError::Retry { source, .. })
                if self.settling.is_none()
                    && failing_since.is_some_and(|since| since.elapsed() > GIVE_UP_AFTER) =>
            {
                Err(HandlerError::Reject {
                    source: anyhow::anyhow!("given up after a day: {source:#}"),
                })
            }
            Err(error) => {
                if let Some(trying) = &mut self.trying {
                    trying.failing_since.get_or_insert_with(Instant::now);
                }
                Err(error)
            }
        }
    }

    async fn ask_at(&mut self, sandbox: SandboxId, batch: &Batch) -> Result<Then, HandlerError> {
        let session = match self.connect().await {
            Ok(session) => session,
            Err(error) => {
                let since = self.trying.as_ref().and_then(|trying| trying.failing_since);
                let is_written = matches!(batch.way, Way::Chat(_));
                if is_written && since.is_some_and(|since| since.elapsed() > UNANSWERED_AFTER) {
                    self.tell(Notice::WakingUp, batch.first).await?;
                }
                return Err(error);
            }
        };
        // A turn may take long, and others want to start.
        self.starting = None;
        let before = self.connection.cursor();
        let turn = Turn {
            session: &session,
            tenure: &self.tenure,
            sandbox,
            message: batch.first,
            text: &batch.text,
            aloud: match batch.way {
                Way::Call { call, turn, .. } => Some((call, turn)),
                Way::Chat(_) | Way::AfterCall => None,
            },
            note: note_of(&batch.way),
            before: before.as_ref(),
            limits: self.context.policy.limits,
        };
        if batch.may_have_been_sent && !batch.is_noted && !turn.was_sent().await? {
            // Nor was anything behind it: now they may go together.
            for item in &mut self.queue {
                item.may_have_been_sent = item.batch.is_some();
            }
            return Ok(Then::Again);
        }
        if batch.members.len() > 1 && !batch.is_noted {
            let messages = self.context.store.messages();
            messages
                .form_batch(self.user, batch.first, &batch.members)
                .await?;
        }
        let is_noted = batch.members.len() > 1;
        for item in &mut self.queue {
            if batch.members.contains(&item.id) {
                item.may_have_been_sent = true;
                item.batch = is_noted.then_some(batch.first);
            }
        }
        let (ended, told) = self.take_turn(&turn, batch).await;
        for reply in told {
            if self.told.iter().all(|known| known.id != reply.id) {
                self.told.push(reply);
            }
        }
        let ended = ended?;
        self.finish(sandbox, &session, batch, ended).await
    }

    /// Takes a turn to its end; meanwhile shows typing, says that it takes long, and listens whether
    /// the person wants it stopped.
    async fn take_turn(
        &self,
        turn: &Turn<'_>,
        batch: &Batch,
    ) -> (Result<Ended, HandlerError>, Vec<NewReply>) {
        let mut told = Vec::new();
        let ended = tokio::select! {
            ended = turn.take(batch.may_have_been_sent) => ended,
            () = self.show_typing(batch) => unreachable!("typing is shown until the turn ends"),
            error = self.keep_company(turn, batch, &mut told) => Err(error),
        };
        (ended, told)
    }

    async fn finish(
        &mut self,
        sandbox: SandboxId,
        session: &Session,
        batch: &Batch,
        ended: Ended,
    ) -> Result<Then, HandlerError> {
        let Ended { answer, history } = ended;
        let is_over = matches!(answer, Answer::Stopped | Answer::Lost | Answer::Silent);
        self.was_stopped = is_over && self.is_to_stop();
        let row = answer.row().map(str::to_owned);
        let mut answer = self.replies_of(sandbox, batch, answer).await?;
        if batch.way == Way::AfterCall {
            as_follow_up(&mut answer);
        }
        self.answers_go = self.channel_of(&batch.way).await?;
        self.tell_in_call(&mut answer).await?;
        counter!("claw_messages_total", "outcome" => "turn").increment(batch.members.len() as u64);
        let Some(history) = history else {
            return self.close(batch.members.clone(), answer).await;
        };
        let replies = self
            .with_proactive_texts(sandbox, &history, row.as_deref(), answer)
            .await?;
        let boot_id = session.handle().boot_id();
        let read = Some((sandbox, &*history, boot_id));
        self.settle(batch.members.clone(), replies, read).await?;
        Ok(Then::Again)
    }

    /// The answer, among what else was said since the transcript was read last, in the order of the
    /// transcript.
    async fn with_proactive_texts(
        &mut self,
        sandbox: SandboxId,
        history: &History,
        row: Option<&str>,
        answer: Vec<NewReply>,
    ) -> Result<Vec<NewReply>, HandlerError> {
        let (before, after) = around(history, row, proactive_texts(history, sandbox));
        let early: HashSet<ReplyId> = before.iter().map(|said| said.id).collect();
        let judged = self
            .judge(before.into_iter().chain(after).collect())
            .await?;
        let (mut replies, late): (Vec<_>, Vec<_>) = judged
            .into_iter()
            .partition(|reply| early.contains(&reply.id));
        replies.extend(answer);
        replies.extend(late);
        Ok(replies)
    }

    /// What the person gets to hear; an operator hears of failures too.
    async fn replies_of(
        &self,
        sandbox: SandboxId,
        batch: &Batch,
        answer: Answer,
    ) -> Result<Vec<NewReply>, HandlerError> {
        let cause = batch.first;
        // Whoever takes the turn up after us may find another end of it: the person hears one.
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
                (failure.as_str(), vec![instead(notice_of_failure(failure))])
            }
            // They said something else instead, which has its turn.
            Answer::Stopped | Answer::Lost if self.is_spoken_over(&batch.way) => {
                ("spoken_over", Vec::new())
            }
            // Whoever stopped it is told when their own message has its turn.
            Answer::Stopped | Answer::Lost if self.was_stopped => ("stopped", Vec::new()),
            Answer::Stopped | Answer::Lost => ("lost", vec![instead(Notice::LostThread)]),
        };
        counter!("claw_turns_total", "outcome" => label).increment(1);
        Ok(replies)
    }

    /// Whether this message came by the chat.
    fn is_written(&self, message: MessageId) -> bool {
        let mut items = self.queue.iter().filter(|item| item.id == message);
        items.any(|item| matches!(item.way, Way::Chat(_)))
    }

    /// Whether the caller has spoken over the answer to what they said.
    fn is_spoken_over(&self, way: &Way) -> bool {
        match way {
            Way::Call { call, turn, .. } => self.mailbox.is_interrupted(*call, *turn),
            Way::Chat(_) | Way::AfterCall => false,
        }
    }

    /// Whether the person has said "stop" since the running turn began.
    fn is_to_stop(&self) -> bool {
        let is_stop = |item: &Item| matches!(item.plan, Plan::Obey(Command::Stop, _));
        self.mailbox.has_stop() || self.queue.iter().any(is_stop)
    }

    /// The sandbox, when it is ready; else sees to it that it will be, and tells the person.
    pub(super) async fn ready_sandbox(
        &mut self,
        cause: MessageId,
    ) -> Result<Option<SandboxId>, HandlerError> {
        let is_new_here = self
            .sandbox
            .as_ref()
            .is_none_or(|sandbox| sandbox.transcript.is_none());
        let Some(step) = setup_step(self.sandbox.as_ref(), is_new_here) else {
            return Ok(self.sandbox_id());
        };
        let now = Instant::now();
        let told = self.setup_notice.filter(|told| told.notice == step.notice);
        // A caller hears it in the call.
        if told.is_none() && self.is_written(cause) {
            self.tell(step.notice, cause).await?;
        }
        let since = told.map_or(now, |told| told.since);
        match step.request {
            Request::Now(attempt) if told.is_none() => self.request_sandbox(cause, attempt).await?,
            Request::Later(attempt) if now >= since + step.request.wait() => {
                self.request_sandbox(cause, attempt).await?;
            }
            Request::Now(_) | Request::Later(_) => {}
        }
        self.setup_notice = Some(SetupNotice {
            notice: step.notice,
            since,
            look_at: now + step.request.wait(),
        });
        Ok(None)
    }

    /// Who waits for room waits in the database alone: news of a ready sandbox brings them back.
    pub(super) fn wait_for_sandbox(&self) -> Then {
        let status = self.sandbox.as_ref().map(|sandbox| sandbox.status);
        if status == Some(SandboxStatus::Queued) {
            return Then::Leave;
        }
        // News can get lost: then the row tells.
        self.mailbox.reread_sandbox();
        Then::Rest(self.setup_notice.map(|told| told.look_at))
    }

    /// Says a notice to the messages that wait, and remembers it for the record.
    async fn tell(&mut self, notice: Notice, cause: MessageId) -> Result<(), HandlerError> {
        let reply = notice_reply(notice, cause);
        if self.told.iter().all(|told| told.id != reply.id) {
            counter!("claw_notices_total", "notice" => notice.name()).increment(1);
            let publisher = &self.context.publisher;
            publish_reply(publisher, self.user, &reply, Channel::WhatsApp).await?;
            self.told.push(reply);
        }
        Ok(())
    }

    pub(super) async fn request_sandbox(
        &self,
        cause: MessageId,
        attempt: u32,
    ) -> Result<(), HandlerError> {
        let request = SandboxRequested {
            user: self.user,
            cause,
            attempt,
        };
        self.context.publisher.publish(&request).await?;
        Ok(())
    }

    /// Marks the messages read and shows typing, again and again, until dropped.
    async fn show_typing(&self, batch: &Batch) {
        let Way::Chat(latest) = &batch.way else {
            return std::future::pending().await;
        };
        let signal = TypingStarted {
            user: self.user,
            wamid: latest.clone(),
        };
        let mut ticks = interval(TYPING_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.context.publisher.signal(&signal).await;
        }
    }

    /// Says, once each, that the turn takes long and that much waits behind it; stops it when the
    /// person wants it stopped. Ends only with an error.
    async fn keep_company(
        &self,
        turn: &Turn<'_>,
        batch: &Batch,
        told: &mut Vec<NewReply>,
    ) -> HandlerError {
        let policy = &self.context.policy;
        let mut slow = std::pin::pin!(sleep(policy.still_working_after));
        let (mut is_late, mut is_full, mut is_stopped) = (false, false, false);
        let is_written = matches!(batch.way, Way::Chat(_));
        let mut stops = interval(STOP_EVERY);
        stops.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if !is_stopped && (self.is_to_stop() || self.is_spoken_over(&batch.way)) {
                stops.tick().await;
                is_stopped = turn.stop().await;
                continue;
            }
            let notice = tokio::select! {
                () = &mut slow, if !is_late && is_written => {
                    is_late = true;
                    Notice::StillWorking
                }
                () = self.mailbox.changed() => {
                    if is_full || !is_written || self.mailbox.waiting() < policy.backlog {
                        continue;
                    }
                    is_full = true;
                    Notice::Backlog
                }
            };
            let reply = notice_reply(notice, batch.first);
            counter!("claw_notices_total", "notice" => notice.name()).increment(1);
            let publisher = &self.context.publisher;
            if let Err(error) = publish_reply(publisher, self.user, &reply, Channel::WhatsApp).await
            {
                return error;
            }
            told.push(reply);
        }
    }
}
