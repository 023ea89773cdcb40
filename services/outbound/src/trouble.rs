use anyhow::anyhow;
use claw_bus::HandlerError;
use claw_domain::DeliveryId;
use claw_store::StoreError;
use claw_whatsapp::send::{Class, SendError};
use tracing::{error, warn};

/// A database that is away, or not yet migrated, comes round; a row it cannot explain does not explain
/// itself later.
pub fn of_store(error: StoreError) -> HandlerError {
    match error {
        StoreError::Corrupt { .. } | StoreError::Missing { .. } | StoreError::Sealed(_) => {
            HandlerError::reject(error)
        }
        StoreError::Database { .. }
        | StoreError::TimedOut { .. }
        | StoreError::Contended { .. } => HandlerError::retry(error),
    }
}

/// Whoever comes after us goes on with it.
pub fn stopping() -> HandlerError {
    HandlerError::retry(anyhow!("outbound is stopping"))
}

/// An operator can do nothing about a person who left WhatsApp, and much about our own mistakes.
pub fn tell_of_failure(id: DeliveryId, error: &SendError) {
    let code = error.code();
    let error = error as &dyn std::error::Error;
    if code.is_some_and(Class::concerns_the_template) {
        error!(
            whatsapp.code = code,
            error,
            "{id} will not arrive: WhatsApp does not take the template of WHATSAPP_TEMPLATE. Look in WhatsApp \
             Manager whether it is approved in this language, not paused, and has exactly one parameter, in \
             its body; and the code up in Meta's list of error codes"
        );
    } else if code.is_none_or(Class::is_our_mistake) {
        error!(
            whatsapp.code = code,
            error, "{id} will not arrive, and the mistake may be ours"
        );
    } else {
        warn!(whatsapp.code = code, error, "{id} will not arrive");
    }
}

/// Nothing goes out until somebody has changed something with Meta.
pub fn call_operator(error: &SendError) {
    error!(
        whatsapp.code = error.code(),
        error = error as &dyn std::error::Error,
        "WhatsApp refuses to send for us. Replies are kept and tried every minute. Look at the code in \
         Meta's list of error codes: 0 and 190 want a new WHATSAPP_ACCESS_TOKEN; 3, 10, 33, 100 and 200 \
         to 299 a check of WHATSAPP_SENDER_PHONE_NUMBER_ID and the token's permissions; 131042 a payment \
         method; others the account's quality page in WhatsApp Manager"
    );
}
