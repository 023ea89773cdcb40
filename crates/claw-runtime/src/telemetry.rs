//! Logs, traces and metrics: what a process tells its operator.
//!
//! Read from the environment, so that it works before (and says why) the settings do not:
//! `LOG_FORMAT` is `human` (default) or `json`; `RUST_LOG` filters, `info` by default;
//! `OTEL_EXPORTER_OTLP_ENDPOINT` turns traces on, and OpenTelemetry's own variables
//! (`OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_HEADERS`, …) refine them.

use std::{
    io::{self, IsTerminal},
    str::FromStr,
    time::Duration,
};

use anyhow::Context;
use opentelemetry::{global, trace::TracerProvider};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tokio::{task::AbortHandle, time::interval};
use tracing::{Subscriber, warn};
use tracing_subscriber::{
    EnvFilter, Layer, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

use crate::{Env, metrics, otlp};

/// What is logged unless `RUST_LOG` says otherwise.
const DEFAULT_FILTER: &str = "info";

/// Longest an ending process waits for its last spans to be taken.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// Keeps telemetry going; [`Telemetry::flush`] it last.
#[derive(Debug)]
#[must_use = "spans still held are lost without a flush"]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    upkeep: AbortHandle,
}

/// Starts logs, traces and metrics for `service`, the name traces are found under. Once per process,
/// inside the tokio runtime. Fails on settings that will not do.
pub fn start(service: &'static str) -> anyhow::Result<Telemetry> {
    start_with(service, &Env::of_process())
}

fn start_with(service: &'static str, env: &Env) -> anyhow::Result<Telemetry> {
    let format = env.or("LOG_FORMAT", LogFormat::Human);
    let filter = filter(env);
    let endpoint = env.optional("OTEL_EXPORTER_OTLP_ENDPOINT");
    env.finish()?;

    let traces = endpoint
        .map(|base| otlp::tracer_provider(service, &base))
        .transpose()?;
    let spans = traces.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(service))
            .with_threads(false)
    });
    // Even a service that sends no spans of its own passes the trace on.
    global::set_text_map_propagator(TraceContextPropagator::new());
    tracing_subscriber::registry()
        .with(filter?)
        .with(format?.layer())
        .with(spans)
        .try_init()
        .context("starting the logs")?;
    Ok(Telemetry {
        traces,
        upkeep: start_metrics()?,
    })
}

impl Telemetry {
    /// Sends what is still held, for at most 3 s, and ends telemetry.
    pub fn flush(self) {
        self.upkeep.abort();
        if let Some(Err(error)) = self
            .traces
            .map(|traces| traces.shutdown_with_timeout(FLUSH_LIMIT))
        {
            warn!(%error, "the last spans were not taken");
        }
    }
}

fn filter(env: &Env) -> Result<EnvFilter, crate::EnvError> {
    let directives = env
        .optional("RUST_LOG")
        .unwrap_or_else(|| DEFAULT_FILTER.to_owned());
    EnvFilter::try_new(directives)
        .map_err(|error| env.invalid("RUST_LOG", format_args!("is no log filter: {error}")))
}

fn start_metrics() -> anyhow::Result<AbortHandle> {
    let recorder = metrics::install()?;
    let upkeep = tokio::spawn(async {
        let mut due = interval(metrics::UPKEEP_EVERY);
        loop {
            due.tick().await;
            recorder.run_upkeep();
        }
    });
    Ok(upkeep.abort_handle())
}

/// For whom the log lines are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogFormat {
    Human,
    Json,
}

impl LogFormat {
    /// Logs go to stderr: stdout belongs to what a command was asked for.
    fn layer<S>(self) -> Box<dyn Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
        match self {
            Self::Human => layer.with_ansi(io::stderr().is_terminal()).boxed(),
            Self::Json => layer
                .json()
                .flatten_event(true)
                .with_span_list(false)
                .boxed(),
        }
    }
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err("expected human or json"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn settings_that_will_not_do_are_all_named() {
        let env = Env::from_pairs([("LOG_FORMAT", "xml"), ("RUST_LOG", "claw=loud")]);

        let error = start_with("tests", &env).unwrap_err().to_string();

        assert!(
            error.contains("LOG_FORMAT is not a LogFormat: expected human or json"),
            "{error}"
        );
        assert!(error.contains("RUST_LOG is no log filter"), "{error}");
    }

    #[tokio::test]
    async fn telemetry_starts_and_ends_without_a_collector() {
        let env = Env::from_pairs([("LOG_FORMAT", "json")]);

        start_with("tests", &env).unwrap().flush();
    }
}
