use std::{error::Error, time::Duration};

/// Why a call to a provider's account of keys failed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No connection, or no answer in time. The call may have had its effect.
    #[error("{operation}: the model provider did not answer")]
    Unreachable {
        /// The call, as in "minting a model key".
        operation: &'static str,
        /// The error of the HTTP client.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Too many calls, or a failure on the provider's side.
    #[error("{operation}: the model provider is busy or failing (status {status})")]
    Busy {
        /// The call, as in "minting a model key".
        operation: &'static str,
        /// The HTTP status, or the code of an error in an answer with status 200.
        status: u16,
        /// How long the provider asks us to wait; at most a minute.
        retry_after: Option<Duration>,
    },
    /// The management key is wrong or revoked, or is not a management key.
    #[error(
        "{operation}: the model provider rejected the management key (status {status}): {message}"
    )]
    Denied {
        /// The call, as in "minting a model key".
        operation: &'static str,
        /// The HTTP status: 401 or 403.
        status: u16,
        /// The provider's message, truncated.
        message: String,
    },
    /// The provider will not do this, however often it is asked.
    #[error("{operation}: the model provider refused (status {status}): {message}")]
    Refused {
        /// The call, as in "minting a model key".
        operation: &'static str,
        /// The HTTP status, or the code of an error in an answer with status 200.
        status: u16,
        /// The provider's message, truncated.
        message: String,
    },
    /// The answer is not what the API describes, for example a proxy's HTML page. The call may have had its
    /// effect.
    #[error("{operation}: the answer with status {status} cannot be parsed")]
    Unreadable {
        /// The call, as in "minting a model key".
        operation: &'static str,
        /// The HTTP status of the answer.
        status: u16,
    },
    /// The key was made without the requested limit, and was deleted again.
    #[error(
        "minting a model key: requested a limit of {asked_usd} USD {asked_reset}, the model provider applied {taken}"
    )]
    LimitNotTaken {
        /// The requested amount in US dollars.
        asked_usd: f64,
        /// The requested period: `daily`, `weekly` or `monthly`.
        asked_reset: &'static str,
        /// The limit in the provider's answer.
        taken: String,
    },
}

impl KeyError {
    /// Whether a retry of the same call may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } | Self::Unreadable { .. } => true,
            Self::Denied { .. } | Self::Refused { .. } | Self::LimitNotTaken { .. } => false,
        }
    }

    /// The pause before the next try, if the provider asked for one.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            Self::Unreachable { .. }
            | Self::Denied { .. }
            | Self::Refused { .. }
            | Self::Unreadable { .. }
            | Self::LimitNotTaken { .. } => None,
        }
    }
}
