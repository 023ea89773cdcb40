use std::ops::Range;

use super::{blocks::gap_before, render::Renderer};

/// A link whose text is being written.
pub(super) struct Link {
    url: String,
    title: String,
    /// Where its text begins on the page.
    start: usize,
}

impl Renderer<'_> {
    pub(super) fn start_link(&mut self, url: String, title: String) {
        self.page.write("");
        let start = self.page.text().len();
        self.links.push(Link { url, title, start });
    }

    pub(super) fn end_link(&mut self) {
        let Some(Link { url, title, start }) = self.links.pop() else {
            return;
        };
        // Inside the text, a mark without content may have been taken back.
        let text = self.page.text().get(start..).unwrap_or_default();
        let shown = if title.is_empty() {
            url.clone()
        } else {
            format!("{url}, {title}")
        };
        if text.is_empty() {
            self.page.write(&shown);
        } else if !shown.is_empty() && !is_same_address(text, &shown) {
            self.page.write(&format!(" ({shown})"));
        }
    }

    /// Addresses defined at the end of a text but used nowhere are still something to read.
    pub(super) fn append_unused(&mut self, definitions: &[(Range<usize>, String)]) {
        for (span, url) in definitions {
            if !self.page.text().contains(url.as_str()) {
                let definition = self.source[span.clone()].trim();
                self.page.space(gap_before(self.source, span.start));
                self.page.write_lines(definition);
            }
        }
    }
}

/// Whether a link's text is its address already, give or take the scheme and a final slash.
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
