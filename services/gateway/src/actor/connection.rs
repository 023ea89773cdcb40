use std::{sync::Arc, time::Duration};

use anyhow::anyhow;
use claw_agent::{Cursor, Flood, History, RetryClass, pause_before};
use claw_bus::HandlerError;
use claw_domain::{Backoff, Endpoint, SandboxId};
use claw_store::{Sandbox, TranscriptCursor, TranscriptMove};
use rand::random;
use tokio::time::Instant;
use tracing::error;

use crate::{
    agents::{Agents, SessionError},
    session::Session,
};

/// Pause after a sandbox has refused us: ten failed attempts in a minute lock us out for five minutes.
const REFUSED_PAUSE: Duration = Duration::from_mins(5);

/// A connection that lived shorter than this counts as a failed one, so that a connection that is closed
/// again and again is not made anew without a pause.
const MIN_LIFETIME: Duration = Duration::from_secs(10);

/// The pauses after a sandbox has sent too much. What it may send at once costs a fifth of a second of a processor.
const FLOOD_PAUSES: Backoff = Backoff {
    first: Duration::from_secs(5),
    longest: Duration::from_mins(10),
};

/// After this long without a flood, the next pause is the shortest again.
const FLOODS_FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// The connection to a user's sandbox, and how far its transcript has been read.
#[derive(Default)]
pub(super) struct Connection {
    open: Option<Open>,
    failures: u32,
    /// The endpoint at which connecting failed, and when it may be tried again.
    failed: Option<(Endpoint, Instant)>,
    floods: Floods,
    /// All rows up to here are published and recorded.
    read_to: Option<TranscriptCursor>,
    /// When the transcript is read next, even if no event prompts it.
    pub(super) look_at: Option<Instant>,
    /// At the last reading all rows were read, and no run was active.
    pub(super) is_read_to_end: bool,
}

/// How often a sandbox has sent too much.
#[derive(Default)]
struct Floods {
    /// Floods in a row, and the time of the last one.
    count: u32,
    last: Option<Instant>,
    /// When the sandbox may be connected to again, at whatever endpoint.
    until: Option<Instant>,
    /// The flood that the operator has not been told of.
    untold: Option<Flood>,
    /// The answer to the stored cursor may have been too long: read a page instead, which has a limit.
    skips_cursor: bool,
}

struct Open {
    endpoint: Endpoint,
    session: Arc<Session>,
    since: Instant,
}

impl Connection {
    /// Returns when the sandbox has sent an event. Without a connection it never returns.
    pub(super) async fn changed(&self) {
        match &self.open {
            Some(open) => open.session.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Whether there is a connection, as far as we know.
    pub(super) fn is_open(&self) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|open| !open.session.handle().is_closed())
    }

    /// Closes the connection, if there is one.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// The cursor at which reading the transcript continues.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        let read_to = self.read_to.as_ref().filter(|_| !self.floods.skips_cursor);
        read_to.map(|read_to| Cursor::new(read_to.cursor.as_str()))
    }

    /// Takes note that all rows up to `read_to` are published and recorded.
    pub(super) fn set_read_to(&mut self, read_to: Option<TranscriptCursor>) {
        self.read_to = read_to;
        self.floods.skips_cursor = false;
    }

    /// The latest flood, if it was not taken yet.
    pub(super) const fn take_flood(&mut self) -> Option<Flood> {
        self.floods.untold.take()
    }

    /// The move of the cursor to the end of `history`. `None` while a run is active: its rows are read
    /// again when it has ended, and known rows are recognized by their ids.
    pub(super) fn move_to_end_of(
        &self,
        history: &History,
        sandbox: SandboxId,
        boot_id: &str,
    ) -> Option<TranscriptMove> {
        let cursor = history.cursor.as_ref();
        let cursor = cursor.filter(|_| history.activity.is_idle())?;
        Some(TranscriptMove {
            sandbox,
            from: self.read_to.clone(),
            to: TranscriptCursor {
                cursor: cursor.as_str().to_owned(),
                boot_id: boot_id.to_owned(),
            },
        })
    }

    /// The session with a ready sandbox; connects if there is none.
    pub(super) async fn session(
        &mut self,
        agents: &Agents,
        sandbox: &Sandbox,
    ) -> Result<Arc<Session>, HandlerError> {
        let Some(endpoint) = &sandbox.endpoint else {
            return Err(SessionError::Incomplete("endpoint").into());
        };
        if let Some(session) = self.session_at(endpoint) {
            return Ok(session);
        }
        let failed = self.failed.as_ref().filter(|(at, _)| at == endpoint);
        let until = self.floods.until.max(failed.map(|(_, until)| *until));
        if let Some(until) = until
            && Instant::now() < until
        {
            let pause = until.saturating_duration_since(Instant::now());
            let too_soon = anyhow!("it is too soon to connect to the sandbox again");
            return Err(HandlerError::retry_after(too_soon, pause));
        }
        let closed = self.open.take();
        if let Some(open) = &closed
            && let Some(flood) = open.session.handle().flood().await
        {
            return Err(self.cut_off(flood));
        }
        match closed.map(|open| open.since.elapsed()) {
            Some(lifetime) if lifetime < MIN_LIFETIME => {
                let closed = anyhow!("the sandbox closed a connection right away");
                return Err(self.fail(endpoint, RetryClass::Backoff, closed));
            }
            Some(_) => self.failures = 0,
            None => {}
        }
        match agents.connect(sandbox, endpoint).await {
            Ok(session) => {
                let session = Arc::new(session);
                if self.read_to.is_none() {
                    self.read_to.clone_from(&sandbox.transcript);
                }
                self.failed = None;
                // The transcript holds what the assistant wrote while nobody was connected.
                self.look_at = Some(Instant::now());
                self.is_read_to_end = false;
                self.open = Some(Open {
                    endpoint: endpoint.clone(),
                    session: Arc::clone(&session),
                    since: Instant::now(),
                });
                Ok(session)
            }
            // The sandbox is not to blame for a failure of the database.
            Err(error @ SessionError::Store(_)) => Err(error.into()),
            Err(error) => {
                if let Some(flood) = error.flood() {
                    return Err(self.cut_off(flood));
                }
                let class = error.retry();
                if class == RetryClass::Never {
                    error!(
                        sandbox.id = %sandbox.id,
                        error = &error as &dyn std::error::Error,
                        "sandbox {} refuses us: check its token and device",
                        sandbox.id
                    );
                }
                Err(self.fail(endpoint, class, error.into()))
            }
        }
    }

    fn session_at(&self, endpoint: &Endpoint) -> Option<Arc<Session>> {
        let open = self.open.as_ref()?;
        let is_usable = open.endpoint == *endpoint && !open.session.handle().is_closed();
        is_usable.then(|| Arc::clone(&open.session))
    }

    fn cut_off(&mut self, flood: Flood) -> HandlerError {
        let pause = self.floods.add(flood, Instant::now(), random());
        HandlerError::retry_after(flood, pause)
    }

    fn fail(
        &mut self,
        endpoint: &Endpoint,
        class: RetryClass,
        error: anyhow::Error,
    ) -> HandlerError {
        self.failures = self.failures.saturating_add(1);
        let pause = pause_before(class, self.failures, random());
        let pause = pause.unwrap_or(REFUSED_PAUSE);
        self.failed = Some((endpoint.clone(), Instant::now() + pause));
        HandlerError::retry_after(error, pause)
    }
}

impl Floods {
    /// Counts a flood at `now`, and returns the pause before the next connection. `jitter` is a random number from 0
    /// to 1.
    fn add(&mut self, flood: Flood, now: Instant, jitter: f64) -> Duration {
        let is_recent = self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < FLOODS_FORGOTTEN_AFTER);
        self.count = if is_recent { self.count + 1 } else { 1 };
        self.last = Some(now);
        let pause = FLOOD_PAUSES.jittered_delay(self.count, jitter);
        self.until = Some(now + pause);
        self.untold = Some(flood);
        self.skips_cursor |= flood == Flood::LongMessage;
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_after_floods_grow_and_begin_anew_after_a_quiet_hour() {
        let mut floods = Floods::default();
        let mut now = Instant::now();
        let mut next = |quiet: Duration| {
            now += quiet;
            let pause = floods.add(Flood::Frames, now, 1.0);
            now += pause;
            pause.as_secs()
        };

        let pauses: Vec<u64> = (0..9).map(|_| next(Duration::ZERO)).collect();

        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(next(Duration::from_mins(55)), 5);
    }
}
