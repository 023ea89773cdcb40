use std::ops::Range;

use pulldown_cmark::LinkType;

use super::renderer::{Link, Renderer};

impl Renderer<'_> {
    pub(super) fn start_link(&mut self, kind: LinkType, url: String, title: String) {
        self.output.write("");
        self.links.push(Link {
            url,
            title,
            is_reference: !matches!(
                kind,
                LinkType::Inline | LinkType::Autolink | LinkType::Email
            ),
            start: self.output.text().len(),
        });
    }

    pub(super) fn end_link(&mut self) {
        let Some(link) = self.links.pop() else {
            return;
        };
        let Link { url, title, .. } = &link;
        // An empty pair of marks may have been removed, so the output may be shorter than `start`.
        let text = self.output.text().get(link.start..).unwrap_or_default();
        let shown = if title.is_empty() {
            url.clone()
        } else {
            format!("{url}, {title}")
        };
        let missing = if text.is_empty() {
            shown
        } else if shown.is_empty() || is_same_address(text, &shown) {
            String::new()
        } else {
            format!(" ({shown})")
        };
        let is_shown = if link.is_reference {
            self.output.add(&missing)
        } else {
            self.output.write(&missing);
            true
        };
        if is_shown {
            self.shown.insert(link.url);
        }
    }

    /// Writes the link definitions that no link uses, so that they are not lost.
    pub(super) fn append_unused(&mut self, definitions: &[(Range<usize>, String)]) {
        for (span, url) in definitions {
            if self.shown.insert(url.clone()) {
                let definition = self.source[span.clone()].trim();
                self.output.space(self.gap_before(span.start));
                self.output.write_lines(definition);
            }
        }
    }
}

/// Whether a link's text equals its address, apart from the scheme and a slash at the end. Takes no longer for a longer
/// text than for the address, because links may be inside the text of links.
fn is_same_address(text: &str, url: &str) -> bool {
    bare(text) == bare(url)
}

fn bare(address: &str) -> &str {
    let rest = ["https://", "http://", "mailto:"]
        .into_iter()
        .find_map(|scheme| address.strip_prefix(scheme))
        .unwrap_or(address);
    rest.strip_suffix('/').unwrap_or(rest)
}
