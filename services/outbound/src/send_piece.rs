//! Sends each piece once. A piece is sent again only if it did not go out, or if no report tells whether it did.

use std::{mem, sync::Arc, time::Duration};

use anyhow::anyhow;
use claw_bus::{Attempt, Bus, HandlerError};
use claw_domain::{Address, DeliveryId, DeliveryState, ReplySource, UserId, Wamid};
use claw_events::{DeliveryReported, ReplyProduced};
use claw_metrics::{SEND_DURATION, SENDS, WAITS_ENDED_BY_CLOCK};
use claw_runtime::{Clock, KeyedNotify};
use claw_store::{Deliveries, Delivery, WhileSuspended};
use claw_suspensions::SuspensionView;
use claw_whatsapp::send::{SendError, WhatsApp};
use tokio::time::{Instant, sleep_until};
use tracing::{info, instrument, warn};

use crate::{
    failures::{alert_operator, report_send_failure, stopping, store_failure},
    in_flight::InFlight,
    messages::{Content, WhatsAppMessage},
    rate_limiter::RateLimiter,
    record_report::record,
    send_policy::{
        NextAction, OPERATOR_PAUSE, RetryDecision, Timeouts, has_arrived, next_action,
        retry_decision,
    },
};

/// How long after its claim a piece may be sent. Later it is claimed again, because another replica's wait for a
/// report begins at the claim.
const CLAIM_LASTS: Duration = Duration::from_secs(5);

/// How much earlier than ours the clock of the bus may have stamped a report.
const CLOCK_SKEW: Duration = Duration::from_mins(1);

/// Wakes the lane that waits for a report on a piece. Only a hint: the row in the database is authoritative.
pub type Reports = KeyedNotify<DeliveryId>;

/// Sends pieces and keeps their rows up to date.
pub struct PieceSender {
    pub(crate) deliveries: Deliveries,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rate_limiter: Arc<RateLimiter>,
    bus: Bus,
    whatsapp: Arc<dyn WhatsApp>,
    reports: Reports,
    timeouts: Timeouts,
    suspensions: SuspensionView,
    in_flight: InFlight,
}

/// One piece of a reply.
pub struct Piece<'a> {
    pub user: UserId,
    pub to: &'a Address,
    pub message: WhatsAppMessage<'a>,
    pub delivery: Delivery,
    /// The other pieces of the reply, if this is the first one: a template stands for them, too.
    pub rest: Vec<DeliveryId>,
    /// Whether a slot of the rate limiter was taken for this piece and not used yet.
    pub has_slot: bool,
    /// A moment before the row was marked as `Sending` for us; `None` if it was not.
    pub claimed_at: Option<Instant>,
    /// What becomes of the reply while its user is suspended.
    pub while_suspended: WhileSuspended,
}

/// What becomes of a reply while its user is suspended. Only the line about it is sent.
pub(crate) fn while_suspended(reply: &ReplyProduced) -> WhileSuspended {
    match reply.source {
        ReplySource::Suspension => WhileSuspended::Send,
        ReplySource::Chat
        | ReplySource::Notice
        | ReplySource::Heartbeat
        | ReplySource::Cron
        | ReplySource::VoiceFollowup => WhileSuspended::Hold,
    }
}

/// The outcome of sending a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendOutcome {
    /// WhatsApp accepted the piece.
    Accepted,
    /// WhatsApp accepted a template, which stands for the whole reply.
    AcceptedAsTemplate,
    /// Nothing was sent, because the operator has blocked the recipient.
    Blocked,
    /// The piece will not arrive.
    Failed {
        /// WhatsApp's error code, if it gave one.
        code: Option<i64>,
    },
}

impl PieceSender {
    /// A sender that sends through `whatsapp`, as fast as `rate_limiter` allows.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a sender, all of different types"
    )]
    pub fn new(
        bus: Bus,
        deliveries: Deliveries,
        whatsapp: Arc<dyn WhatsApp>,
        rate_limiter: Arc<RateLimiter>,
        reports: Reports,
        clock: Arc<dyn Clock>,
        timeouts: Timeouts,
        suspensions: SuspensionView,
    ) -> Self {
        Self {
            deliveries,
            clock,
            rate_limiter,
            bus,
            whatsapp,
            reports,
            timeouts,
            suspensions,
            in_flight: InFlight::default(),
        }
    }

    /// Whether the reply has to wait for the end of a suspension, as far as this process knows. The statements that
    /// begin a delivery and claim a piece decide.
    pub(crate) fn is_held(&self, reply: &ReplyProduced) -> bool {
        while_suspended(reply) == WhileSuspended::Hold
            && self.suspensions.is_suspended(reply.user)
            && !self.is_blocked(reply.user)
    }

    /// Whether the operator has blocked the user, as far as this process knows: nothing is sent or spoken to them.
    pub(crate) fn is_blocked(&self, user: UserId) -> bool {
        self.suspensions.is_blocked(user)
    }

    /// Keeps a reply until its user is no longer suspended, or is blocked. Replies that go out nevertheless pass it.
    pub(crate) fn park(&self, user: UserId) -> HandlerError {
        let suspensions = self.suspensions.clone();
        HandlerError::park(async move { suspensions.until_resumed(user).await })
    }

    /// As [`Self::park`], after the database said that the user is suspended: this process may not know it yet.
    pub(crate) async fn refresh_and_park(&self, user: UserId) -> HandlerError {
        match self.suspensions.refresh().await {
            Ok(_) => self.park(user),
            Err(error) => store_failure(error),
        }
    }

    /// Sends a piece and returns its outcome, or an error that tells when to retry. Idempotent.
    #[instrument(name = "outbound.send", skip_all, fields(delivery.id = %piece.delivery.id))]
    pub(crate) async fn send(
        &self,
        mut piece: Piece<'_>,
        attempt: &Attempt,
    ) -> Result<SendOutcome, HandlerError> {
        if let Some(wamid) = self.in_flight.remembered(piece.delivery.id) {
            return self.record_accepted(piece.delivery.id, &wamid).await;
        }
        loop {
            let outcome = if piece.claimed_at.is_some() {
                self.attempt(&mut piece, attempt).await?
            } else {
                self.act_on_row(&mut piece, attempt).await?
            };
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
            piece.claimed_at = None;
            piece.delivery = self.row(piece.delivery.id).await?;
        }
    }

    /// Does what the row of a piece asks for that we have not claimed. Returns `None` if the row is to be read again.
    async fn act_on_row(
        &self,
        piece: &mut Piece<'_>,
        attempt: &Attempt,
    ) -> Result<Option<SendOutcome>, HandlerError> {
        let now = self.clock.now();
        match next_action(&piece.delivery, self.timeouts, now) {
            NextAction::Settled => Ok(Some(SendOutcome::Accepted)),
            NextAction::Failed { code } => Ok(Some(SendOutcome::Failed { code })),
            NextAction::Send => self.attempt(piece, attempt).await,
            NextAction::AwaitReport { at_most } => {
                let is_known = |state| state != DeliveryState::Sending;
                let is_reported = self
                    .await_report(piece.delivery.id, at_most, is_known, attempt)
                    .await?;
                if is_reported || self.record_stored_reports(piece).await? {
                    Ok(None)
                } else {
                    self.attempt(piece, attempt).await
                }
            }
        }
    }

    /// Waits until a piece was delivered or has failed, but no longer than the timeout for it.
    pub(crate) async fn await_arrival(
        &self,
        piece: DeliveryId,
        attempt: &Attempt,
    ) -> Result<SendOutcome, HandlerError> {
        self.await_report(piece, self.timeouts.arrival, has_arrived, attempt)
            .await?;
        let row = self.row(piece).await?;
        Ok(match row.state {
            DeliveryState::Failed => SendOutcome::Failed {
                code: row.error_code,
            },
            DeliveryState::Pending
            | DeliveryState::Sending
            | DeliveryState::Accepted
            | DeliveryState::Sent
            | DeliveryState::Delivered
            | DeliveryState::Read
            | DeliveryState::Played => SendOutcome::Accepted,
        })
    }

    /// Takes a slot, claims the row, sends, and records the result. Returns `None` if the outcome is unknown, the
    /// row has changed, or the piece goes on with its fallback.
    async fn attempt(
        &self,
        piece: &mut Piece<'_>,
        attempt: &Attempt,
    ) -> Result<Option<SendOutcome>, HandlerError> {
        if !mem::take(&mut piece.has_slot) {
            let slot = self.rate_limiter.acquire();
            let has_slot = attempt.stop.run_until_cancelled(slot).await;
            has_slot.ok_or_else(stopping)?;
        }
        if !self.claim(piece).await? {
            let is_blocked = self.deliveries.is_blocked(piece.user).await;
            let is_blocked = is_blocked.map_err(store_failure)?;
            return Ok(is_blocked.then_some(SendOutcome::Blocked));
        }
        if piece.message.content.is_template() && !piece.rest.is_empty() {
            // Before the send: a redelivery may find that the user has written since, and must not send the rest as texts.
            let (first, now) = (&piece.delivery, self.clock.now());
            self.deliveries
                .mark_in_template(first, &piece.rest, now)
                .await?;
            // The claim may have run out meanwhile.
            if !self.claim(piece).await? {
                return Ok(None);
            }
        }
        let id = piece.delivery.id;
        let began = Instant::now();
        let content = &piece.message.content;
        let result = content.send(&*self.whatsapp, piece.to, id).await;
        SEND_DURATION.observe(began.elapsed(), []);
        match result {
            Ok(wamid) => {
                count(content, "taken");
                self.rate_limiter.note_success();
                self.in_flight.remember(id, &wamid);
                let accepted = self.record_accepted(id, &wamid).await?;
                Ok(Some(if content.is_template() {
                    SendOutcome::AcceptedAsTemplate
                } else {
                    accepted
                }))
            }
            Err(error) => {
                count(content, error.as_str());
                if let SendError::NeedsTemplate(_) = error
                    && let Some(fallback) = piece.message.fallback.take()
                {
                    // WhatsApp refused the text, so the template cannot be a duplicate. A process that takes
                    // over here tries the text again, and is refused again unless the user has written since.
                    self.release(&piece.delivery).await?;
                    piece.message.content = fallback;
                    return Ok(None);
                }
                self.handle_error(&piece.delivery, error).await
            }
        }
    }

    /// Marks the row as `Sending`, unless we did so a moment ago. Returns `false` if it has changed since it was read:
    /// by a report, or by another replica; or if the user is blocked.
    async fn claim(&self, piece: &mut Piece<'_>) -> Result<bool, HandlerError> {
        loop {
            if let Some(at) = piece.claimed_at
                && at.elapsed() < CLAIM_LASTS
            {
                return Ok(true);
            }
            let at = Instant::now();
            let now = self.clock.now();
            if !self
                .deliveries
                .mark_sending(&mut piece.delivery, piece.while_suspended, now)
                .await?
            {
                self.check_suspension(piece).await?;
                return Ok(false);
            }
            piece.claimed_at = Some(at);
        }
    }

    /// Fails if a piece could not be claimed because its user is suspended.
    async fn check_suspension(&self, piece: &Piece<'_>) -> Result<(), HandlerError> {
        if piece.while_suspended == WhileSuspended::Send {
            return Ok(());
        }
        self.suspensions.refresh().await.map_err(store_failure)?;
        if self.suspensions.is_suspended(piece.user) && !self.is_blocked(piece.user) {
            return Err(self.park(piece.user));
        }
        Ok(())
    }

    /// Marks the row of a piece as `Pending` that did not go out in our attempt.
    async fn release(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        self.deliveries
            .mark_pending(delivery, self.clock.now())
            .await?;
        Ok(())
    }

    async fn handle_error(
        &self,
        delivery: &Delivery,
        error: SendError,
    ) -> Result<Option<SendOutcome>, HandlerError> {
        let id = delivery.id;
        let failures = match &error {
            SendError::RetryFewTimes(_) | SendError::PairRate(_) | SendError::Unknown(_) => {
                self.in_flight.count_failure(id)
            }
            SendError::Retry(_)
            | SendError::SlowDown(_)
            | SendError::Operator(_)
            | SendError::NeedsTemplate(_)
            | SendError::Permanent(_)
            | SendError::NotSent(_) => 0,
        };
        let after = match retry_decision(&error, failures) {
            RetryDecision::AwaitReport => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "WhatsApp did not answer: waiting for its report on {id}"
                );
                return Ok(None);
            }
            RetryDecision::GiveUp => return self.give_up(id, &error).await.map(Some),
            RetryDecision::Retry { after } => after,
            RetryDecision::PauseAll => Some(self.rate_limiter.pause()),
            RetryDecision::AlertOperator => {
                if self.in_flight.should_alert(Instant::now()) {
                    alert_operator(&self.bus.publisher(), &error).await;
                }
                Some(OPERATOR_PAUSE)
            }
        };
        self.release(delivery).await?;
        Err(match after {
            Some(after) => HandlerError::retry_after(error, after),
            None => HandlerError::retry(error),
        })
    }

    async fn give_up(
        &self,
        id: DeliveryId,
        error: &SendError,
    ) -> Result<SendOutcome, HandlerError> {
        let code = error.code();
        report_send_failure(&self.bus.publisher(), id, error).await;
        self.deliveries
            .mark_failed(id, code, self.clock.now())
            .await?;
        self.in_flight.forget(id);
        Ok(SendOutcome::Failed { code })
    }

    async fn record_accepted(
        &self,
        id: DeliveryId,
        wamid: &Wamid,
    ) -> Result<SendOutcome, HandlerError> {
        self.deliveries
            .mark_accepted(id, wamid, self.clock.now())
            .await?;
        self.in_flight.forget(id);
        Ok(SendOutcome::Accepted)
    }

    /// Waits until `is_enough` accepts the state of the row, but no longer than `at_most`. Returns whether it does.
    async fn await_report(
        &self,
        id: DeliveryId,
        at_most: Duration,
        is_enough: impl Fn(DeliveryState) -> bool,
        attempt: &Attempt,
    ) -> Result<bool, HandlerError> {
        let deadline = Instant::now() + at_most;
        let mut reports = self.reports.listen(id);
        while !is_enough(self.row(id).await?.state) {
            tokio::select! {
                () = reports.notified() => {}
                () = sleep_until(deadline) => {
                    let is_reported = is_enough(self.row(id).await?.state);
                    if is_reported {
                        WAITS_ENDED_BY_CLOCK.increment(["report"]);
                    } else {
                        info!("no report on {id} within {at_most:?}");
                    }
                    return Ok(is_reported);
                }
                () = attempt.stop.cancelled() => return Err(stopping()),
            }
        }
        Ok(true)
    }

    /// Records the reports on a piece that are stored and may not have been handled yet: we may be behind by more than
    /// the wait for a report. Returns whether the outcome is known now; a status that we do not know tells nothing.
    async fn record_stored_reports(&self, piece: &Piece<'_>) -> Result<bool, HandlerError> {
        let Some(sent_at) = piece.delivery.sending_since else {
            return Ok(false);
        };
        let id = piece.delivery.id;
        let stored = self
            .bus
            .stored::<DeliveryReported>(piece.user, sent_at - CLOCK_SKEW)
            .await?;
        let mut is_reported = false;
        for report in stored.iter().filter(|report| report.delivery == Some(id)) {
            is_reported |= record(&self.deliveries, report).await?.is_some();
        }
        Ok(is_reported)
    }

    async fn row(&self, id: DeliveryId) -> Result<Delivery, HandlerError> {
        let row = self.deliveries.get(id).await.map_err(store_failure)?;
        row.ok_or_else(|| HandlerError::reject(anyhow!("the row of {id} does not exist")))
    }
}

fn count(content: &Content<'_>, outcome: &'static str) {
    SENDS.increment([content.as_str(), outcome]);
}
