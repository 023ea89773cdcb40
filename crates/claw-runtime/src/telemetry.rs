//! Logs, traces and metrics. Configured by the environment alone: `LOG_FORMAT` is `human` (default) or `json`;
//! `RUST_LOG` filters, `info` by default; `OTEL_EXPORTER_OTLP_ENDPOINT` turns traces on, and OpenTelemetry's
//! own variables (`OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_HEADERS`, …) refine
//! them.

use std::{
    io::{self, IsTerminal},
    str::FromStr,
    time::Duration,
};

use anyhow::Context;
use opentelemetry::{global, trace::TracerProvider};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tokio::time::interval;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Subscriber, warn};
use tracing_subscriber::{
    EnvFilter, Layer, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

use crate::{Env, EnvError, metrics, otlp};

/// The value of `RUST_LOG` if it is not set.
const DEFAULT_FILTER: &str = "info";

/// Longest wait for the export of the last spans.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// The settings of logs and traces.
pub(crate) struct Settings {
    format: LogFormat,
    filter: EnvFilter,
    collector: Option<String>,
}

impl Settings {
    pub(crate) fn read(env: &Env) -> Result<Self, EnvError> {
        let format = env.or("LOG_FORMAT", LogFormat::Human);
        let directives = env.or("RUST_LOG", DEFAULT_FILTER.to_owned());
        // A filter for some modules must not hide why the process ended.
        let filter = EnvFilter::try_new(format!("error,{}", directives?)).map_err(|error| {
            env.invalid("RUST_LOG", format_args!("expected a log filter: {error}"))
        });
        Ok(Self {
            format: format?,
            filter: filter?,
            collector: env.optional("OTEL_EXPORTER_OTLP_ENDPOINT"),
        })
    }

    /// Starts logs, traces and metrics for `service`, the name under which traces are found. Must be called
    /// once per process, inside the tokio runtime.
    pub(crate) fn start(self, service: &'static str) -> anyhow::Result<Telemetry> {
        let traces = self
            .collector
            .map(|base| otlp::tracer_provider(service, &base))
            .transpose()?;
        let spans = traces.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer(service))
                .with_threads(false)
        });
        // A service that exports no spans still propagates the traces of others.
        global::set_text_map_propagator(TraceContextPropagator::new());
        tracing_subscriber::registry()
            .with(self.filter)
            .with(self.format.layer())
            .with(spans)
            .try_init()
            .context("starting the logs")?;
        Ok(Telemetry {
            traces,
            _upkeep: start_metrics()?,
        })
    }
}

/// Keeps the export of spans and the upkeep of metrics running until it is flushed.
#[must_use = "without a flush, the last spans are lost"]
pub(crate) struct Telemetry {
    traces: Option<SdkTracerProvider>,
    _upkeep: AbortOnDropHandle<()>,
}

impl Telemetry {
    /// Exports the last spans, for at most 3 s, and ends telemetry.
    pub(crate) fn flush(self) {
        if let Some(Err(error)) = self
            .traces
            .map(|traces| traces.shutdown_with_timeout(FLUSH_LIMIT))
        {
            warn!(%error, "the last spans were not exported");
        }
    }
}

fn start_metrics() -> anyhow::Result<AbortOnDropHandle<()>> {
    let recorder = metrics::install()?;
    let upkeep = tokio::spawn(async {
        let mut due = interval(metrics::UPKEEP_EVERY);
        loop {
            due.tick().await;
            recorder.run_upkeep();
        }
    });
    Ok(AbortOnDropHandle::new(upkeep))
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogFormat {
    Human,
    Json,
}

impl LogFormat {
    /// Logs go to stderr, so that stdout is left to a command's results.
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

    #[test]
    fn every_wrong_setting_is_named() {
        let env = Env::from_pairs([("LOG_FORMAT", "xml"), ("RUST_LOG", "claw=loud")]);

        let error = Settings::read(&env).err().unwrap().to_string();

        assert!(
            error.contains("LOG_FORMAT: expected human or json"),
            "{error}"
        );
        assert!(
            error.contains("RUST_LOG: expected a log filter: "),
            "{error}"
        );
    }

    #[test]
    fn a_filter_for_one_module_shows_the_errors_of_all_unless_it_turns_logs_off() {
        let filter_of = |value| {
            let env = Env::from_pairs([("RUST_LOG", value)]);
            Settings::read(&env).unwrap().filter.to_string()
        };

        assert_eq!(filter_of("gateway=debug"), "gateway=debug,error");
        assert_eq!(filter_of("off"), "off");
    }

    #[tokio::test]
    async fn telemetry_starts_and_ends_without_a_collector() {
        let env = Env::from_pairs([("LOG_FORMAT", "json")]);

        Settings::read(&env)
            .unwrap()
            .start("tests")
            .unwrap()
            .flush();
    }
}
