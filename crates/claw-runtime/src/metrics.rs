use std::{sync::OnceLock, time::Duration};

use anyhow::Context;
use claw_metrics::BUCKETS_SECONDS;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// How often recorded samples are aggregated into the histograms. Until then, each sample takes memory.
pub(crate) const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// `None` if another recorder had been installed before ours.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Installs the recorder; further calls return the same one.
pub(crate) fn install() -> anyhow::Result<&'static PrometheusHandle> {
    let recorder = RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new().set_buckets(&BUCKETS_SECONDS);
        let recorder = builder.ok()?.install_recorder().ok()?;
        claw_metrics::describe_all();
        Some(recorder)
    });
    recorder
        .as_ref()
        .context("another recorder of metrics is installed")
}

/// All metrics in Prometheus' text format; empty if no recorder is installed.
pub(crate) fn render() -> String {
    RECORDER
        .get()
        .and_then(Option::as_ref)
        .map(PrometheusHandle::render)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use claw_metrics::{NOTICES, SEND_DURATION};

    use super::*;

    #[test]
    fn metrics_are_rendered_with_help_texts_and_buckets_in_seconds() {
        install().unwrap();
        install().unwrap();

        NOTICES.add(2, ["welcome"]);
        SEND_DURATION.observe(Duration::from_millis(300), []);

        let text = render();
        for part in [
            "# HELP clawkaka_notices_total Notices that we, and not the assistant, have sent to users.\n",
            "# TYPE clawkaka_notices_total counter\n",
            "_notices_total{notice=\"welcome\"} 2\n",
            "_send_duration_seconds_bucket{le=\"0.5\"} 1\n",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
