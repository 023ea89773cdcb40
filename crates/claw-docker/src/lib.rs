//! The places where sandboxes run. [`Runtime`] keeps containers, each with one volume and one published
//! port; [`Docker`] implements it with a Docker engine, [`fake::FakeRuntime`] in memory for tests.
//! [`ExternalAddresses`] are the addresses of sandboxes that run elsewhere.
//!
//! Knows nothing of rows, events or model keys. Everything a container may do and use is in
//! `container.rs`. Secrets go only into the container's environment, never into an error or a log.

mod container;
mod docker;
mod error;
mod external;
pub mod fake;
mod runtime;

pub use docker::{Docker, DockerConfig};
pub use error::RuntimeError;
pub use external::{ExternalAddressError, ExternalAddresses};
pub use runtime::{
    ContainerId, ContainerName, ContainerSpec, ContainerState, EngineInfo, ListedContainer,
    Runtime, VolumeName,
};
