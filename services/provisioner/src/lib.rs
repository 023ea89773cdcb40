//! Gives each user a sandbox, and keeps the sandboxes that run equal to those that should run. Knows nothing of
//! messages, calls and WhatsApp.

mod act;
mod announce;
mod app;
mod backend;
mod config;
mod containers;
mod fault;
mod handle_idle;
mod handle_order;
mod handle_request;
mod liveness;
mod model_keys;
mod orphans;
mod pool;
mod provision;
mod readiness;
mod reconcile;
mod refused_ports;
mod retry;
mod room;
mod start_permits;
mod start_queue;
mod step;
mod suspended_keys;
mod tend_pool;
mod wake_due;
mod wake_plan;

pub use app::App;
pub use backend::Backend;
pub use config::Config;
pub use containers::{ContainerSettings, Containers, Learned};
pub use fault::Fault;
pub use handle_idle::HandleIdle;
pub use handle_order::HandleOrder;
pub use handle_request::HandleRequest;
pub use liveness::Liveness;
pub use orphans::{KeyName, KnownKeys, UnknownKeys};
pub use provision::{Progress, Provisioner, Settings};
pub use readiness::{AgentProbe, Readiness, ReadinessProbe};
pub use reconcile::{Reconciler, ReconcilerIntervals};
pub use refused_ports::RefusedPorts;
pub use retry::RetryState;
pub use start_queue::{StartClass, StartQueue, Ticket};
pub use step::{
    Hosting, Observed, Step, Timeouts, is_pausing, needs_permit, next_step, retry_pause,
    step_after_failure,
};
