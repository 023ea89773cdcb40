//! Gives each person a sandbox of their own, and keeps what runs equal to what should run.

mod act;
mod app;
mod config;
mod containers;
mod door;
mod handle_request;
mod orphans;
mod provision;
mod reconcile;
mod step;
mod tell;
mod trouble;

pub use app::App;
pub use config::Config;
pub use containers::{ContainerSettings, Containers};
pub use door::{AgentDoors, Door, Doors};
pub use handle_request::HandleRequest;
pub use orphans::{KeyName, KnownKeys, Suspects};
pub use provision::{Place, Progress, Provisioner, Settings};
pub use reconcile::{Reconciler, Rhythm};
pub use step::{Hosting, Observed, Patience, Step, after_trouble, next_step};
pub use trouble::{Fault, Trouble};
