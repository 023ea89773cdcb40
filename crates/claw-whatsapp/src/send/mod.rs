//! Saying things to people.

mod class;
mod cloud_api;
mod error;
mod template;

use async_trait::async_trait;
use claw_domain::{Address, DeliveryId, Wamid};

pub use class::Class;
pub use cloud_api::{CloudApi, CloudApiConfig};
pub use error::{Cause, Refusal, SendError};
pub use template::{Template, TemplateError};

/// A WhatsApp number of ours, to speak with.
#[async_trait]
pub trait WhatsApp: Send + Sync + 'static {
    /// Sends one text of at most [`crate::format::TEXT_LIMIT_UTF16`] units. Success means that WhatsApp
    /// took it, not that it arrived; every later status carries `tracker` back. Repeating the call
    /// sends the text again: there is no idempotency key.
    async fn send_text(
        &self,
        to: &Address,
        text: &str,
        tracker: DeliveryId,
    ) -> Result<Wamid, SendError>;

    /// Sends this template with `text`, as [`crate::format::to_parameter`] makes it, in its body: the only
    /// thing that passes to who has not written for a day. Otherwise like [`Self::send_text`].
    async fn send_template(
        &self,
        to: &Address,
        template: &Template,
        text: &str,
        tracker: DeliveryId,
    ) -> Result<Wamid, SendError>;

    /// Marks this message (and those before it) as read and shows that we are typing, until our next
    /// message or for 25 seconds. Messages older than 30 days are refused.
    async fn mark_read_and_typing(&self, wamid: &Wamid) -> Result<(), SendError>;
}
