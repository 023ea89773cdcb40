use async_nats::HeaderMap;
use claw_events::{Event, OperatorEvent, Stream};
use opentelemetry::{
    global,
    propagation::{Extractor, Injector},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Header: the event type, `<family>.<fact>`.
const EVENT: &str = "Claw-Event";

/// Header: the version of the event type, see `Event::VERSION`.
const VERSION: &str = "Claw-Event-Version";

/// Header: the event that this one replays, `<stream>:<sequence>`.
pub(crate) const REPLAY_OF: &str = "Claw-Replay-Of";

/// The headers that a replay copies from the replayed event.
const KEPT_BY_REPLAY: [&str; 3] = [VERSION, "traceparent", "tracestate"];

/// The headers of every published event: its id, its type and its trace context.
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

/// The headers of an operator event.
pub(crate) fn of_operator_event(event: &OperatorEvent) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        async_nats::header::NATS_MESSAGE_ID,
        event.dedup_key().as_str(),
    );
    let kind = format!("{}.{}", Stream::Operator.family(), event.kind());
    headers.insert(EVENT, kind.as_str());
    inject_trace(&mut headers);
    headers
}

/// The headers of a replay with an id of its own. `of` is the replayed event (`<stream>:<sequence>`), `old` are
/// its headers, `kind` is its type (`<family>.<fact>`).
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
    // Fails only if the span is disabled or no tracer is installed.
    let _ = span.set_parent(parent);
}

struct Writer<'a>(&'a mut HeaderMap);

impl Injector for Writer<'_> {
    fn set(&mut self, key: &str, value: String) {
        // The propagator writes an empty `tracestate`, which is not worth a header.
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
