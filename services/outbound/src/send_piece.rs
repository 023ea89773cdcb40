//! Sends each piece once. A piece is sent again only if it did not go out, or if no report tells whether it did.

use std::{sync::Arc, time::Duration};

use anyhow::anyhow;
use claw_bus::{Attempt, HandlerError};
use claw_domain::{Address, DeliveryId, DeliveryState, Wamid};
use claw_metrics::{SEND_DURATION, SENDS, WAITS_ENDED_BY_CLOCK};
use claw_runtime::{Clock, KeyedNotify};
use claw_store::{Deliveries, Delivery};
use claw_whatsapp::send::{SendError, WhatsApp};
use tokio::time::{Instant, sleep_until};
use tracing::{info, instrument, warn};

use crate::{
    failures::{alert_operator, log_send_failure, stopping, store_failure},
    in_flight::InFlight,
    messages::{Content, WhatsAppMessage},
    rate_limiter::RateLimiter,
    send_policy::{
        NextAction, OPERATOR_PAUSE, RetryDecision, Timeouts, has_arrived, next_action,
        retry_decision,
    },
};

/// How long the time of a claim may stand for the time of the send. After a longer wait for a slot the piece is
/// marked again, because the wait for a report begins at the send.
const CLAIM_LASTS: Duration = Duration::from_secs(5);

/// Wakes the lane that waits for a report on a piece. Only a hint: the row in the database is authoritative.
pub type Reports = KeyedNotify<DeliveryId>;

/// Sends pieces and keeps their rows up to date.
pub struct PieceSender {
    pub(crate) deliveries: Deliveries,
    pub(crate) clock: Arc<dyn Clock>,
    whatsapp: Arc<dyn WhatsApp>,
    rate_limiter: Arc<RateLimiter>,
    reports: Reports,
    timeouts: Timeouts,
    in_flight: InFlight,
}

/// One piece of a reply.
pub struct Piece<'a> {
    pub to: &'a Address,
    pub message: WhatsAppMessage<'a>,
    pub delivery: Delivery,
    /// The statement that read the row has also marked it as `Sending`, for us.
    pub is_claimed: bool,
}

/// The outcome of sending a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendOutcome {
    /// WhatsApp accepted the piece.
    Accepted,
    /// WhatsApp accepted a template, which stands for the whole reply.
    AcceptedAsTemplate,
    /// The piece will not arrive.
    Failed {
        /// WhatsApp's error code, if it gave one.
        code: Option<i64>,
    },
}

impl PieceSender {
    /// A sender that sends through `whatsapp`, as fast as `rate_limiter` allows.
    pub fn new(
        deliveries: Deliveries,
        whatsapp: Arc<dyn WhatsApp>,
        rate_limiter: Arc<RateLimiter>,
        reports: Reports,
        clock: Arc<dyn Clock>,
        timeouts: Timeouts,
    ) -> Self {
        Self {
            deliveries,
            clock,
            whatsapp,
            rate_limiter,
            reports,
            timeouts,
            in_flight: InFlight::default(),
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
        let mut read_at = self.clock.now();
        loop {
            let action = next_action(&piece.delivery, read_at, self.timeouts, self.clock.now());
            let outcome = match action {
                NextAction::Settled => Some(SendOutcome::Accepted),
                NextAction::Failed { code } => Some(SendOutcome::Failed { code }),
                NextAction::AwaitReport { at_most } if !piece.is_claimed => {
                    let is_known = |state| state != DeliveryState::Sending;
                    self.await_report(piece.delivery.id, at_most, is_known, attempt)
                        .await?;
                    None
                }
                NextAction::Send | NextAction::AwaitReport { .. } => {
                    let outcome = self.attempt(&mut piece, attempt).await?;
                    read_at = self.clock.now();
                    outcome
                }
            };
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
            piece.is_claimed = false;
            piece.delivery = self.row(piece.delivery.id).await?;
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

    /// Marks the row as `Sending`, sends, and records the result. Returns `None` if the outcome is unknown or the
    /// piece goes on with its fallback.
    async fn attempt(
        &self,
        piece: &mut Piece<'_>,
        attempt: &Attempt,
    ) -> Result<Option<SendOutcome>, HandlerError> {
        let id = piece.delivery.id;
        let queued = Instant::now();
        tokio::select! {
            () = self.rate_limiter.acquire() => {}
            () = attempt.stop.cancelled() => {
                self.deliveries.mark_pending(id, self.clock.now()).await?;
                return Err(stopping());
            }
        }
        let now = self.clock.now();
        let is_marked = piece.is_claimed && queued.elapsed() < CLAIM_LASTS;
        if !is_marked && !self.deliveries.mark_sending(id, now).await? {
            // A report has changed the row meanwhile.
            return Ok(None);
        }
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
                    // over here tries the text again and is refused again.
                    self.deliveries.mark_pending(id, self.clock.now()).await?;
                    piece.message.content = fallback;
                    return Ok(None);
                }
                self.handle_error(id, error).await
            }
        }
    }

    async fn handle_error(
        &self,
        id: DeliveryId,
        error: SendError,
    ) -> Result<Option<SendOutcome>, HandlerError> {
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
                    alert_operator(&error);
                }
                Some(OPERATOR_PAUSE)
            }
        };
        // The piece did not go out.
        self.deliveries.mark_pending(id, self.clock.now()).await?;
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
        log_send_failure(id, error);
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

    /// Waits until `is_enough` accepts the state of the row, but no longer than `at_most`.
    async fn await_report(
        &self,
        id: DeliveryId,
        at_most: Duration,
        is_enough: impl Fn(DeliveryState) -> bool,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        let deadline = Instant::now() + at_most;
        let mut reports = self.reports.listen(id);
        while !is_enough(self.row(id).await?.state) {
            tokio::select! {
                () = reports.notified() => {}
                () = sleep_until(deadline) => {
                    if is_enough(self.row(id).await?.state) {
                        WAITS_ENDED_BY_CLOCK.increment(["report"]);
                    } else {
                        info!("no report on {id} within {at_most:?}");
                    }
                    return Ok(());
                }
                () = attempt.stop.cancelled() => return Err(stopping()),
            }
        }
        Ok(())
    }

    async fn row(&self, id: DeliveryId) -> Result<Delivery, HandlerError> {
        let row = self.deliveries.get(id).await.map_err(store_failure)?;
        row.ok_or_else(|| HandlerError::reject(anyhow!("the row of {id} does not exist")))
    }
}

fn count(content: &Content<'_>, outcome: &'static str) {
    SENDS.increment([content.as_str(), outcome]);
}
