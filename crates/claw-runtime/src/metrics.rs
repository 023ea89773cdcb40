use std::{sync::OnceLock, time::Duration};

use anyhow::Context;
use claw_metrics::BUCKETS_SECONDS;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// How often recorded samples are folded into the histograms. Until then each costs its bytes.
pub(crate) const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// `None` when something else had made the process count before we came.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Makes the process count, once; further calls give the same handle.
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
    use claw_metrics::{NOTICES, SEND_DURATION};

    use super::*;

    #[test]
    fn counts_are_rendered_with_their_help_and_durations_in_buckets_of_seconds() {
        install().unwrap();
        install().unwrap();

        NOTICES.add(2, ["welcome"]);
        SEND_DURATION.observe(Duration::from_millis(300), []);

        let text = render();
        for line in [
            "# HELP clawkaka_notices_total Notices that we, and not the assistant, have sent to users.",
            "# TYPE clawkaka_notices_total counter",
            "clawkaka_notices_total{notice=\"welcome\"} 2",
            "clawkaka_send_duration_seconds_bucket{le=\"0.5\"} 1",
        ] {
            assert!(
                text.lines().any(|it| it == line),
                "{line} is not in\n{text}"
            );
        }
    }
}
