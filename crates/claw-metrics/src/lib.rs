//! The catalogue of metrics: the name, type, help text and labels of every metric, each a constant that the
//! code counts with. Knows no service and no exporter.
//!
//! A new metric is one entry in `catalogue.rs` and its place of use. The help text of the entry is its
//! documentation: `/metrics` shows it, and `clawkaka metrics` prints the whole catalogue.

mod catalogue;
mod metric;
#[cfg(test)]
mod tests;

pub use catalogue::*;
pub use metric::{Counter, Description, Gauge, Histogram, MARKDOWN_HEAD, Type, describe_all};
