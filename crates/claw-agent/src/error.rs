use std::time::Duration;

use tokio_tungstenite::tungstenite;

use crate::CloseReason;

/// What a gateway said when it refused a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the gateway refused: {code} ({})", detail.as_deref().unwrap_or("no detail"))]
pub struct GatewayError {
    /// `INVALID_REQUEST`, `UNAVAILABLE`, `FORBIDDEN`, `NOT_PAIRED` and others to come.
    pub code: String,
    /// For people, in the gateway's words; not for users, and not for branching.
    pub message: String,
    /// `details.code`, or `details.reason` where there is no code.
    pub detail: Option<String>,
    /// `details.reason`; says why a pairing is required.
    pub reason: Option<String>,
    /// The gateway says that the same request may succeed later.
    pub retryable: bool,
    /// After how long. At most ten minutes, whatever was said.
    pub retry_after: Option<Duration>,
}

impl GatewayError {
    /// Whether `chat.send` was refused because its run key was already used for another text.
    pub fn is_conflict(&self) -> bool {
        self.detail.as_deref() == Some("chat-request-conflict")
    }

    /// Whether `chat.send` was refused because an earlier life of the gateway had accepted this run
    /// key and died before the turn began: it will not begin it, and wants a new key ("Pending input
    /// ownership ended; submit a new turn to continue", seen after a SIGKILL; it has no detail code).
    pub fn is_key_spent(&self) -> bool {
        self.code == "UNAVAILABLE" && !self.retryable && self.message.contains(KEY_SPENT)
    }
}

/// The only mark of that refusal.
const KEY_SPENT: &str = "Pending input ownership ended";

/// When a connection attempt may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryClass {
    /// After a growing pause.
    Backoff,
    /// After the time the gateway named. Sooner makes it worse.
    After(Duration),
    /// Every few seconds: someone inside the container is about to approve us. Worth an alarm after
    /// a minute.
    AwaitApproval,
    /// Never by itself, and people must hear of it. Ten bad attempts lock everyone behind our
    /// address out for five minutes.
    Never,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens there, or it is no WebSocket server.
    #[error("the gateway cannot be reached")]
    Unreachable(#[source] Box<tungstenite::Error>),
    /// The handshake was not over in time.
    #[error("the gateway did not finish the handshake in time")]
    TimedOut,
    /// It listens but is not ready yet, or is going down.
    #[error("the gateway is starting or stopping")]
    Unavailable {
        /// What it advised.
        retry_after: Option<Duration>,
    },
    /// Too many bad tokens came from our address. The right one is refused as well.
    #[error("the gateway locked our address out")]
    LockedOut {
        /// What it advised.
        retry_after: Option<Duration>,
    },
    /// Our device is not approved, or not for this.
    #[error("the gateway has not approved this device ({reason})")]
    NotPaired {
        /// `not-paired`, `scope-upgrade`, `role-upgrade`, `metadata-upgrade`.
        reason: String,
    },
    /// The gateway token is missing or wrong.
    #[error("the gateway does not accept this token")]
    BadToken,
    /// The signature, its age, its nonce or the device id is wrong.
    #[error("the gateway does not accept this device's signature ({detail})")]
    BadSignature {
        /// Which of them.
        detail: String,
    },
    /// We and the gateway do not speak the same protocol.
    #[error("the gateway speaks another protocol: {0}")]
    Protocol(String),
    /// Connected, but not allowed to do what we need: a device is missing or was not looked at.
    #[error("the gateway granted no {missing}")]
    ScopesMissing {
        /// The scopes we lack, comma separated.
        missing: String,
    },
    /// Refused for a reason not known to us.
    #[error(transparent)]
    Refused(GatewayError),
    /// The socket closed before the handshake was over.
    #[error("the socket closed during the handshake")]
    Closed(#[source] CloseReason),
}

impl ConnectError {
    /// When to try again.
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

    /// What the refusal of `connect` means.
    pub(crate) fn from_refusal(error: GatewayError) -> Self {
        let detail = error.detail.as_deref().unwrap_or_default();
        match (error.code.as_str(), detail) {
            ("UNAVAILABLE", _) => Self::Unavailable {
                retry_after: error.retry_after,
            },
            (_, "AUTH_RATE_LIMITED") => Self::LockedOut {
                retry_after: error.retry_after,
            },
            ("NOT_PAIRED", _) | (_, "PAIRING_REQUIRED") => Self::NotPaired {
                reason: error.reason.unwrap_or_else(|| "not-paired".to_owned()),
            },
            (_, detail) if detail.starts_with("AUTH_") => Self::BadToken,
            (_, "PROTOCOL_MISMATCH") => Self::Protocol(error.message),
            (_, detail) if detail.starts_with("DEVICE_AUTH_") => Self::BadSignature {
                detail: detail.to_owned(),
            },
            ("INVALID_REQUEST", "") => Self::Protocol(error.message),
            _ => Self::Refused(error),
        }
    }
}

/// The gateway's default lockout.
const LOCKOUT: Duration = Duration::from_mins(5);

/// Why a call has no answer, and whether it may have had an effect.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// It certainly had no effect: nothing left this process.
    #[error("the request was not sent")]
    NotSent(#[source] NotSent),
    /// It may or may not have had its effect: look before doing it again.
    #[error("the request was sent and its fate is unknown")]
    Unknown(#[source] Unanswered),
    /// The gateway refused it; it had no effect.
    #[error(transparent)]
    Refused(GatewayError),
}

impl CallError {
    /// Whether the request may have taken effect although nobody said so.
    pub const fn may_have_happened(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// Whether the same request may succeed later, on this connection or the next.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::NotSent(NotSent::TooLarge { .. }) => false,
            Self::NotSent(NotSent::Closed) | Self::Unknown(_) => true,
            Self::Refused(error) => error.retryable,
        }
    }
}

/// Why a request was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The connection is gone.
    #[error("the connection is closed")]
    Closed,
    /// The gateway would close the connection without a word.
    #[error("the frame of {bytes} bytes is over the gateway's limit of {limit}")]
    TooLarge {
        /// How long the frame is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
}

/// Why a sent request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// No answer in time. The gateway ignores frames it cannot read, so this has to end.
    #[error("no answer came in time")]
    TimedOut,
    /// The connection closed first.
    #[error("the connection closed before the answer")]
    Closed,
    /// The answer is not what this request is answered with.
    #[error("the answer could not be read")]
    Unreadable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lockout_without_advice_is_waited_out_for_the_default_five_minutes() {
        let error = ConnectError::LockedOut { retry_after: None };

        assert_eq!(error.retry(), RetryClass::After(Duration::from_mins(5)));
    }

    #[test]
    fn only_a_request_that_left_us_may_have_happened() {
        assert!(CallError::Unknown(Unanswered::TimedOut).may_have_happened());
        assert!(!CallError::NotSent(NotSent::Closed).may_have_happened());
    }
}
