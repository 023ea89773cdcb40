use std::{error::Error, fmt, pin::Pin, time::Duration};

use async_trait::async_trait;
use claw_events::Event;
use tokio_util::sync::CancellationToken;

use crate::{PublishError, Tenure};

/// Handles events of one type. It may get the same event again after a crash or a lost acknowledgement, and must
/// then have no further effect.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// The type of the events.
    type Event: Event;

    /// Handles one event. `Ok` means that all effects are durable; `?` means "retry later"; use
    /// [`HandlerError::reject`] if a retry cannot help.
    async fn handle(&self, event: &Self::Event, attempt: &Attempt) -> Result<(), HandlerError>;

    /// Called after a given-up event was stored in `DEAD` and before the user's next event, so that the handler can
    /// tell the user. May be called again after a crash. Not called for an event that ended processes
    /// ([`DeadReason::Fatal`](claw_events::DeadReason::Fatal)).
    async fn given_up(&self, _event: &Self::Event) -> Result<(), HandlerError> {
        Ok(())
    }
}

/// The delivery that a handler works on.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The number of the attempt under this tenure, from 1.
    pub number: u32,
    /// The event's position in its stream.
    pub sequence: u64,
    /// Whether the event is a replay by an operator (`clawkaka replay`), so that given-up work may be tried again.
    pub is_replay: bool,
    /// Cancelled when the service stops or another replica should hold this user. A waiting handler should return a
    /// retry then.
    pub stop: CancellationToken,
    /// The tenure under which the event was delivered. If the tenure is lost, the handler is not cancelled; before an
    /// effect that must not happen twice it checks [`Tenure::may_act`].
    pub tenure: Tenure,
}

/// The next step for an event that was not handled. It does not implement `Error`, so that `?` can turn any error
/// into a retry.
#[derive(Debug)]
pub enum HandlerError {
    /// Retry; later events of the same user wait.
    Retry {
        /// Why the event could not be handled.
        source: anyhow::Error,
        /// The pause before the retry; `None` for a growing one.
        after: Option<Duration>,
    },
    /// A retry cannot help: the event goes to `DEAD`, for an operator to look at.
    Reject {
        /// Why the event can never be handled.
        source: anyhow::Error,
    },
    /// Retry later, and let later events of the same user go first.
    Defer(Duration),
    /// Retry when this future has ended. Meanwhile the event is kept in memory, unacknowledged; the user's later events
    /// are tried, and those that are parked as well stay behind this one. The time does not count towards giving up.
    Park(Parked),
}

/// The future at whose end a parked event is retried. It may end early: then the handler parks the event again.
pub struct Parked(pub(crate) Pin<Box<dyn Future<Output = ()> + Send>>);

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parked")
    }
}

impl HandlerError {
    /// Retry after a growing pause.
    pub fn retry(source: impl Into<anyhow::Error>) -> Self {
        Self::Retry {
            source: source.into(),
            after: None,
        }
    }

    /// Retry after this pause.
    pub fn retry_after(source: impl Into<anyhow::Error>, after: Duration) -> Self {
        Self::Retry {
            source: source.into(),
            after: Some(after),
        }
    }

    /// A retry cannot help.
    pub fn reject(source: impl Into<anyhow::Error>) -> Self {
        Self::Reject {
            source: source.into(),
        }
    }

    /// Retry after `pause`, and let later events of the same user go first.
    pub const fn defer(pause: Duration) -> Self {
        Self::Defer(pause)
    }

    /// Retry when `until` has ended, behind no later event that is parked as well.
    pub fn park(until: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::Park(Parked(Box::pin(until)))
    }
}

/// A retry, unless the error says that none can help: then a user would wait for ever.
impl<E: Error + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let publishing = (&error as &dyn Error).downcast_ref();
        if let Some(PublishError::TooLarge { .. }) = publishing {
            return Self::reject(error);
        }
        Self::retry(error)
    }
}

#[cfg(test)]
mod tests {
    use claw_domain::{Channel, ReplyId, ReplySource, ReplyText};
    use claw_events::{ReplyProduced, TurnFailed};

    use super::*;
    use crate::{Outgoing, PAYLOAD_LIMIT_BYTES};

    #[test]
    fn an_event_that_is_too_large_is_given_up_instead_of_retried() {
        let failed = TurnFailed {
            user: claw_testkit::user("ada"),
            sandbox: "sbx_00000000000000000000000000000000".parse().unwrap(),
            cause: "msg_00000000000000000000000000000000".parse().unwrap(),
            failure: "x".repeat(PAYLOAD_LIMIT_BYTES),
        };

        let refused = Outgoing::new(&failed).unwrap_err();

        assert!(
            matches!(refused, PublishError::TooLarge { bytes, .. } if bytes > failed.failure.len())
        );
        assert!(matches!(
            HandlerError::from(refused),
            HandlerError::Reject { .. }
        ));
    }

    #[test]
    fn no_text_makes_a_reply_too_large() {
        // JSON writes six bytes for this one.
        for text in ["\u{1}", "\"", "😀", "x"] {
            let reply = ReplyProduced {
                id: ReplyId::derived_from("row"),
                user: claw_testkit::user("ada"),
                cause: None,
                source: ReplySource::Chat,
                channel: Channel::WhatsApp,
                text: text.repeat(ReplyText::MOST_BYTES).into(),
            };

            assert!(Outgoing::new(&reply).is_ok(), "{text:?}");
        }
    }
}
