use anyhow::anyhow;
use claw_bus::{HandlerError, Publisher};
use claw_domain::DeliveryId;
use claw_events::OperatorEvent;
use claw_store::StoreError;
use claw_whatsapp::send::{ErrorClass, SendError};
use tracing::{error, warn};

/// Retries when the database is unavailable or not yet migrated, and rejects rows that cannot be read, since
/// another attempt would read the same.
pub fn store_failure(error: StoreError) -> HandlerError {
    match error {
        StoreError::Corrupt { .. }
        | StoreError::Missing { .. }
        | StoreError::OtherUserIdKey
        | StoreError::Sealed(_) => HandlerError::reject(error),
        StoreError::Database { .. }
        | StoreError::TimedOut { .. }
        | StoreError::Contended { .. } => HandlerError::retry(error),
    }
}

/// Hands the event to the process that takes over this partition.
pub fn stopping() -> HandlerError {
    HandlerError::retry(anyhow!("outbound is stopping"))
}

/// Reports a final failure: to the operator if the template is refused, as an error where a developer can fix something,
/// and as a warning where the cause lies with the recipient.
pub async fn report_send_failure(publisher: &Publisher, id: DeliveryId, error: &SendError) {
    let code = error.code();
    log_send_failure(id, error);
    if code.is_some_and(ErrorClass::concerns_the_template) {
        let event = OperatorEvent::TemplateRefused { code };
        publisher.tell_operator(&event).await;
    }
}

fn log_send_failure(id: DeliveryId, error: &SendError) {
    let code = error.code();
    let error = error as &dyn std::error::Error;
    if code.is_none_or(ErrorClass::is_our_mistake) {
        error!(
            whatsapp.code = code,
            error, "{id} will not arrive, perhaps because of a mistake of ours"
        );
    } else {
        warn!(whatsapp.code = code, error, "{id} will not arrive");
    }
}

/// Tells the operator that nothing can be sent until somebody changes something with Meta.
pub async fn alert_operator(publisher: &Publisher, error: &SendError) {
    let code = error.code();
    warn!(
        whatsapp.code = code,
        error = error as &dyn std::error::Error,
        "WhatsApp refuses to send for us"
    );
    let event = OperatorEvent::WhatsappRefused { code };
    publisher.tell_operator(&event).await;
}
