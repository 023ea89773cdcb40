//! Sends one piece: once as far as that can be known, again where it must be.

use std::{sync::Arc, time::Duration};

use anyhow::anyhow;
use claw_bus::{Attempt, HandlerError};
use claw_domain::{Address, DeliveryId, DeliveryState, Wamid};
use claw_runtime::Clock;
use claw_store::{Deliveries, Delivery};
use claw_whatsapp::send::{SendError, WhatsApp};
use metrics::{counter, histogram};
use tokio::time::{Instant, sleep_until};
use tracing::{info, instrument, warn};

use crate::{
    forms::{Form, Wording},
    gate::Gate,
    memory::Memory,
    pace::{OPERATOR_PAUSE, Patience, Remedy, Step, has_arrived, next_step, remedy},
    reports::Reports,
    trouble::{call_operator, of_store, stopping, tell_of_failure},
};

/// How long the mark of a claim stands for the moment of sending. Who waited longer for a turn marks
/// again, so that the time for a report is counted from the send.
const CLAIM_LASTS: Duration = Duration::from_secs(5);

/// Sends pieces and keeps their rows true.
pub struct PieceSender {
    pub(crate) deliveries: Deliveries,
    pub(crate) clock: Arc<dyn Clock>,
    whatsapp: Arc<dyn WhatsApp>,
    gate: Arc<Gate>,
    reports: Reports,
    patience: Patience,
    memory: Memory,
}

/// One piece and what it says.
pub struct Piece<'a> {
    pub to: &'a Address,
    pub wording: Wording<'a>,
    pub delivery: Delivery,
    /// It was marked as handed over just now, by us.
    pub is_claimed: bool,
}

/// What became of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// WhatsApp has it.
    Taken,
    /// WhatsApp has a template in its place, which speaks for the whole reply.
    TakenInTemplate,
    /// It will not arrive.
    Failed {
        /// WhatsApp's code, if it gave one.
        code: Option<i64>,
    },
}

impl PieceSender {
    /// A sender through this WhatsApp, as fast as the gate lets it.
    pub fn new(
        deliveries: Deliveries,
        whatsapp: Arc<dyn WhatsApp>,
        gate: Arc<Gate>,
        reports: Reports,
        clock: Arc<dyn Clock>,
        patience: Patience,
    ) -> Self {
        Self {
            deliveries,
            clock,
            whatsapp,
            gate,
            reports,
            patience,
            memory: Memory::default(),
        }
    }

    /// Brings a piece to its fate, or says when to try again. Doing so again changes nothing.
    #[instrument(name = "outbound.send", skip_all, fields(delivery.id = %piece.delivery.id))]
    pub(crate) async fn send(
        &self,
        mut piece: Piece<'_>,
        attempt: &Attempt,
    ) -> Result<Fate, HandlerError> {
        if let Some(wamid) = self.memory.remembered(piece.delivery.id) {
            return self.record_taken(piece.delivery.id, &wamid).await;
        }
        let mut found = self.clock.now();
        loop {
            let step = next_step(&piece.delivery, found, self.patience, self.clock.now());
            let fate = match step {
                Step::Settled => Some(Fate::Taken),
                Step::Failed { code } => Some(Fate::Failed { code }),
                Step::AwaitReport { at_most } if !piece.is_claimed => {
                    let is_known = |state| state != DeliveryState::Sending;
                    self.await_report(piece.delivery.id, at_most, is_known, attempt)
                        .await?;
                    None
                }
                Step::Send | Step::AwaitReport { .. } => {
                    let fate = self.hand_over(&mut piece, attempt).await?;
                    found = self.clock.now();
                    fate
                }
            };
            if let Some(fate) = fate {
                return Ok(fate);
            }
            piece.is_claimed = false;
            piece.delivery = self.row(piece.delivery.id).await?;
        }
    }

    /// Waits until a piece has arrived (or failed), or as long as is reasonable.
    pub(crate) async fn await_arrival(
        &self,
        piece: DeliveryId,
        attempt: &Attempt,
    ) -> Result<Fate, HandlerError> {
        self.await_report(piece, self.patience.arrival, has_arrived, attempt)
            .await?;
        let row = self.row(piece).await?;
        Ok(match row.state {
            DeliveryState::Failed => Fate::Failed {
                code: row.error_code,
            },
            DeliveryState::Pending
            | DeliveryState::Sending
            | DeliveryState::Accepted
            | DeliveryState::Sent
            | DeliveryState::Delivered
            | DeliveryState::Read
            | DeliveryState::Played => Fate::Taken,
        })
    }

    /// Intent, effect, record. `None` when the outcome is not known, or the piece has taken another form.
    async fn hand_over(
        &self,
        piece: &mut Piece<'_>,
        attempt: &Attempt,
    ) -> Result<Option<Fate>, HandlerError> {
        let id = piece.delivery.id;
        let queued = Instant::now();
        tokio::select! {
            () = self.gate.pass() => {}
            () = attempt.stop.cancelled() => {
                self.deliveries.mark_pending(id, self.clock.now()).await?;
                return Err(stopping());
            }
        }
        let now = self.clock.now();
        let is_marked = piece.is_claimed && queued.elapsed() < CLAIM_LASTS;
        if !is_marked && !self.deliveries.mark_sending(id, now).await? {
            // A report came meanwhile; the row tells.
            return Ok(None);
        }
        let began = Instant::now();
        let form = &piece.wording.form;
        let answer = form.send(&*self.whatsapp, piece.to, id).await;
        histogram!("claw_send_seconds").record(began.elapsed().as_secs_f64());
        match answer {
            Ok(wamid) => {
                count(form, "taken");
                self.gate.went_well();
                self.memory.remember(id, &wamid);
                let taken = self.record_taken(id, &wamid).await?;
                let fate = if form.is_template() {
                    Fate::TakenInTemplate
                } else {
                    taken
                };
                Ok(Some(fate))
            }
            Err(error) => {
                count(form, error.as_str());
                if let SendError::NeedsTemplate(_) = error
                    && let Some(template) = piece.wording.instead.take()
                {
                    // WhatsApp said no, so the same piece may go out in its other form. Whoever takes over
                    // here begins with the text again, and is told no again.
                    self.deliveries.mark_pending(id, self.clock.now()).await?;
                    piece.wording.form = template;
                    return Ok(None);
                }
                self.remedied(id, error).await
            }
        }
    }

    async fn remedied(
        &self,
        id: DeliveryId,
        error: SendError,
    ) -> Result<Option<Fate>, HandlerError> {
        let troubles = match &error {
            SendError::RetryFewTimes(_) | SendError::PairRate(_) | SendError::Unknown(_) => {
                self.memory.count_trouble(id)
            }
            SendError::Retry(_)
            | SendError::SlowDown(_)
            | SendError::Operator(_)
            | SendError::NeedsTemplate(_)
            | SendError::Permanent(_)
            | SendError::NotSent(_) => 0,
        };
        let after = match remedy(&error, troubles) {
            Remedy::AwaitReport => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "no answer from WhatsApp: waiting for its report on {id}"
                );
                return Ok(None);
            }
            Remedy::GiveUp => return self.give_up(id, &error).await.map(Some),
            Remedy::TryAgain { after } => after,
            Remedy::SlowDown => Some(self.gate.slow_down()),
            Remedy::CallOperator => {
                if self.memory.is_time_to_tell(Instant::now()) {
                    call_operator(&error);
                }
                Some(OPERATOR_PAUSE)
            }
        };
        // WhatsApp said no: the piece did not go out.
        self.deliveries.mark_pending(id, self.clock.now()).await?;
        Err(match after {
            Some(after) => HandlerError::retry_after(error, after),
            None => HandlerError::retry(error),
        })
    }

    async fn give_up(&self, id: DeliveryId, error: &SendError) -> Result<Fate, HandlerError> {
        let code = error.code();
        tell_of_failure(id, error);
        self.deliveries
            .mark_failed(id, code, self.clock.now())
            .await?;
        self.memory.forget(id);
        Ok(Fate::Failed { code })
    }

    async fn record_taken(&self, id: DeliveryId, wamid: &Wamid) -> Result<Fate, HandlerError> {
        self.deliveries
            .mark_accepted(id, wamid, self.clock.now())
            .await?;
        self.memory.forget(id);
        Ok(Fate::Taken)
    }

    /// Waits until the row is in such a state, for `at_most`.
    async fn await_report(
        &self,
        id: DeliveryId,
        at_most: Duration,
        is_enough: impl Fn(DeliveryState) -> bool,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        let deadline = Instant::now() + at_most;
        // Listening first, looking second: a report in between is heard.
        let listener = self.reports.listen(id);
        while !is_enough(self.row(id).await?.state) {
            tokio::select! {
                () = listener.heard() => {}
                () = sleep_until(deadline) => {
                    info!("no report on {id} within {at_most:?}");
                    return Ok(());
                }
                () = attempt.stop.cancelled() => return Err(stopping()),
            }
        }
        Ok(())
    }

    async fn row(&self, id: DeliveryId) -> Result<Delivery, HandlerError> {
        let row = self.deliveries.get(id).await.map_err(of_store)?;
        row.ok_or_else(|| HandlerError::reject(anyhow!("the row of {id} is gone")))
    }
}

fn count(form: &Form<'_>, outcome: &'static str) {
    counter!("claw_sends_total", "form" => form.as_str(), "outcome" => outcome).increment(1);
}
