use std::ops::Range;

use super::renderer::{Link, Renderer};

impl Renderer<'_> {
    pub(super) fn start_link(&mut self, url: String, title: String) {
        self.output.write("");
        let start = self.output.text().len();
        self.links.push(Link { url, title, start });
    }

    pub(super) fn end_link(&mut self) {
        let Some(Link { url, title, start }) = self.links.pop() else {
            return;
        };
        // An empty pair of marks may have been removed, so the output may be shorter than `start`.
        let text = self.output.text().get(start..).unwrap_or_default();
        let shown = if title.is_empty() {
            url.clone()
        } else {
            format!("{url}, {title}")
        };
        if text.is_empty() {
            self.output.write(&shown);
        } else if !shown.is_empty() && !is_same_address(text, &shown) {
            self.output.write(&format!(" ({shown})"));
        }
    }

    /// Writes the link definitions that no link uses, so that they are not lost.
    pub(super) fn append_unused(&mut self, definitions: &[(Range<usize>, String)]) {
        for (span, url) in definitions {
            if !self.output.text().contains(url.as_str()) {
                let definition = self.source[span.clone()].trim();
                self.output.space(self.gap_before(span.start));
                self.output.write_lines(definition);
            }
        }
    }
}

/// Whether a link's text equals its address, apart from the scheme and trailing slashes.
fn is_same_address(text: &str, url: &str) -> bool {
    let bare = |address: &str| {
        ["https://", "http://", "mailto:"]
            .into_iter()
            .fold(address, |rest, scheme| {
                rest.strip_prefix(scheme).unwrap_or(rest)
            })
            .trim_end_matches('/')
            .to_owned()
    };
    bare(text) == bare(url)
}
