//! The transcript row that a turn answers.

use std::fmt::Write;

use sim_kit::clock;

use super::{Origin, Turn, TurnContext};
use crate::{
    row::{Content, NewRow},
    session::Session,
};

/// OpenClaw's prompt to the agent after a kill interrupted a turn.
const RECOVERY_PROMPT: &str = "[System] Your previous turn was interrupted by a gateway restart \
    while OpenClaw was waiting on tool/model work. The restart did not cancel the user's task. \
    Continue from the existing transcript: check the current state, recover interrupted work, and \
    finish the task without asking the user to repeat the request.";

impl Turn {
    /// Stores the row that the turn answers, unless the transcript has it already.
    pub(super) fn store_inputs(&self, context: &mut TurnContext) {
        let kept = self.sandbox.shared.config.rows_per_session;
        let mode = self.behaviour.queue_mode.name();
        let (session, connections) = context.session_and_connections(self);
        if let Some(run) = &mut session.active {
            run.is_user_row_stored = true;
        }
        let new = match self.origin {
            Origin::Heartbeat => {
                session.append_hidden();
                return;
            }
            Origin::Recovery => user_row(
                RECOVERY_PROMPT.to_owned(),
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
        connections.broadcast_row(session, &row, mode);
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
}

fn user_row(text: String, key: Option<String>, is_recovery: bool) -> NewRow {
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
