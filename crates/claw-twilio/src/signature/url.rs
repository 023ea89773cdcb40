use crate::form::push_escape;

/// Why a text cannot be the public base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublicUrlError {
    /// It does not begin with `https://` (or, for tests, `http://`) and a host.
    #[error("expected an address that begins with https:// and a host")]
    NotHttp,
    /// It has a query or a fragment, so no path can be appended.
    #[error("expected an address without a query and a fragment")]
    NotABase,
}

/// The configured address at which Twilio reaches us: a scheme, a host spelled as at Twilio, an optional port
/// and an optional path prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// Reads the configured base; trailing slashes are ignored.
    pub fn parse(text: &str) -> Result<Self, PublicUrlError> {
        let text = text.trim().trim_end_matches('/');
        let has_host = ["https://", "http://"]
            .iter()
            .filter_map(|scheme| text.strip_prefix(scheme))
            .any(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(' '));
        if !has_host {
            return Err(PublicUrlError::NotHttp);
        }
        if text.contains(['?', '#']) {
            return Err(PublicUrlError::NotABase);
        }
        Ok(Self(text.to_owned()))
    }

    /// The full URL of a path and query, which must be exactly as received from Twilio or given to it.
    pub fn of(&self, path_and_query: &str) -> String {
        let slash = if path_and_query.starts_with('/') {
            ""
        } else {
            "/"
        };
        format!("{}{slash}{path_and_query}", self.0)
    }

    /// The WebSocket URL of a path and query: `wss://`, or `ws://` if the base is `http://`.
    pub fn of_websocket(&self, path_and_query: &str) -> String {
        with_websocket_scheme(&self.of(path_and_query))
    }
}

/// The distinct spellings of a URL that Twilio may have signed: unchanged, with and without a port, and with
/// quotes in the query escaped or not. Twilio is inconsistent in these; its helper libraries try them all.
pub(super) fn spellings(url: &str) -> Vec<String> {
    let url = url.split('#').next().unwrap_or_default();
    let mut spellings = Vec::new();
    for url in with_and_without_port(url) {
        for url in query_spellings(&url) {
            if !spellings.contains(&url) {
                spellings.push(url);
            }
        }
    }
    spellings
}

/// The spellings of a WebSocket URL, with and without a trailing slash, which Twilio or a proxy may add or drop.
pub(super) fn upgrade_spellings(url: &str) -> Vec<String> {
    let url = with_websocket_scheme(url);
    let other = match url.strip_suffix('/') {
        Some(shorter) => shorter.to_owned(),
        None => format!("{url}/"),
    };
    [url, other].iter().flat_map(|url| spellings(url)).collect()
}

fn with_websocket_scheme(url: &str) -> String {
    match url.strip_prefix("http") {
        Some(rest) => format!("ws{rest}"),
        None => url.to_owned(),
    }
}

fn with_and_without_port(url: &str) -> Vec<String> {
    let mut urls = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else {
        return urls;
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host_from = authority.rfind('@').map_or(0, |at| at + 1);
    // A colon inside the brackets of an IPv6 address does not begin a port.
    let port_from = authority.rfind(']').unwrap_or(host_from);
    if let Some(colon) = authority[port_from..].find(':') {
        let host = &authority[..port_from + colon];
        urls.push(format!("{scheme}://{host}{path}"));
    } else {
        let port = match scheme {
            "http" | "ws" => 80,
            _ => 443,
        };
        urls.push(format!("{scheme}://{authority}:{port}{path}"));
    }
    urls
}

fn query_spellings(url: &str) -> Vec<String> {
    let Some((before, query)) = url.split_once('?') else {
        return vec![url.to_owned()];
    };
    let escaped = escaped_query(query);
    let unescaped = query.replace("%27", "'");
    [query, &escaped, &unescaped]
        .iter()
        .map(|query| format!("{before}?{query}"))
        .collect()
}

/// Escapes the query as the URL standard's serializer does for `http` and `https`.
fn escaped_query(query: &str) -> String {
    let mut escaped = String::with_capacity(query.len());
    for byte in query.bytes() {
        let is_plain = byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'<' | b'>');
        if is_plain {
            escaped.push(char::from(byte));
        } else {
            push_escape(&mut escaped, byte);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_appended_to_the_base_byte_for_byte() {
        let base = PublicUrl::parse("https://Voice.example.com/api/").unwrap();

        assert_eq!(
            base.of("/voice//webhook?a=%2B&b='"),
            "https://Voice.example.com/api/voice//webhook?a=%2B&b='"
        );
        assert_eq!(
            base.of_websocket("/voice/relay/x"),
            "wss://Voice.example.com/api/voice/relay/x"
        );
    }

    #[test]
    fn an_invalid_base_is_refused() {
        for text in [
            "",
            "voice.example.com",
            "https://",
            "https:///x",
            "ftp://x",
            "https://a b",
        ] {
            assert_eq!(
                PublicUrl::parse(text),
                Err(PublicUrlError::NotHttp),
                "{text:?}"
            );
        }
        for text in ["https://x/?a=1", "https://x#y"] {
            assert_eq!(
                PublicUrl::parse(text),
                Err(PublicUrlError::NotABase),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_default_port_is_added_and_any_port_dropped() {
        for (url, other) in [
            ("https://x.example/a", "https://x.example:443/a"),
            ("http://x.example?a=1", "http://x.example:80?a=1"),
            ("wss://x.example", "wss://x.example:443"),
            ("https://x.example:8443/a:b", "https://x.example/a:b"),
            ("https://u:p@x.example/", "https://u:p@x.example:443/"),
            ("https://u:p@x.example:1/", "https://u:p@x.example/"),
            ("https://[::1]/", "https://[::1]:443/"),
            ("https://[::1]:1/", "https://[::1]/"),
        ] {
            assert_eq!(spellings(url), [url, other]);
        }
    }

    #[test]
    fn a_quote_in_the_query_is_tried_escaped_and_unescaped() {
        assert!(spellings("https://x/?a='").contains(&"https://x/?a=%27".to_owned()));
        assert!(spellings("https://x/?a=%27").contains(&"https://x/?a='".to_owned()));
    }

    #[test]
    fn a_fragment_is_never_signed() {
        assert_eq!(spellings("https://x/a#rt=1"), spellings("https://x/a"));
    }
}
