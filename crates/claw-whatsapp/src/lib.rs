//! Meta's WhatsApp Cloud API: reading what its webhook tells us, and saying things through it.
//!
//! Their JSON stays inside: others see [`webhook::Notification`] and the [`send::WhatsApp`] trait, both
//! in our own words. The crate knows no event, no database and no environment; the HTTP client, with
//! its timeouts, is handed in.

pub mod fake;
pub mod format;
pub mod send;
pub mod signature;
pub mod webhook;
