use async_nats::HeaderMap;
use claw_events::Event;
use opentelemetry::{
    global,
    propagation::{Extractor, Injector},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Which event this is: `<family>.<fact>`.
const EVENT: &str = "Claw-Event";

/// Its version, see `Event::VERSION`.
const VERSION: &str = "Claw-Event-Version";

/// Of which event this is a replay: `<stream>:<sequence>`.
pub(crate) const REPLAY_OF: &str = "Claw-Replay-Of";

/// What a replay has in common with the event it repeats: its meaning, and the trace it belongs to.
const KEPT_BY_REPLAY: [&str; 3] = [VERSION, "traceparent", "tracestate"];

/// The headers every published event carries: its id, its type, and the trace it belongs to.
pub(crate) fn of_event<E: Event>(event: &E) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        async_nats::header::NATS_MESSAGE_ID,
        event.dedup_key().as_str(),
    );
    headers.insert(
        EVENT,
        format!("{}.{}", E::STREAM.family(), E::FACT).as_str(),
    );
    headers.insert(VERSION, E::VERSION.to_string().as_str());
    inject_trace(&mut headers);
    headers
}

/// The headers of a replay of the event `of` (`<stream>:<sequence>`), which came with `old` ones, under
/// an id of its own. `kind` is its type, `<family>.<fact>`.
pub(crate) fn of_replay(id: &str, kind: &str, of: &str, old: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(async_nats::header::NATS_MESSAGE_ID, id);
    headers.insert(EVENT, kind);
    headers.insert(REPLAY_OF, of);
    for name in KEPT_BY_REPLAY {
        if let Some(value) = old.get(name) {
            headers.insert(name, value.as_str());
        }
    }
    headers
}

/// Writes the current span's trace context into `headers`.
pub(crate) fn inject_trace(headers: &mut HeaderMap) {
    let context = Span::current().context();
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut Writer(headers));
    });
}

/// Makes `span` a child of the trace found in `headers`, if there is one.
pub(crate) fn continue_trace(span: &Span, headers: Option<&HeaderMap>) {
    let Some(headers) = headers else { return };
    let parent = global::get_text_map_propagator(|propagator| propagator.extract(&Reader(headers)));
    // Fails only when the span is disabled or no tracer is installed: then there is nothing to join.
    let _ = span.set_parent(parent);
}

struct Writer<'a>(&'a mut HeaderMap);

impl Injector for Writer<'_> {
    fn set(&mut self, key: &str, value: String) {
        // `tracestate` is written even when empty, which is not worth a header.
        if !value.is_empty() {
            self.0.insert(key, value.as_str());
        }
    }
}

struct Reader<'a>(&'a HeaderMap);

impl Extractor for Reader<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(async_nats::HeaderValue::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(key, _)| key.as_ref()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_keeps_version_and_trace_and_nothing_else_of_the_old_headers() {
        let mut old = HeaderMap::new();
        old.insert(async_nats::header::NATS_MESSAGE_ID, "old");
        old.insert(VERSION, "2");
        old.insert("traceparent", "00-1-2-01");
        old.insert(claw_events::DeadLetter::ERROR, "never");

        let new = of_replay("new", "in.message", "INBOUND:17", &old);

        let value = |name: &str| new.get(name).map(async_nats::HeaderValue::as_str);
        assert_eq!(value("Nats-Msg-Id"), Some("new"));
        assert_eq!(value("Claw-Event"), Some("in.message"));
        assert_eq!(value("Claw-Event-Version"), Some("2"));
        assert_eq!(value("Claw-Replay-Of"), Some("INBOUND:17"));
        assert_eq!(value("traceparent"), Some("00-1-2-01"));
        assert_eq!(value(claw_events::DeadLetter::ERROR), None);
    }
}
