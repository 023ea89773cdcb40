//! `OpenRouter`'s key administration: one model key a sandbox, each with a spending limit. The trait
//! speaks our words, [`OpenRouter`] is their API, [`fake::FakeModelKeys`] is a world for tests.
//!
//! Knows nothing of sandboxes, and never calls a model. A key's secret appears once, in the answer to
//! [`ModelKeys::mint`], and never in an error or a log.

mod client;
mod error;
pub mod fake;
mod keys;
mod wire;

pub use client::OpenRouter;
pub use error::{KeyError, KeyErrorClass};
pub use keys::{KeyHash, KeyInfo, LimitReset, Minted, ModelKeys, SpendLimit};
