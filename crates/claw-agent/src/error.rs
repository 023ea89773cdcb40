use std::time::Duration;

use tokio_tungstenite::tungstenite;

use crate::CloseReason;

/// OpenClaw's refusal of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("OpenClaw refused: {code} ({})", detail.as_deref().unwrap_or("no detail"))]
pub struct Refusal {
    /// `INVALID_REQUEST`, `UNAVAILABLE`, `FORBIDDEN`, `NOT_PAIRED`, or a code added later.
    pub(crate) code: String,
    /// OpenClaw's explanation. Not for users, and not stable enough to branch on.
    pub(crate) message: String,
    /// `details.code`, or `details.reason` if there is no code.
    pub(crate) detail: Option<String>,
    /// `details.reason`; says why a pairing is required.
    pub(crate) reason: Option<String>,
    /// Whether the same request may succeed later, according to OpenClaw.
    pub(crate) retryable: bool,
    /// The pause OpenClaw advises, capped at ten minutes.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Whether `chat.send` was refused because its run key was already used for another text.
    pub fn is_conflict(&self) -> bool {
        self.detail.as_deref() == Some("chat-request-conflict")
    }

    /// Whether `chat.send` was refused because an earlier OpenClaw process had accepted this run key
    /// and died before the run began. OpenClaw will not begin that run, and wants a new key ("Pending
    /// input ownership ended; submit a new turn to continue", observed after a SIGKILL; the refusal
    /// has no detail code).
    pub fn is_key_spent(&self) -> bool {
        self.code == "UNAVAILABLE" && !self.retryable && self.message.contains(KEY_SPENT)
    }
}

/// The only mark of a refusal for a spent key.
const KEY_SPENT: &str = "Pending input ownership ended";

/// When connecting may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryClass {
    /// After a growing pause.
    Backoff,
    /// After the pause OpenClaw advised. An earlier attempt can prolong the lockout.
    After(Duration),
    /// Every few seconds, until the approver inside the container has approved our device. Worth an
    /// alarm after a minute.
    AwaitApproval,
    /// Not until an operator has acted. Ten bad attempts lock out every client behind our address
    /// for five minutes.
    Never,
}

/// Why there is no connection: the socket could not be opened, or OpenClaw refused the handshake.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing listens at the address, or the server does not speak WebSocket.
    #[error("OpenClaw cannot be reached")]
    Unreachable(#[source] Box<tungstenite::Error>),
    /// The handshake took too long.
    #[error("OpenClaw did not finish the handshake in time")]
    TimedOut,
    /// OpenClaw accepts connections but is not ready yet, or is shutting down.
    #[error("OpenClaw is starting or stopping")]
    Unavailable {
        /// The pause it advised.
        retry_after: Option<Duration>,
    },
    /// Too many bad tokens came from our address. OpenClaw now refuses the right one as well.
    #[error("OpenClaw locked our address out")]
    LockedOut {
        /// The pause it advised.
        retry_after: Option<Duration>,
    },
    /// Our device is not approved, or not with the scopes, role or metadata that we present.
    #[error("OpenClaw has not approved this device ({reason})")]
    NotPaired {
        /// `not-paired`, `scope-upgrade`, `role-upgrade`, `metadata-upgrade`.
        reason: String,
    },
    /// The token is missing or wrong.
    #[error("OpenClaw does not accept this token")]
    BadToken,
    /// The signature, its age, its nonce or the device id is wrong.
    #[error("OpenClaw does not accept this device's signature ({detail})")]
    BadSignature {
        /// OpenClaw's code for the part that is wrong.
        detail: String,
    },
    /// OpenClaw does not speak our protocol.
    #[error("OpenClaw speaks another protocol: {0}")]
    Protocol(String),
    /// We are connected without the permissions we need: OpenClaw does not know our device, or has
    /// not checked it.
    #[error("OpenClaw did not grant {missing}")]
    ScopesMissing {
        /// The missing scopes, comma separated.
        missing: String,
    },
    /// Refused for a reason unknown to us.
    #[error(transparent)]
    Refused(Refusal),
    /// The socket closed before the end of the handshake.
    #[error("the socket closed during the handshake")]
    Closed(#[source] CloseReason),
}

impl ConnectError {
    /// When connecting may be tried again.
    pub const fn retry(&self) -> RetryClass {
        match self {
            Self::Unavailable {
                retry_after: Some(after),
            }
            | Self::LockedOut {
                retry_after: Some(after),
            } => RetryClass::After(*after),
            Self::LockedOut { retry_after: None } => RetryClass::After(LOCKOUT),
            Self::NotPaired { .. } => RetryClass::AwaitApproval,
            Self::BadToken
            | Self::BadSignature { .. }
            | Self::Protocol(_)
            | Self::ScopesMissing { .. } => RetryClass::Never,
            Self::Unreachable(_)
            | Self::TimedOut
            | Self::Unavailable { retry_after: None }
            | Self::Refused(_)
            | Self::Closed(_) => RetryClass::Backoff,
        }
    }

    /// Classifies the refusal of a `connect` request.
    pub(crate) fn from_refusal(refusal: Refusal) -> Self {
        let detail = refusal.detail.as_deref().unwrap_or_default();
        match (refusal.code.as_str(), detail) {
            ("UNAVAILABLE", _) => Self::Unavailable {
                retry_after: refusal.retry_after,
            },
            (_, "AUTH_RATE_LIMITED") => Self::LockedOut {
                retry_after: refusal.retry_after,
            },
            ("NOT_PAIRED", _) | (_, "PAIRING_REQUIRED") => Self::NotPaired {
                reason: refusal.reason.unwrap_or_else(|| "not-paired".to_owned()),
            },
            (_, detail) if detail.starts_with("AUTH_") => Self::BadToken,
            (_, "PROTOCOL_MISMATCH") => Self::Protocol(refusal.message),
            (_, detail) if detail.starts_with("DEVICE_AUTH_") => Self::BadSignature {
                detail: detail.to_owned(),
            },
            ("INVALID_REQUEST", "") => Self::Protocol(refusal.message),
            _ => Self::Refused(refusal),
        }
    }
}

/// How long OpenClaw, by default, refuses an address after ten failed attempts within a minute.
const LOCKOUT: Duration = Duration::from_mins(5);

/// Why a request has no answer, and whether it may have taken effect.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The request had no effect: it never left this process.
    #[error("the request was not sent")]
    NotSent(#[source] NotSent),
    /// The request may have taken effect: check before sending it again.
    #[error("the request was sent, but its outcome is unknown")]
    Unknown(#[source] Unanswered),
    /// OpenClaw refused the request; it had no effect.
    #[error(transparent)]
    Refused(Refusal),
}

impl CallError {
    /// Whether the same request may succeed later, on this connection or the next.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::NotSent(NotSent::TooLarge { .. }) => false,
            Self::NotSent(NotSent::Closed) | Self::Unknown(_) => true,
            Self::Refused(refusal) => refusal.retryable,
        }
    }
}

/// Why a request was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
    /// The frame is too long; OpenClaw would close the connection without an explanation.
    #[error("the frame of {bytes} bytes exceeds OpenClaw's limit of {limit}")]
    TooLarge {
        /// Length of the frame.
        bytes: usize,
        /// Longest frame allowed, in bytes.
        limit: usize,
    },
}

/// Why a sent request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// No answer came in time.
    #[error("no answer came in time")]
    TimedOut,
    /// The connection closed first.
    #[error("the connection closed before the answer")]
    Closed,
    /// The answer does not have the shape of an answer to this request.
    #[error("the answer could not be decoded")]
    Unreadable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lockout_without_advice_is_retried_after_the_default_five_minutes() {
        let error = ConnectError::LockedOut { retry_after: None };

        assert_eq!(error.retry(), RetryClass::After(Duration::from_mins(5)));
    }
}
