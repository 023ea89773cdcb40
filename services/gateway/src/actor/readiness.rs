use std::time::Duration;

use claw_bus::HandlerError;
use claw_chat::Notice;
use claw_domain::{Channel, MessageId, SandboxStatus};
use claw_events::SandboxRequested;
use claw_metrics::{NOTICES, SANDBOX_WAIT, WAITS_ENDED_BY_CLOCK, WAKES};
use claw_store::NewReply;
use tokio::time::Instant;

use super::{Flow, UserActor};
use crate::{
    provisioning::{Request, SetupNotice, setup_step},
    reply::{notice_reply, publish_reply},
};

/// How long the event of an enabled model key is waited for before the sandbox's row is read anyway.
const LOOK_AT_KEY_AFTER: Duration = Duration::from_secs(15);

impl UserActor {
    /// Whether the sandbox is ready; if not, requests it and tells the user.
    pub(super) async fn is_sandbox_ready(
        &mut self,
        cause: MessageId,
    ) -> Result<bool, HandlerError> {
        let is_new_here = self
            .sandbox
            .as_ref()
            .is_none_or(|sandbox| sandbox.transcript.is_none());
        let now = Instant::now();
        let Some(step) = setup_step(self.sandbox.as_ref(), is_new_here) else {
            if let Some(waited) = self.setup_notice.take() {
                // Every look at the row sets a later `look_at`. If it has passed, no event arrived during the wait.
                if waited.look_at <= now {
                    WAITS_ENDED_BY_CLOCK.increment(["sandbox"]);
                }
                let label = if is_new_here { "new" } else { "wakes" };
                SANDBOX_WAIT.observe(now - waited.waiting_since, [label]);
            }
            return Ok(true);
        };
        let told = self.setup_notice.filter(|told| told.notice == step.notice);
        // A caller is told in the call.
        let item = self.queue.iter().find(|item| item.id == cause);
        let is_written = item.is_some_and(|item| item.origin.is_written());
        let since = told.map_or(now, |told| told.since);
        let mut requested = self.setup_notice.and_then(|told| told.requested);
        match step.request {
            Request::Now(attempt) if requested != Some(attempt) => {
                self.request_sandbox(cause, attempt).await?;
                self.count_wake(is_written);
                requested = Some(attempt);
            }
            // The request may have been handled while the row could not change yet, for example because the engine was not
            // known. The repetition has the same id, and is dropped if the server still remembers it.
            Request::Now(attempt) if told.is_some_and(|told| told.look_at <= now) => {
                self.request_sandbox(cause, attempt).await?;
            }
            Request::Later(attempt) if now >= since + step.request.wait() => {
                self.request_sandbox(cause, attempt).await?;
                requested = Some(attempt);
            }
            Request::Now(_) | Request::Later(_) => {}
        }
        let tell_at = since + step.tell_after(self.context.policy.still_waking_after);
        if now >= tell_at && is_written {
            self.publish_notice(step.notice, cause).await?;
        }
        self.setup_notice = Some(SetupNotice {
            notice: step.notice,
            since,
            waiting_since: self.setup_notice.map_or(now, |told| told.waiting_since),
            tell_at,
            look_at: now + step.request.wait(),
            requested,
        });
        Ok(false)
    }

    fn count_wake(&self, is_written: bool) {
        let status = self.sandbox.as_ref().map(|sandbox| sandbox.status);
        if status == Some(SandboxStatus::Asleep) {
            WAKES.increment([if is_written { "message" } else { "call" }]);
        }
    }

    /// Waits for a sandbox that is not ready. A user on the waiting list needs no actor: the event of a ready
    /// sandbox starts one.
    pub(super) fn wait_for_sandbox(&mut self) -> Flow {
        self.connection.close();
        let status = self.sandbox.as_ref().map(|sandbox| sandbox.status);
        if status == Some(SandboxStatus::Queued) {
            return Flow::Exit;
        }
        // The event can get lost; then the row tells whether the sandbox is ready.
        self.mailbox.reread_sandbox();
        Flow::Sleep(self.setup_notice.map(|told| {
            let is_told = told.tell_at <= Instant::now();
            if is_told {
                told.look_at
            } else {
                told.look_at.min(told.tell_at)
            }
        }))
    }

    /// Whether the model key of the ready sandbox is still to be enabled after a suspension.
    pub(super) fn has_disabled_key(&self) -> bool {
        let sandbox = self.sandbox.as_ref();
        sandbox.is_some_and(|sandbox| !sandbox.has_enabled_key)
    }

    /// Waits until the provisioner has enabled the model key, and has published so.
    pub(super) fn wait_for_key(&self) -> Flow {
        self.mailbox.reread_sandbox();
        Flow::Sleep(Some(Instant::now() + LOOK_AT_KEY_AFTER))
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

    /// Gives the user a notice while the message waits.
    pub(super) async fn publish_notice(
        &mut self,
        notice: Notice,
        cause: MessageId,
    ) -> Result<(), HandlerError> {
        if self.publish_once(notice_reply(notice, cause)).await? {
            NOTICES.increment([notice.name()]);
        }
        Ok(())
    }

    /// Publishes a reply in the chat and keeps it for the record. Returns `false` if it was published before.
    pub(super) async fn publish_once(&mut self, reply: NewReply) -> Result<bool, HandlerError> {
        if self.notices_sent.iter().any(|sent| sent.id == reply.id) {
            return Ok(false);
        }
        let publisher = &self.context.publisher;
        publish_reply(publisher, self.user, &reply, Channel::WhatsApp).await?;
        self.notices_sent.push(reply);
        Ok(true)
    }
}
