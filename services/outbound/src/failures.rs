use anyhow::anyhow;
use claw_bus::HandlerError;
use claw_domain::DeliveryId;
use claw_store::StoreError;
use claw_whatsapp::send::{ErrorClass, SendError};
use tracing::{error, warn};

/// Retries when the database is unavailable or not yet migrated, and rejects rows that cannot be read, since
/// another attempt would read the same.
pub fn store_failure(error: StoreError) -> HandlerError {
    match error {
        StoreError::Corrupt { .. } | StoreError::Missing { .. } | StoreError::Sealed(_) => {
            HandlerError::reject(error)
        }
        StoreError::Database { .. }
        | StoreError::TimedOut { .. }
        | StoreError::Contended { .. } => HandlerError::retry(error),
    }
}

/// Hands the event to the process that takes over this partition.
pub fn stopping() -> HandlerError {
    HandlerError::retry(anyhow!("outbound is stopping"))
}

/// Logs a final failure: as an error where the operator or a developer can fix something, and as a warning where
/// the cause lies with the recipient.
pub fn log_send_failure(id: DeliveryId, error: &SendError) {
    let code = error.code();
    let error = error as &dyn std::error::Error;
    if code.is_some_and(ErrorClass::concerns_the_template) {
        error!(
            whatsapp.code = code,
            error,
            "{id} will not arrive: WhatsApp refuses the template of WHATSAPP_TEMPLATE. Check in WhatsApp Manager \
             that it is approved in this language, is not paused, and has exactly one parameter, in its body; and \
             look the code up in Meta's list of error codes"
        );
    } else if code.is_none_or(ErrorClass::is_our_mistake) {
        error!(
            whatsapp.code = code,
            error, "{id} will not arrive, perhaps because of a mistake of ours"
        );
    } else {
        warn!(whatsapp.code = code, error, "{id} will not arrive");
    }
}

/// Logs that nothing can be sent until somebody changes something with Meta.
pub fn alert_operator(error: &SendError) {
    error!(
        whatsapp.code = error.code(),
        error = error as &dyn std::error::Error,
        "WhatsApp refuses to send for us. Replies are kept and retried every minute. Look the code up in Meta's \
         list of error codes: 0 and 190 need a new WHATSAPP_ACCESS_TOKEN; for 3, 10, 33, 100 and 200 to 299 check \
         WHATSAPP_SENDER_PHONE_NUMBER_ID and the token's permissions; 131042 needs a payment method; for the \
         others see the account's quality page in WhatsApp Manager"
    );
}
