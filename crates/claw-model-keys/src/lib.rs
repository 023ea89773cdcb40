//! Keys with which sandboxes call language models: the trait [`ModelKeys`], which the crate of each provider
//! implements, its values and errors, and [`fake::FakeModelKeys`] for tests.
//!
//! Names no provider, and knows nothing of sandboxes. A key's secret appears once, in the result of
//! [`ModelKeys::mint`], and never in an error or a log.

mod error;
pub mod fake;
mod keys;

pub use error::KeyError;
pub use keys::{KeyHash, KeyInfo, LimitReset, Minted, ModelKeys, SpendLimit};
