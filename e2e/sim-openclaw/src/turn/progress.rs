//! The events of a turn while it runs.

use serde_json::json;
use sim_kit::timeline::EntryKind;

use super::{Turn, TurnContext};

impl Turn {
    /// Stores the input and broadcasts that the run has begun.
    pub(super) fn begin(&self, context: &mut TurnContext) {
        self.store_inputs(context);
        let now_ms = context.now_ms;
        let model = json!({ "phase": "model", "provider": "openrouter", "model": "mock/model-1" });
        let start = json!({ "phase": "start", "startedAt": now_ms });
        self.show_status(context, "preparing_workspace");
        self.show_status(context, "preparing_context");
        let seq = context.next_seq(self);
        context.broadcast(&self.name.lifecycle(seq, start, now_ms));
        self.show_status(context, "starting_model");
        let seq = context.next_seq(self);
        if !self.is_terse() {
            context.broadcast(&self.name.lifecycle(seq, model, now_ms));
        }
    }

    fn show_status(&self, context: &mut TurnContext, phase: &str) {
        let seq = context.next_seq(self);
        if self.is_terse() || self.name.is_heartbeat {
            return;
        }
        if !self.name.is_dispatched {
            context.broadcast(&self.name.status(seq, phase));
        }
        context.broadcast(&self.name.run_status(seq, phase, context.now_ms));
    }

    /// Appends a piece to the reply and broadcasts it.
    pub(super) fn send_piece(&self, context: &mut TurnContext, piece: &str) {
        let seq = context.next_seq(self);
        let now_ms = context.now_ms;
        let (session, _) = context.session_and_connections(self);
        let Some(run) = &mut session.active else {
            return;
        };
        if run.text_so_far.is_empty() {
            self.record(EntryKind::AnswerStarted);
        }
        run.text_so_far.push_str(piece);
        let text = run.text_so_far.clone();
        if !self.is_terse() {
            context.broadcast(&self.name.assistant(seq, &text, piece, now_ms));
        }
        context.broadcast(&self.name.delta(seq, &text, piece, now_ms));
    }
}
