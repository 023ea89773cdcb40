//! The three types of metrics, and the one place that calls the macros of the `metrics` crate.
#![expect(
    clippy::disallowed_macros,
    reason = "the catalogue's types are what the rest of the workspace calls"
)]

use std::{array, fmt, time::Duration};

use serde::Serialize;
use strum::IntoStaticStr;

use crate::ALL;

/// A number of occurrences, which only grows.
///
/// The values of its `LABELS` labels are given in the order of the catalogue. They are `&'static str`, so
/// that neither an id nor a text can become one: each distinct value is a time series of its own.
#[derive(Debug)]
pub struct Counter<const LABELS: usize>(Series<LABELS>);

/// A number that grows and shrinks. Its label values are given as a [`Counter`]'s.
#[derive(Debug)]
pub struct Gauge<const LABELS: usize>(Series<LABELS>);

/// A distribution of durations over the buckets of [`crate::BUCKETS_SECONDS`]. Its label values are given as
/// a [`Counter`]'s.
#[derive(Debug)]
pub struct Histogram<const LABELS: usize>(Series<LABELS>);

impl<const LABELS: usize> Counter<LABELS> {
    pub(crate) const fn new(name: &'static str, labels: [&'static str; LABELS]) -> Self {
        Self(Series { name, labels })
    }

    /// The metric's name, for reading it from `/metrics`.
    pub const fn name(&self) -> &'static str {
        self.0.name
    }

    /// Adds 1 to the series with these label values.
    pub fn increment(&self, values: [&'static str; LABELS]) {
        self.add(1, values);
    }

    /// Adds `count` to the series with these label values.
    pub fn add(&self, count: u64, values: [&'static str; LABELS]) {
        metrics::counter!(self.0.name, &self.0.labelled(values)).increment(count);
    }
}

impl<const LABELS: usize> Gauge<LABELS> {
    pub(crate) const fn new(name: &'static str, labels: [&'static str; LABELS]) -> Self {
        Self(Series { name, labels })
    }

    /// The metric's name, for reading it from `/metrics`.
    pub const fn name(&self) -> &'static str {
        self.0.name
    }

    /// Replaces the value of the series with these label values.
    pub fn set(&self, value: f64, values: [&'static str; LABELS]) {
        self.handle(values).set(value);
    }

    /// Adds 1 to the series with these label values.
    pub fn increment(&self, values: [&'static str; LABELS]) {
        self.handle(values).increment(1.0);
    }

    /// Subtracts 1 from the series with these label values.
    pub fn decrement(&self, values: [&'static str; LABELS]) {
        self.handle(values).decrement(1.0);
    }

    fn handle(&self, values: [&'static str; LABELS]) -> metrics::Gauge {
        metrics::gauge!(self.0.name, &self.0.labelled(values))
    }
}

impl<const LABELS: usize> Histogram<LABELS> {
    pub(crate) const fn new(name: &'static str, labels: [&'static str; LABELS]) -> Self {
        Self(Series { name, labels })
    }

    /// Adds one duration to the series with these label values.
    pub fn observe(&self, duration: Duration, values: [&'static str; LABELS]) {
        metrics::histogram!(self.0.name, &self.0.labelled(values)).record(duration);
    }
}

#[derive(Debug)]
struct Series<const LABELS: usize> {
    name: &'static str,
    labels: [&'static str; LABELS],
}

impl<const LABELS: usize> Series<LABELS> {
    fn labelled(&self, values: [&'static str; LABELS]) -> [(&'static str, &'static str); LABELS] {
        array::from_fn(|index| (self.labels[index], values[index]))
    }
}

/// An entry of the catalogue.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Description {
    /// The name, in Prometheus' conventions: `clawkaka_…`, and `_total` for a counter.
    pub name: &'static str,
    /// The type in Prometheus' terms.
    pub r#type: Type,
    /// One or two sentences on what is counted.
    pub help: &'static str,
    /// The names of the labels.
    pub labels: &'static [&'static str],
}

/// The head of a table in Markdown whose rows are the printed descriptions.
pub const MARKDOWN_HEAD: &str = "| Metric | Type | Labels | Meaning |\n|---|---|---|---|";

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, help, .. } = self;
        let (r#type, labels): (&str, _) = (self.r#type.into(), self.labels.join(", "));
        write!(f, "| `{name}` | {type} | {labels} | {help} |")
    }
}

/// The type of a metric, in Prometheus' terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Type {
    /// The type of a [`Counter`].
    Counter,
    /// The type of a [`Gauge`].
    Gauge,
    /// The type of a [`Histogram`].
    Histogram,
}

/// Gives every help text to the installed recorder, which shows it once the metric has a value.
pub fn describe_all() {
    for metric in &ALL {
        match metric.r#type {
            Type::Counter => metrics::describe_counter!(metric.name, metric.help),
            Type::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Type::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}
