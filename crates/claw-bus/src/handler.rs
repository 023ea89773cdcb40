use std::{error::Error, time::Duration};

use async_trait::async_trait;
use claw_events::Event;
use tokio_util::sync::CancellationToken;

use crate::Tenure;

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
}

impl<E: Error + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self::retry(error)
    }
}
