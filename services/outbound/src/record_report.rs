use async_trait::async_trait;
use claw_bus::{Attempt, Handler, HandlerError, Publisher};
use claw_domain::DeliveryState;
use claw_events::{DeliveryReported, ReplyFailed};
use claw_store::{Deliveries, Reported};
use claw_whatsapp::send::Class;
use metrics::counter;
use tracing::{error, warn};

use crate::{reports::Reports, trouble::of_store};

/// Writes down how far what we sent has come.
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
        let code = report.error.as_ref().map(|error| error.code);
        let reported = self
            .deliveries
            .report(report.delivery, &report.wamid, state, code, report.at)
            .await
            .map_err(of_store)?;
        let Some(reported) = reported else {
            // Sent by someone else over the same number.
            count("not_ours");
            return Ok(());
        };
        count(label(state));
        self.reports.announce(reported.id);
        // A failure after a sign that the person has the message is no failure.
        let is_lost = state == DeliveryState::Failed && reported.state == DeliveryState::Failed;
        if is_lost {
            self.announce_failure(&reported, code).await?;
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
        tell(reported, code);
        let failed = ReplyFailed {
            reply: reported.reply,
            user: reported.user,
            code,
        };
        self.publisher.publish(&failed).await?;
        Ok(())
    }
}

/// WhatsApp took it, and could not bring it to the person after all.
fn tell(reported: &Reported, code: Option<i64>) {
    let class = code.map_or(Class::Permanent, |code| Class::of(code, ""));
    let id = reported.id;
    if class == Class::Operator || code.is_some_and(Class::concerns_the_template) {
        error!(
            delivery.id = %id, whatsapp.code = code, class = class.as_str(),
            "{id} failed, and others will: look the code up in Meta's list of error codes"
        );
    } else {
        warn!(
            delivery.id = %id, whatsapp.code = code, class = class.as_str(),
            "{id} failed after WhatsApp took it"
        );
    }
}

fn count(status: &'static str) {
    counter!("claw_reports_total", "status" => status).increment(1);
}

const fn label(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Pending => "pending",
        DeliveryState::Sending => "sending",
        DeliveryState::Accepted => "accepted",
        DeliveryState::Sent => "sent",
        DeliveryState::Failed => "failed",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Read => "read",
        DeliveryState::Played => "played",
    }
}
