//! Spans, sent to a collector over OTLP/HTTP.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter},
};
use tokio::runtime::Handle;
use tracing::{info, warn};

use crate::http::{self, HttpTimeouts};

/// A collector stands nearby or it is not there.
const COLLECTOR_TIMEOUTS: HttpTimeouts = HttpTimeouts {
    connect: Duration::from_secs(2),
    total: Duration::from_secs(5),
};

/// Spans held while the collector is slow; more are dropped. About 1 MB.
const SPANS_HELD: usize = 2048;

/// Where the collector takes traces, relative to the base address OpenTelemetry's variable holds.
const TRACES_PATH: &str = "/v1/traces";

/// Makes spans under the name `service` and sends them to the collector at `base` in batches.
/// A trace begun elsewhere is followed as its beginner decided; ours are all kept, unless
/// `OTEL_TRACES_SAMPLER` says otherwise.
pub(crate) fn tracer_provider(
    service: &'static str,
    base: &str,
) -> anyhow::Result<SdkTracerProvider> {
    let exporter = OtlpExporter::builder()
        .with_http()
        .with_http_client(http::client(COLLECTOR_TIMEOUTS))
        .with_endpoint(traces_url(base))
        .build()
        .context("OTEL_EXPORTER_OTLP_ENDPOINT will not do")?;
    let spans = BatchSpanProcessor::builder(OnRuntime::new(exporter))
        .with_batch_config(
            BatchConfigBuilder::default()
                .with_max_queue_size(SPANS_HELD)
                .build(),
        )
        .build();
    Ok(SdkTracerProvider::builder()
        .with_span_processor(spans)
        .with_resource(Resource::builder().with_service_name(service).build())
        .build())
}

/// The variable holds a base address by its specification; some put the whole address there.
fn traces_url(base: &str) -> String {
    let base = base.trim_end_matches('/');
    if base.ends_with(TRACES_PATH) {
        base.to_owned()
    } else {
        format!("{base}{TRACES_PATH}")
    }
}

/// Exports on the tokio runtime. The SDK's batching thread has none of its own, and the HTTP client
/// cannot work without.
#[derive(Debug)]
struct OnRuntime {
    exporter: Arc<OtlpExporter>,
    runtime: Handle,
    is_failing: AtomicBool,
}

impl OnRuntime {
    fn new(exporter: OtlpExporter) -> Self {
        Self {
            exporter: Arc::new(exporter),
            runtime: Handle::current(),
            is_failing: AtomicBool::new(false),
        }
    }

    /// Says when exports begin to fail and when they work again, not for every batch.
    fn report(&self, result: &OTelSdkResult) {
        let was_failing = self.is_failing.swap(result.is_err(), Ordering::Relaxed);
        match result {
            Err(error) if !was_failing => warn!(%error, "the collector does not take our spans"),
            Ok(()) if was_failing => info!("the collector takes our spans again"),
            Ok(()) | Err(_) => {}
        }
    }
}

impl SpanExporter for OnRuntime {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exporter = Arc::clone(&self.exporter);
        let result = self
            .runtime
            .spawn(async move { exporter.export(batch).await })
            .await
            .unwrap_or_else(|error| Err(OTelSdkError::InternalFailure(error.to_string())));
        self.report(&result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        if let Some(exporter) = Arc::get_mut(&mut self.exporter) {
            exporter.set_resource(resource);
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Bytes, routing::post};
    use opentelemetry::trace::{Span, Tracer, TracerProvider};
    use tokio::{net::TcpListener, sync::mpsc};

    use super::*;

    #[test]
    fn the_endpoint_is_a_base_address_unless_it_is_whole() {
        for base in ["http://c:4318", "http://c:4318/", "http://c:4318/v1/traces"] {
            assert_eq!(traces_url(base), "http://c:4318/v1/traces", "{base}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_span_reaches_the_collector_at_the_latest_when_the_process_ends() {
        let (taken, mut bodies) = mpsc::channel(4);
        let take = async move |body: Bytes| taken.send(body).await.unwrap();
        let router = Router::new().route("/v1/traces", post(take));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });

        let provider = tracer_provider("lamp-post", &base).unwrap();
        provider.tracer("tests").start("lighting the lamp").end();
        provider
            .shutdown_with_timeout(Duration::from_secs(5))
            .unwrap();

        let body = bodies.recv().await.unwrap();
        let holds = |text: &str| body.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(holds("lamp-post"), "the service's name is missing");
        assert!(holds("lighting the lamp"), "the span's name is missing");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_collector_that_is_not_there_holds_nobody_up() {
        let provider = tracer_provider("lamp-post", "http://127.0.0.1:1").unwrap();

        provider.tracer("tests").start("into the dark").end();

        let _ = provider.shutdown_with_timeout(Duration::from_secs(2));
    }
}
