//! One run of the agent, from its start to its end.

mod context;
mod ending;
mod input;
mod progress;

use std::{sync::Arc, time::Duration};

use sim_kit::{clock, timeline::EntryKind};
use tokio_util::sync::CancellationToken;

use crate::{
    Behaviour, EventDetail,
    events::RunName,
    failure::Failure,
    sandbox::{Sandbox, State},
    script::{self, TurnOutcome},
    session::{ActiveRun, Queued},
};

use context::TurnContext;

/// The cause of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A `chat.send` to an idle session.
    Sent { timeout_ms: Option<u64> },
    /// Messages that waited for another turn.
    Dispatched,
    /// A start after a kill that interrupted a turn.
    Recovery,
    /// A heartbeat that was due.
    Heartbeat,
}

/// One run of the agent, which occupies its session until it ends.
pub(crate) struct Turn {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) name: RunName,
    origin: Origin,
    inputs: Vec<Queued>,
    message: String,
    behaviour: Behaviour,
    boot: u64,
    stop: CancellationToken,
}

impl Turn {
    /// Makes a turn the active run of an idle session. It runs once `start` is called.
    pub(crate) fn occupy(
        sandbox: &Arc<Sandbox>,
        state: &mut State,
        session_key: &str,
        run_id: &str,
        origin: Origin,
        inputs: Vec<Queued>,
    ) -> Self {
        let behaviour = state.behaviour(&sandbox.shared);
        let boot = state.boot.number;
        let stop = CancellationToken::new();
        let texts: Vec<&str> = inputs.iter().map(|input| input.message.as_str()).collect();
        let message = texts.join("\n");
        let session = state.session(session_key);
        session.active = Some(ActiveRun {
            run_id: run_id.to_owned(),
            message: message.clone(),
            started_at_ms: clock::now_ms(),
            text_so_far: String::new(),
            is_user_row_stored: false,
            is_heartbeat: origin == Origin::Heartbeat,
            steered: Vec::new(),
            seq: 0,
            stop: stop.clone(),
        });
        let name = RunName {
            run_id: run_id.to_owned(),
            session_key: session_key.to_owned(),
            session_id: session.id.clone(),
            is_dispatched: origin == Origin::Dispatched,
            is_heartbeat: origin == Origin::Heartbeat,
        };
        state.stats.turns += 1;
        Self {
            sandbox: Arc::clone(sandbox),
            name,
            origin,
            inputs,
            message,
            behaviour,
            boot,
            stop,
        }
    }

    /// Runs the turn in a task, until it ends, is aborted or the simulator stops.
    pub(crate) fn start(self) {
        let tasks = self.sandbox.shared.tasks.clone();
        let stop = self.sandbox.shared.stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.stop.clone().cancelled_owned() => {}
                () = self.run() => {}
            }
        });
    }

    async fn run(&self) {
        pause(self.behaviour.store_ms).await;
        if self.step(Self::begin).is_none() {
            return;
        }
        let plan = script::plan(&self.message, &self.behaviour);
        if let Origin::Sent {
            timeout_ms: Some(limit),
        } = self.origin
            && limit < plan.delay_ms
        {
            pause(limit).await;
            self.step(|turn, context| ending::fail(turn, context, &Failure::timeout()));
            return;
        }
        match plan.outcome {
            TurnOutcome::Reply(reply) => {
                self.stream_reply(&reply, plan.delay_ms, plan.deltas).await;
            }
            TurnOutcome::Silence => {
                pause(plan.delay_ms).await;
                self.step(|turn, context| ending::end(turn, context, None));
            }
            TurnOutcome::Failure(reason) => {
                pause(plan.delay_ms).await;
                self.step(|turn, context| {
                    ending::fail(turn, context, &Failure::of_reason(&reason));
                });
            }
        }
    }

    async fn stream_reply(&self, reply: &str, delay_ms: u64, deltas: u32) {
        // OpenClaw sends no deltas of a heartbeat.
        if self.name.is_heartbeat {
            pause(delay_ms).await;
            self.step(|turn, context| ending::end(turn, context, Some(reply)));
            return;
        }
        let deltas = if self.is_terse() { 1 } else { deltas };
        let pieces = script::pieces(reply, deltas);
        let pauses = script::pauses(delay_ms, self.behaviour.gap_ms, pieces.len());
        for (piece, pause_ms) in pieces.into_iter().zip(pauses) {
            pause(pause_ms).await;
            if self
                .step(|turn, context| turn.send_piece(context, piece))
                .is_none()
            {
                return;
            }
        }
        self.step(|turn, context| ending::end(turn, context, Some(reply)));
    }

    /// Calls `act` under the lock; does nothing if the run no longer occupies its session.
    fn step<R>(&self, act: impl FnOnce(&Self, &mut TurnContext) -> R) -> Option<R> {
        let mut guard = self.sandbox.state();
        let state = &mut *guard;
        let is_alive = state.boot.number == self.boot
            && state
                .sessions
                .get(&self.name.session_key)
                .and_then(|session| session.active.as_ref())
                .is_some_and(|run| run.run_id == self.name.run_id);
        let mut context = TurnContext {
            state,
            now_ms: clock::now_ms(),
        };
        is_alive.then(|| act(self, &mut context))
    }

    /// Records an entry about the turn's message in the timeline.
    pub(crate) fn record(&self, kind: fn(String) -> EntryKind) {
        self.sandbox.record(|| kind(self.message.clone()));
    }

    pub(crate) fn is_terse(&self) -> bool {
        self.sandbox.shared.config.events == EventDetail::Terse
    }

    pub(crate) fn rows_kept(&self) -> usize {
        self.sandbox.shared.config.rows_per_session
    }

    pub(crate) fn queue_mode(&self) -> &'static str {
        self.behaviour.queue_mode.name()
    }

    pub(crate) fn behaviour(&self) -> &Behaviour {
        &self.behaviour
    }
}

async fn pause(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}
