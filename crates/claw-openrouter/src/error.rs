use std::time::Duration;

/// Why a call about keys did not work.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No answer: no connection, or none in time. The call may have had its effect.
    #[error("{operation}: OpenRouter did not answer")]
    Unreachable {
        /// What was tried.
        operation: &'static str,
        /// Why there was no answer.
        #[source]
        source: reqwest::Error,
    },
    /// Too many calls, or trouble on their side.
    #[error("{operation}: OpenRouter is busy or in trouble (status {status})")]
    Busy {
        /// What was tried.
        operation: &'static str,
        /// The HTTP status, or the code of an error inside an answer of status 200.
        status: u16,
        /// How long they ask us to wait; at most a minute.
        retry_after: Option<Duration>,
    },
    /// Our management key is wrong, revoked, or no management key.
    #[error(
        "{operation}: OpenRouter does not accept the management key (status {status}): {message}"
    )]
    Denied {
        /// What was tried.
        operation: &'static str,
        /// 401 or 403.
        status: u16,
        /// Their words, cut short.
        message: String,
    },
    /// They will not do this, however often it is asked.
    #[error("{operation}: OpenRouter refused (status {status}): {message}")]
    Refused {
        /// What was tried.
        operation: &'static str,
        /// The HTTP status, or the code of an error inside an answer of status 200.
        status: u16,
        /// Their words, cut short.
        message: String,
    },
    /// An answer that is not what the API describes, such as a proxy's HTML page. The call may have
    /// had its effect.
    #[error("{operation}: an answer of status {status} that cannot be read")]
    Unreadable {
        /// What was tried.
        operation: &'static str,
        /// The HTTP status.
        status: u16,
    },
    /// The key was made without the limit that was asked for, and was deleted again.
    #[error(
        "minting a model key: asked for a limit of {asked_usd} USD {asked_reset}, OpenRouter took {taken}"
    )]
    LimitNotTaken {
        /// US dollars asked for.
        asked_usd: f64,
        /// Period asked for.
        asked_reset: &'static str,
        /// What the answer says instead.
        taken: String,
    },
}

/// Who can do something about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyErrorClass {
    /// Time: the same call may work later.
    Transient,
    /// The operator: the account or its management key is wrong.
    Operator,
    /// Nobody: the same call will never work.
    Permanent,
}

impl KeyError {
    /// Who can do something about it.
    pub fn class(&self) -> KeyErrorClass {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } | Self::Unreadable { .. } => {
                KeyErrorClass::Transient
            }
            Self::Denied { .. } => KeyErrorClass::Operator,
            Self::Refused { .. } | Self::LimitNotTaken { .. } => KeyErrorClass::Permanent,
        }
    }

    /// Whether the same call may work later.
    pub fn is_transient(&self) -> bool {
        self.class() == KeyErrorClass::Transient
    }

    /// How long to wait before the next try, if they said.
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
