//! Where assistants run: containers of a Docker engine, each with a volume, a published port and
//! nothing else. The trait [`Runtime`] speaks our words, [`Docker`] is the engine,
//! [`fake::FakeRuntime`] a world for tests, and [`External`] names addresses somebody else serves.
//!
//! Knows nothing of rows, events or model keys. What a container is allowed stands in one place,
//! [`Limits`] and the function that makes its body. Secrets go into the container's environment and
//! nowhere else: not into an error, not into a log.

mod container;
mod docker;
mod error;
mod external;
pub mod fake;
mod runtime;

pub use container::{Limits, SANDBOX_LABEL};
pub use docker::{Docker, DockerConfig};
pub use error::RuntimeError;
pub use external::{External, ExternalError};
pub use runtime::{ContainerId, ContainerName, ContainerState, Found, Runtime, Spec, VolumeName};
