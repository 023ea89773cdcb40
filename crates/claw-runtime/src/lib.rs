//! The plumbing that every process needs: settings from the environment, logs, traces and metrics, tasks that
//! end together, health endpoints, an HTTP client and a clock. Knows nothing of the product.

pub mod clock;
mod env;
pub mod health;
pub mod http;
mod keyed_notify;
pub mod lifecycle;
mod metrics;
mod otlp;
pub mod process;
mod telemetry;

pub use clock::{Clock, FixedClock, SystemClock};
pub use env::{Env, EnvError};
pub use health::Health;
pub use http::HttpTimeouts;
pub use keyed_notify::{KeyedNotify, Listener};
pub use lifecycle::Lifecycle;
