//! Sending messages.

mod cloud_api;
mod error;
mod error_class;
mod template;

use async_trait::async_trait;
use claw_domain::{Address, DeliveryId, Wamid};

pub use cloud_api::{CloudApi, CloudApiConfig};
pub use error::{Cause, Refusal, SendError};
pub use error_class::ErrorClass;
pub use template::{Template, TemplateError};

/// Sends messages from one of our WhatsApp numbers.
#[async_trait]
pub trait WhatsApp: Send + Sync + 'static {
    /// Sends a text of at most [`crate::format::TEXT_LIMIT_UTF16`] units. Success means that WhatsApp accepted the
    /// text, not that it was delivered; every later status carries `tracker`. A repeated call sends the text again:
    /// there is no idempotency key.
    async fn send_text(
        &self,
        to: &Address,
        text: &str,
        tracker: DeliveryId,
    ) -> Result<Wamid, SendError>;

    /// Sends a template with `text` as the parameter of its body, in the form of [`crate::format::to_parameter`].
    /// WhatsApp accepts nothing else for users who have not written for a day. Otherwise like
    /// [`Self::send_text`].
    async fn send_template(
        &self,
        to: &Address,
        template: &Template,
        text: &str,
        tracker: DeliveryId,
    ) -> Result<Wamid, SendError>;

    /// Marks a message and all earlier ones as read, and shows a typing indicator until our next message or for 25
    /// seconds. Meta refuses messages older than 30 days.
    async fn mark_read_and_typing(&self, wamid: &Wamid) -> Result<(), SendError>;
}
