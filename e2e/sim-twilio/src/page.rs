use reqwest::Url;

use super::twiml::Document;

/// A document to execute, and the URL it was fetched from.
pub(crate) struct Page {
    pub(crate) document: Document,
    pub(crate) url: String,
}

/// The absolute form of a URL in a document that was fetched from `base`. An empty URL means `base`.
pub(crate) fn resolve_url(base: &str, url: &str) -> String {
    if url.is_empty() {
        return base.to_owned();
    }
    if url.contains("://") {
        return url.to_owned();
    }
    let whole = Url::parse(base).and_then(|base| base.join(url));
    whole.map_or_else(|_| url.to_owned(), String::from)
}
