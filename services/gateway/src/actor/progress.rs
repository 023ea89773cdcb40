use std::{pin::pin, time::Duration};

use claw_bus::HandlerError;
use claw_chat::{Batch, Item, Notice};
use claw_domain::{Channel, Origin};
use claw_events::TypingStarted;
use claw_metrics::NOTICES;
use claw_store::NewReply;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::UserActor;
use crate::{
    reply::{notice_reply, publish_reply},
    turn::{Ended, Turn},
};

/// How often typing is shown. Meta shows it for at most 25 s.
const TYPING_EVERY: Duration = Duration::from_secs(20);

/// How often a turn that is to be stopped, and does not run yet, is stopped again.
const STOP_EVERY: Duration = Duration::from_secs(1);

/// How often a suspended user's turn is stopped that does not run yet.
const STOPS_WHEN_SUSPENDED: u32 = 3;

impl UserActor {
    /// Runs a turn to its end. Meanwhile shows typing, gives notices, and stops the turn if the user wants
    /// it stopped or is suspended. `None` if the user was suspended: then even a whole answer is not passed on, and is
    /// found in the transcript later. Also returns the notices it has published.
    pub(super) async fn run_turn(
        &self,
        turn: &Turn<'_>,
        batch: &Batch,
    ) -> (Result<Option<Ended>, HandlerError>, Vec<NewReply>) {
        let mut notices = Vec::new();
        let ended = tokio::select! {
            ended = turn.run(batch.may_have_been_sent) => ended.map(Some),
            () = self.stop_when_suspended(turn) => Ok(None),
            () = self.show_typing(batch) => unreachable!("typing is shown until the turn ends"),
            error = self.attend(turn, batch, &mut notices) => Err(error),
        };
        let is_suspended = self.context.suspensions.is_suspended(self.user);
        (if is_suspended { Ok(None) } else { ended }, notices)
    }

    /// Waits until the user is suspended, and stops the turn.
    async fn stop_when_suspended(&self, turn: &Turn<'_>) {
        self.context.suspensions.until_suspended(self.user).await;
        for _ in 0..STOPS_WHEN_SUSPENDED {
            if turn.stop().await {
                return;
            }
            sleep(STOP_EVERY).await;
        }
    }

    /// Marks the messages as read and shows typing, again and again, until dropped.
    async fn show_typing(&self, batch: &Batch) {
        let Origin::WhatsApp { wamid } = &batch.origin else {
            return std::future::pending().await;
        };
        let signal = TypingStarted {
            user: self.user,
            wamid: wamid.clone(),
        };
        let mut ticks = relaxed_interval(TYPING_EVERY);
        loop {
            ticks.tick().await;
            self.context.publisher.signal(&signal).await;
        }
    }

    /// Tells the user, once each, that the turn is taking long and that many messages wait behind it, and
    /// stops the turn on request. Ends only with an error.
    async fn attend(
        &self,
        turn: &Turn<'_>,
        batch: &Batch,
        notices: &mut Vec<NewReply>,
    ) -> HandlerError {
        let policy = &self.context.policy;
        let mut slow = pin!(sleep(policy.still_working_after));
        let (mut is_late, mut is_full, mut is_stopped) = (false, false, false);
        let is_written = batch.origin.is_written();
        let mut stops = relaxed_interval(STOP_EVERY);
        loop {
            if !is_stopped && (self.is_stop_requested() || self.is_spoken_over(&batch.origin)) {
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
            NOTICES.increment([notice.name()]);
            let publisher = &self.context.publisher;
            if let Err(error) = publish_reply(publisher, self.user, &reply, Channel::WhatsApp).await
            {
                return error;
            }
            notices.push(reply);
        }
    }

    /// Whether the user has said "stop" since the turn began.
    pub(super) fn is_stop_requested(&self) -> bool {
        self.mailbox.has_stop() || self.queue.iter().any(Item::is_stop)
    }

    /// Whether the caller has spoken over the answer to an utterance.
    pub(super) fn is_spoken_over(&self, origin: &Origin) -> bool {
        origin
            .call_turn()
            .is_some_and(|(call, turn)| self.mailbox.is_interrupted(call, turn))
    }
}

/// An interval that does not make up for late ticks.
fn relaxed_interval(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
