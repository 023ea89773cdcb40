//! Meta's WhatsApp Cloud API: verifies and reads its webhooks, formats and sends messages.
//!
//! Meta's JSON stays inside: other crates see [`webhook::Notification`] and the [`send::WhatsApp`] trait. The crate
//! knows no event, no database and no environment; the caller provides the HTTP client with its timeouts.

pub mod fake;
pub mod format;
pub mod send;
pub mod signature;
pub mod webhook;
