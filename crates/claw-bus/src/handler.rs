use std::{error::Error, time::Duration};

use async_trait::async_trait;
use claw_events::Event;
use tokio_util::sync::CancellationToken;

use crate::Tenure;

/// Does what an event asks for. May see the same event again, after a crash or a lost
/// acknowledgement, and must then have no further effect.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// What it handles.
    type Event: Event;

    /// `Ok` when all effects are durable. `?` means "try again later"; that no retry can help is
    /// said with [`HandlerError::reject`].
    async fn handle(&self, event: &Self::Event, attempt: &Attempt) -> Result<(), HandlerError>;

    /// Called once an event that could not be handled is in `DEAD`, before the next one of the same
    /// person: the moment for an honest line to them. May be called again after a crash.
    async fn given_up(&self, _event: &Self::Event) -> Result<(), HandlerError> {
        Ok(())
    }
}

/// What a handler may know of the delivery it works on.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// 1 for the first try under this tenure, one more for each retry.
    pub number: u32,
    /// The event's position in its stream.
    pub sequence: u64,
    /// Somebody has replayed it (`clawkaka replay`): what was given up may be tried again.
    pub is_replay: bool,
    /// Cancelled when the service is to stop or somebody else should have this person: a handler that
    /// waits should give up with a retry then.
    pub stop: CancellationToken,
    /// Why the event is ours to handle. A handler goes on when this is lost, for what it has begun must
    /// come to an end; before an effect that must not happen twice it asks [`Tenure::may_act`].
    pub tenure: Tenure,
}

/// What should happen with an event that was not handled. Not an error type itself, so that `?` can
/// turn every other error into a retry.
#[derive(Debug)]
pub enum HandlerError {
    /// Try again; later events of the same person wait meanwhile.
    Retry {
        /// Why it did not work.
        source: anyhow::Error,
        /// How long to wait; `None` for a growing pause.
        after: Option<Duration>,
    },
    /// Trying again cannot help: the event goes to `DEAD` for people to look at.
    Reject {
        /// Why.
        source: anyhow::Error,
    },
    /// Come back to it later, and let later events of the same person go first.
    Defer(Duration),
}

impl HandlerError {
    /// Try again after a growing pause.
    pub fn retry(source: impl Into<anyhow::Error>) -> Self {
        Self::Retry {
            source: source.into(),
            after: None,
        }
    }

    /// Try again after this pause.
    pub fn retry_after(source: impl Into<anyhow::Error>, after: Duration) -> Self {
        Self::Retry {
            source: source.into(),
            after: Some(after),
        }
    }

    /// Trying again cannot help.
    pub fn reject(source: impl Into<anyhow::Error>) -> Self {
        Self::Reject {
            source: source.into(),
        }
    }

    /// Come back to it after `pause`, letting later events of the same person go first.
    pub const fn defer(pause: Duration) -> Self {
        Self::Defer(pause)
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self::retry(error)
    }
}
