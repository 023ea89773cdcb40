use std::{fmt::Write, sync::Arc, time::Duration};

use serde_json::json;
use sim_kit::{clock, timeline::EntryKind};
use tokio_util::sync::CancellationToken;

use super::{
    Behaviour, EventDetail, ending,
    events::RunName,
    failure::Failure,
    row::{Content, NewRow},
    sandbox::{Room, Sandbox, State},
    script::{self, Outcome},
    session::{ActiveRun, Queued, Session},
};

/// What the gateway tells its agent after it was killed in the middle of a turn.
const RECOVERY_WORDS: &str = "[System] Your previous turn was interrupted by a gateway restart \
    while OpenClaw was waiting on tool/model work. The restart did not cancel the user's task. \
    Continue from the existing transcript: check the current state, recover interrupted work, and \
    finish the task without asking the user to repeat the request.";

/// Where a turn comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A `chat.send` to an idle session.
    Sent { timeout_ms: Option<u64> },
    /// The queue behind another turn.
    Dispatched,
    /// The start after a kill.
    Recovery,
    /// The agent itself.
    Heartbeat,
}

/// One run of the agent, on its way.
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

/// What a step of a turn may touch.
pub(crate) struct Scene<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) now_ms: i64,
}

impl Turn {
    /// Occupies an idle session with a run of this name.
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

    /// Lets it run.
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
            self.step(|turn, scene| ending::fail(turn, scene, &Failure::timeout()));
            return;
        }
        match plan.outcome {
            Outcome::Reply(reply) => self.speak(&reply, plan.delay_ms, plan.deltas).await,
            Outcome::Silence => {
                pause(plan.delay_ms).await;
                self.step(|turn, scene| ending::end(turn, scene, None));
            }
            Outcome::Failure(reason) => {
                pause(plan.delay_ms).await;
                self.step(|turn, scene| ending::fail(turn, scene, &Failure::of_reason(&reason)));
            }
        }
    }

    async fn speak(&self, reply: &str, delay_ms: u64, deltas: u32) {
        // Nobody watches a heartbeat being thought.
        if self.name.is_heartbeat {
            pause(delay_ms).await;
            self.step(|turn, scene| ending::end(turn, scene, Some(reply)));
            return;
        }
        let deltas = if self.is_terse() { 1 } else { deltas };
        let pieces = script::pieces(reply, deltas);
        let pauses = script::pauses(delay_ms, self.behaviour.gap_ms, pieces.len());
        for (piece, pause_ms) in pieces.into_iter().zip(pauses) {
            pause(pause_ms).await;
            if self.step(|turn, scene| turn.say(scene, piece)).is_none() {
                return;
            }
        }
        self.step(|turn, scene| ending::end(turn, scene, Some(reply)));
    }

    /// Does `act` under the lock, if the run still occupies its session.
    fn step<R>(&self, act: impl FnOnce(&Self, &mut Scene) -> R) -> Option<R> {
        let mut guard = self.sandbox.state();
        let state = &mut *guard;
        let is_alive = state.boot.number == self.boot
            && state
                .sessions
                .get(&self.name.session_key)
                .and_then(|session| session.active.as_ref())
                .is_some_and(|run| run.run_id == self.name.run_id);
        let mut scene = Scene {
            state,
            now_ms: clock::now_ms(),
        };
        is_alive.then(|| act(self, &mut scene))
    }

    fn begin(&self, scene: &mut Scene) {
        self.store_inputs(scene);
        let now_ms = scene.now_ms;
        let model = json!({ "phase": "model", "provider": "openrouter", "model": "mock/model-1" });
        let start = json!({ "phase": "start", "startedAt": now_ms });
        self.show_status(scene, "preparing_workspace");
        self.show_status(scene, "preparing_context");
        let seq = scene.next_seq(self);
        scene.tell(&self.name.lifecycle(seq, start, now_ms));
        self.show_status(scene, "starting_model");
        let seq = scene.next_seq(self);
        if !self.is_terse() {
            scene.tell(&self.name.lifecycle(seq, model, now_ms));
        }
    }

    fn show_status(&self, scene: &mut Scene, phase: &str) {
        let seq = scene.next_seq(self);
        if self.is_terse() || self.name.is_heartbeat {
            return;
        }
        if !self.name.is_dispatched {
            scene.tell(&self.name.status(seq, phase));
        }
        scene.tell(&self.name.run_status(seq, phase, scene.now_ms));
    }

    /// Stores what the turn answers: the user's row, unless an earlier process did.
    fn store_inputs(&self, scene: &mut Scene) {
        let kept = self.sandbox.shared.config.rows_per_session;
        let mode = self.behaviour.queue_mode.name();
        let (session, room) = scene.session_and_room(self);
        if let Some(run) = &mut session.active {
            run.is_user_row_stored = true;
        }
        let new = match self.origin {
            Origin::Heartbeat => {
                session.append_hidden();
                return;
            }
            Origin::Recovery => user_row(
                RECOVERY_WORDS.to_owned(),
                Some(format!("{}:user", self.name.run_id)),
                true,
            ),
            Origin::Sent { .. } | Origin::Dispatched => self.input_row(session),
        };
        if new
            .idempotency_key
            .as_deref()
            .is_some_and(|key| session.has_key(key))
        {
            return;
        }
        let row = session.append(new, kept);
        room.tell_of_row(session, &row, mode);
    }

    fn input_row(&self, session: &Session) -> NewRow {
        if let [input] = self.inputs.as_slice()
            && !input.is_collected
        {
            let mut row = user_row(
                input.message.clone(),
                Some(format!("{}:user", input.key)),
                false,
            );
            row.at_ms = input.sent_at_ms;
            return row;
        }
        let mut text = "[Queued messages while agent was busy]".to_owned();
        for (n, input) in (1..).zip(&self.inputs) {
            let message = &input.message;
            let _ = write!(
                text,
                "\n\n---\nQueued #{n} (from gateway-client)\n{message}"
            );
        }
        let key = format!("followup-collect:{}:{}", session.id, self.name.run_id);
        user_row(text, Some(key), false)
    }

    fn say(&self, scene: &mut Scene, piece: &str) {
        let seq = scene.next_seq(self);
        let now_ms = scene.now_ms;
        let (session, _) = scene.session_and_room(self);
        let Some(run) = &mut session.active else {
            return;
        };
        if run.text_so_far.is_empty() {
            self.notes(EntryKind::AnswerStarted);
        }
        run.text_so_far.push_str(piece);
        let text = run.text_so_far.clone();
        if !self.is_terse() {
            scene.tell(&self.name.assistant(seq, &text, piece, now_ms));
        }
        scene.tell(&self.name.delta(seq, &text, piece, now_ms));
    }

    /// Notes what becomes of the message.
    pub(crate) fn notes(&self, what: fn(String) -> EntryKind) {
        self.sandbox.notes(|| what(self.message.clone()));
    }

    pub(crate) fn is_terse(&self) -> bool {
        self.sandbox.shared.config.events == EventDetail::Terse
    }

    pub(crate) fn kept(&self) -> usize {
        self.sandbox.shared.config.rows_per_session
    }

    pub(crate) fn queue_mode(&self) -> &'static str {
        self.behaviour.queue_mode.name()
    }

    pub(crate) fn behaviour(&self) -> &Behaviour {
        &self.behaviour
    }
}

impl Scene<'_> {
    pub(crate) fn next_seq(&mut self, turn: &Turn) -> u64 {
        let (session, _) = self.session_and_room(turn);
        session.active.as_mut().map_or(1, |run| {
            run.seq += 1;
            run.seq
        })
    }

    pub(crate) fn session_and_room(&mut self, turn: &Turn) -> (&mut Session, &Room) {
        let session = self
            .state
            .sessions
            .get_mut(&turn.name.session_key)
            .expect("a running turn has its session");
        (session, &self.state.room)
    }

    pub(crate) fn tell(&self, out: &super::frame::Out) {
        self.state.room.tell(out);
    }
}

pub(crate) fn user_row(text: String, key: Option<String>, is_recovery: bool) -> NewRow {
    let now_ms = clock::now_ms();
    NewRow {
        content: Content::User {
            text,
            steered_into: None,
            is_recovery,
        },
        idempotency_key: key,
        at_ms: now_ms,
        now_ms,
    }
}

async fn pause(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}
