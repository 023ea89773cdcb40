//! Gives each user a sandbox, and keeps the sandboxes that run equal to those that should run. Knows nothing of
//! messages, calls and WhatsApp.

mod act;
mod action;
mod announce;
mod app;
mod backend;
mod config;
mod containers;
mod fault;
mod handle_request;
mod model_keys;
mod orphans;
mod provision;
mod readiness;
mod reconcile;
mod retry;
mod start_permit;
mod suspended_keys;

pub use action::{Action, Hosting, Observed, Timeouts, action_after_failure, next_action};
pub use app::App;
pub use backend::Backend;
pub use config::Config;
pub use containers::{ContainerSettings, Containers};
pub use fault::Fault;
pub use handle_request::HandleRequest;
pub use orphans::{KeyName, KnownKeys, UnknownKeys};
pub use provision::{Progress, Provisioner, Settings};
pub use readiness::{AgentProbe, Readiness, ReadinessProbe};
pub use reconcile::{Reconciler, ReconcilerIntervals};
pub use retry::RetryState;
