use std::{sync::OnceLock, time::Duration};

use anyhow::Context;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Upper bounds of every histogram, in seconds: from a publish on the same machine to the longest an
/// agent may take. Fixed, so that replicas can be added up.
const BUCKETS_SECONDS: [f64; 16] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    180.0,
];

/// How often recorded samples are folded into the histograms. Until then each costs its bytes.
pub(crate) const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// `None` when something else had made the process count before we came.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Makes the process count, once; further calls give the same handle.
pub(crate) fn install() -> anyhow::Result<&'static PrometheusHandle> {
    let recorder = RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new().set_buckets(&BUCKETS_SECONDS);
        builder.ok()?.install_recorder().ok()
    });
    recorder
        .as_ref()
        .context("another recorder of metrics is installed")
}

/// What was counted, in Prometheus' text format; empty where nothing counts.
pub(crate) fn render() -> String {
    RECORDER
        .get()
        .and_then(Option::as_ref)
        .map(PrometheusHandle::render)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered_with_seconds_as_bounds() {
        install().unwrap();
        install().unwrap();

        metrics::counter!("runtime_tests_total").increment(2);
        metrics::histogram!("runtime_test_seconds").record(0.3);

        let text = render();
        assert!(text.contains("runtime_tests_total 2"), "{text}");
        assert!(
            text.contains("runtime_test_seconds_bucket{le=\"0.5\"} 1"),
            "{text}"
        );
    }
}
