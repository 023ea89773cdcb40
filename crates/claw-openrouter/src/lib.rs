//! A client of OpenRouter's API for keys: it makes, lists, disables and revokes model keys, each with a spending limit,
//! as the trait `ModelKeys` of `claw-model-keys` specifies.
//!
//! Never calls a model. A key's secret appears once, in the result of `mint`, and never in an error or a log.

mod client;
mod wire;

pub use client::OpenRouter;
