use std::{sync::Arc, time::Duration};

use anyhow::anyhow;
use claw_agent::{Cursor, RetryClass, pause_before};
use claw_bus::HandlerError;
use claw_domain::Endpoint;
use claw_store::TranscriptCursor;
use rand::random;
use tokio::time::Instant;
use tracing::error;

use super::UserActor;
use crate::{agents::SessionError, session::Session};

/// How long to wait before a sandbox that does not accept us is tried again: ten bad tries in a
/// minute lock us out for five.
const REFUSED_PAUSE: Duration = Duration::from_mins(5);

/// A connection that lived shorter counts as a failed one: one that is closed again and again must
/// not be made again and again without a pause.
const LASTING: Duration = Duration::from_secs(10);

/// The connection to a person's sandbox, and where its transcript has been read to.
#[derive(Default)]
pub(super) struct Connection {
    open: Option<Open>,
    failures: u32,
    /// Where connecting failed, and when it may be tried again.
    closed: Option<(Endpoint, Instant)>,
    /// Everything up to here is said and kept.
    pub(super) read_to: Option<TranscriptCursor>,
    /// When the transcript is read next though nothing is heard of it.
    pub(super) look_at: Option<Instant>,
}

struct Open {
    at: Endpoint,
    session: Arc<Session>,
    since: Instant,
}

impl Connection {
    /// Returns when there is news of the sandbox; never without a connection.
    pub(super) async fn news(&self) {
        match &self.open {
            Some(open) => open.session.news().await,
            None => std::future::pending().await,
        }
    }

    /// Whether there is a connection, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|open| !open.session.handle().is_closed())
    }

    /// Gives up the connection, if there is one.
    pub(super) fn hang_up(&mut self) {
        self.open = None;
    }

    /// Where reading the transcript goes on.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.read_to
            .as_ref()
            .map(|read_to| Cursor::new(read_to.cursor.as_str()))
    }

    fn session_at(&self, endpoint: &Endpoint) -> Option<Arc<Session>> {
        let open = self.open.as_ref()?;
        let is_good = open.at == *endpoint && !open.session.handle().is_closed();
        is_good.then(|| Arc::clone(&open.session))
    }
}

impl UserActor {
    /// The session with the sandbox, which is ready; connects when there is none.
    pub(super) async fn connect(&mut self) -> Result<Arc<Session>, HandlerError> {
        let Some(sandbox) = &self.sandbox else {
            return Err(HandlerError::retry(SessionError::Incomplete("row")));
        };
        let Some(endpoint) = &sandbox.endpoint else {
            return Err(HandlerError::retry(SessionError::Incomplete("endpoint")));
        };
        if let Some(session) = self.connection.session_at(endpoint) {
            return Ok(session);
        }
        if let Some((at, until)) = &self.connection.closed
            && at == endpoint
            && Instant::now() < *until
        {
            let pause = until.saturating_duration_since(Instant::now());
            let too_soon = anyhow!("the sandbox is tried again later");
            return Err(HandlerError::retry_after(too_soon, pause));
        }
        let endpoint = endpoint.clone();
        match self.connection.open.take().map(|open| open.since.elapsed()) {
            Some(lived) if lived < LASTING => {
                let closes = anyhow!("the sandbox closes connections");
                return Err(self.unconnected(endpoint, RetryClass::Backoff, closes));
            }
            Some(_) => self.connection.failures = 0,
            None => {}
        }
        match self.context.agents.connect(sandbox, &endpoint).await {
            Ok(session) => {
                let session = Arc::new(session);
                if self.connection.read_to.is_none() {
                    self.connection.read_to.clone_from(&sandbox.transcript);
                }
                self.connection.closed = None;
                // What was said while nobody was connected is in the transcript.
                self.connection.look_at = Some(Instant::now());
                self.connection.open = Some(Open {
                    at: endpoint,
                    session: Arc::clone(&session),
                    since: Instant::now(),
                });
                Ok(session)
            }
            // The database being away is not the sandbox's doing.
            Err(error @ SessionError::Store(_)) => Err(HandlerError::retry(error)),
            Err(error) => {
                let class = error.retry();
                if class == RetryClass::Never {
                    error!(
                        sandbox.id = %sandbox.id,
                        error = &error as &dyn std::error::Error,
                        "sandbox {} does not accept us: its token or device must be looked at",
                        sandbox.id
                    );
                }
                Err(self.unconnected(endpoint, class, error.into()))
            }
        }
    }

    fn unconnected(
        &mut self,
        endpoint: Endpoint,
        class: RetryClass,
        error: anyhow::Error,
    ) -> HandlerError {
        self.connection.failures = self.connection.failures.saturating_add(1);
        // Its row may tell of another place by now.
        self.mailbox.reread_sandbox();
        let pause = pause_before(class, self.connection.failures, random());
        let pause = pause.unwrap_or(REFUSED_PAUSE);
        self.connection.closed = Some((endpoint, Instant::now() + pause));
        HandlerError::retry_after(error, pause)
    }
}
