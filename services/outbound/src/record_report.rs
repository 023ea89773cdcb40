use async_trait::async_trait;
use claw_bus::{Attempt, Handler, HandlerError, Publisher};
use claw_domain::DeliveryState;
use claw_events::{DeliveryReported, OperatorEvent, ReplyFailed};
use claw_metrics::DELIVERY_REPORTS_HANDLED;
use claw_store::{Deliveries, Reported};
use claw_whatsapp::send::ErrorClass;
use tracing::warn;

use crate::{failures::store_failure, send_piece::Reports};

/// Records WhatsApp's reports on the messages we sent.
pub struct RecordReport {
    pub deliveries: Deliveries,
    pub reports: Reports,
    pub publisher: Publisher,
}

#[async_trait]
impl Handler for RecordReport {
    type Event = DeliveryReported;

    async fn handle(
        &self,
        report: &DeliveryReported,
        _attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        let Some(state) = report.state else {
            count("unknown_status");
            return Ok(());
        };
        let Some(reported) = record(&self.deliveries, report).await? else {
            // Another system sent this message from the same number.
            count("not_ours");
            return Ok(());
        };
        count(state.as_str());
        self.reports.notify(&reported.id);
        // A report of failure does not count after a report that the message was delivered.
        let is_lost = state == DeliveryState::Failed && reported.state == DeliveryState::Failed;
        if is_lost {
            self.announce_failure(&reported, code_of(report)).await?;
        }
        Ok(())
    }
}

impl RecordReport {
    async fn announce_failure(
        &self,
        reported: &Reported,
        code: Option<i64>,
    ) -> Result<(), HandlerError> {
        let id = reported.id;
        warn!(delivery.id = %id, whatsapp.code = code, "{id} failed after WhatsApp accepted it");
        if let Some(event) = operator_event_of(code) {
            self.publisher.tell_operator(&event).await;
        }
        let failed = ReplyFailed {
            reply: reported.reply,
            user: reported.user,
            code,
        };
        self.publisher.publish(&failed).await?;
        Ok(())
    }
}

/// Applies a report to the row of its delivery. `None` if the status is unknown to us, or the message is not ours.
pub(crate) async fn record(
    deliveries: &Deliveries,
    report: &DeliveryReported,
) -> Result<Option<Reported>, HandlerError> {
    let Some(state) = report.state else {
        return Ok(None);
    };
    deliveries
        .report(
            report.delivery,
            &report.wamid,
            state,
            code_of(report),
            report.at,
        )
        .await
        .map_err(store_failure)
}

fn code_of(report: &DeliveryReported) -> Option<i64> {
    report.error.as_ref().map(|error| error.code)
}

/// What the operator must know of a failure, if others will fail for the same reason.
fn operator_event_of(code: Option<i64>) -> Option<OperatorEvent> {
    let known = code?;
    if ErrorClass::concerns_the_template(known) {
        Some(OperatorEvent::TemplateRefused { code })
    } else {
        let is_ours = ErrorClass::of(known, "") == ErrorClass::Operator;
        is_ours.then_some(OperatorEvent::WhatsappRefused { code })
    }
}

fn count(status: &'static str) {
    DELIVERY_REPORTS_HANDLED.increment([status]);
}
