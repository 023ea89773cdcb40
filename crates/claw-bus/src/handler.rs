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

    /// Called when an event was given up and is stored in `DEAD`, before the user's next event: the moment to tell
    /// the user. May be called again after a crash.
    async fn given_up(&self, _event: &Self::Event) -> Result<(), HandlerError> {
        Ok(())
    }
}

/// The delivery that a handler works on.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// 1 for the first attempt under this tenure, one more for each retry.
    pub number: u32,
    /// The event's position in its stream.
    pub sequence: u64,
    /// The event is a replay by an operator (`clawkaka replay`), so given-up work may be tried again.
    pub is_replay: bool,
    /// Cancelled when the service stops or another replica should hold this user. A handler that waits should then
    /// return a retry.
    pub stop: CancellationToken,
    /// The tenure under which the event was delivered. A handler is not cancelled when it is lost; before an effect
    /// that must not happen twice it checks [`Tenure::may_act`].
    pub tenure: Tenure,
}

/// What happens to an event that was not handled. It does not implement `Error`, so that `?` can turn any error
/// into a retry.
#[derive(Debug)]
pub enum HandlerError {
    /// Retry; later events of the same user wait.
    Retry {
        /// The cause.
        source: anyhow::Error,
        /// The pause before the retry; `None` for a growing one.
        after: Option<Duration>,
    },
    /// A retry cannot help: the event goes to `DEAD`, for an operator to look at.
    Reject {
        /// Why.
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
