use anyhow::Result;

use crate::output::Format;

/// Lists the catalogue of metrics.
pub(crate) fn list(format: Format) -> Result<()> {
    format.print_if_text(claw_metrics::MARKDOWN_HEAD)?;
    claw_metrics::ALL
        .iter()
        .try_for_each(|metric| format.print(metric))
}
