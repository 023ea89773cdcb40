use axum::http::HeaderMap;
use uuid::Uuid;

/// Caddy names each request in this header and in its own log, and replaces what the sender wrote there.
const HEADER: &str = "x-request-id";

/// The id that Caddy gave to the request with these headers. `None` without a well-formed one.
pub(crate) fn of(headers: &HeaderMap) -> Option<Uuid> {
    Uuid::try_parse_ascii(headers.get(HEADER)?.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_uuid_is_a_request_id() {
        let id = "b013c59f-328e-4664-89ed-f6fc9148a433";

        assert_eq!(of(&named(id)).unwrap().to_string(), id);
        assert_eq!(of(&named("+4915112345678")), None);
        assert_eq!(of(&HeaderMap::new()), None);
    }

    fn named(id: &str) -> HeaderMap {
        HeaderMap::from_iter([(HEADER.parse().unwrap(), id.parse().unwrap())])
    }
}
