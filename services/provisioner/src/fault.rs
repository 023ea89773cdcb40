use std::time::Duration;

use claw_docker::RuntimeError;
use claw_domain::FailureReason;
use claw_model_keys::KeyError;

/// Why observing a sandbox or acting on it failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A dependency of the sandbox failed: the step is retried, or the sandbox is given up.
    #[error("{}", reason.as_str())]
    Dependency {
        /// The reason that the user is told if the sandbox is given up.
        reason: FailureReason,
        /// Whether retries are useless.
        is_permanent: bool,
        /// The shortest pause that the dependency asked for.
        asked_pause: Option<Duration>,
        /// The dependency's error, for the log.
        #[source]
        source: anyhow::Error,
    },
    /// Our database or bus failed, for which the sandbox is not given up.
    #[error("our database or bus failed")]
    Internal(#[source] anyhow::Error),
}

impl From<RuntimeError> for Fault {
    fn from(error: RuntimeError) -> Self {
        let reason = match &error {
            RuntimeError::ImageMissing { .. } => FailureReason::ImageMissing,
            RuntimeError::PortTaken { .. } => FailureReason::NoFreePort,
            RuntimeError::EngineUnreachable { .. }
            | RuntimeError::NotOurs { .. }
            | RuntimeError::Refused { .. }
            | RuntimeError::Unreadable { .. } => FailureReason::Engine,
        };
        Self::Dependency {
            reason,
            is_permanent: !error.is_transient(),
            asked_pause: None,
            source: error.into(),
        }
    }
}

impl From<KeyError> for Fault {
    fn from(error: KeyError) -> Self {
        Self::Dependency {
            reason: FailureReason::ModelKey,
            is_permanent: !error.is_transient(),
            asked_pause: error.retry_after(),
            source: error.into(),
        }
    }
}

impl From<claw_store::StoreError> for Fault {
    fn from(error: claw_store::StoreError) -> Self {
        Self::Internal(error.into())
    }
}

impl From<claw_bus::PublishError> for Fault {
    fn from(error: claw_bus::PublishError) -> Self {
        Self::Internal(error.into())
    }
}
