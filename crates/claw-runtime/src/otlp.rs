//! The export of spans to a collector over OTLP/HTTP.

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

/// The collector is expected on the same machine or network.
const COLLECTOR_TIMEOUTS: HttpTimeouts = HttpTimeouts {
    connect: Duration::from_secs(2),
    total: Duration::from_secs(5),
};

/// Spans held while the collector is slow, about 1 MB. Further spans are dropped.
const SPANS_HELD: usize = 2048;

/// The path of the collector for traces, relative to the base address in OpenTelemetry's variable.
const TRACES_PATH: &str = "/v1/traces";

/// Creates a provider that exports spans under the name `service` to the collector at `base`, in batches.
/// A trace that began elsewhere keeps its sampling decision. All traces that begin here are sampled, unless
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
        .context("OTEL_EXPORTER_OTLP_ENDPOINT: expected the address of a collector")?;
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

/// By specification the variable holds a base address, but the whole address is accepted, too.
fn traces_url(base: &str) -> String {
    let base = base.trim_end_matches('/');
    if base.ends_with(TRACES_PATH) {
        base.to_owned()
    } else {
        format!("{base}{TRACES_PATH}")
    }
}

/// Exports on the tokio runtime, which the HTTP client needs and the SDK's batching thread lacks.
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

    /// Logs when exports begin to fail and when they work again, but not every failed batch.
    fn report(&self, result: &OTelSdkResult) {
        let was_failing = self.is_failing.swap(result.is_err(), Ordering::Relaxed);
        match result {
            Err(error) if !was_failing => warn!(%error, "the collector does not accept spans"),
            Ok(()) if was_failing => info!("the collector accepts spans again"),
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
    fn the_path_is_appended_to_a_base_address_only() {
        for base in ["http://c:4318", "http://c:4318/", "http://c:4318/v1/traces"] {
            assert_eq!(traces_url(base), "http://c:4318/v1/traces", "{base}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_shutdown_exports_the_last_spans() {
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
    async fn an_absent_collector_does_not_delay_the_shutdown() {
        let provider = tracer_provider("lamp-post", "http://127.0.0.1:1").unwrap();

        provider.tracer("tests").start("into the dark").end();

        let _ = provider.shutdown_with_timeout(Duration::from_secs(2));
    }
}
