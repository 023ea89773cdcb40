//! Histograms of durations.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

/// Longest duration that can be recorded; longer ones count as this.
const LONGEST_MICROS: u64 = 120_000_000;

/// A histogram of durations.
#[derive(Debug, Clone)]
pub(crate) struct Times(Histogram<u64>);

impl Times {
    /// An empty histogram.
    pub(crate) fn none() -> Result<Self> {
        Ok(Self(Histogram::new_with_max(LONGEST_MICROS, 3)?))
    }

    /// Records a duration.
    pub(crate) fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(micros);
    }

    /// The number of recorded durations.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The quantile (0 to 1) in milliseconds.
    pub(crate) fn milliseconds(&self, quantile: f64) -> f64 {
        milliseconds(self.0.value_at_quantile(quantile))
    }

    /// The longest duration in milliseconds.
    pub(crate) fn longest(&self) -> f64 {
        milliseconds(self.0.max())
    }

    /// The share of durations within this limit, in percent.
    pub(crate) fn percent_within(&self, limit: Duration) -> f64 {
        let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        100.0 * self.0.quantile_below(micros)
    }
}

fn milliseconds(micros: u64) -> f64 {
    f64::from(u32::try_from(micros).unwrap_or(u32::MAX)) / 1_000.0
}
