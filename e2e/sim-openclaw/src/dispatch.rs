//! Starts turns without a request: for messages that waited for another run, and after a kill.

use std::sync::Arc;

use sim_kit::clock;
use uuid::Uuid;

use super::{
    sandbox::{Sandbox, State},
    session::Queued,
    turn::{Origin, Turn},
};

/// Starts a turn for the messages that waited for a run that has just ended, if there are any.
pub(crate) fn start_next(sandbox: &Arc<Sandbox>, state: &mut State, session_key: &str) {
    let session = state.session(session_key);
    let Some(first) = session.waiting.pop_front() else {
        return;
    };
    let mut inputs = vec![first];
    while inputs[0].is_collected
        && let Some(next) = session.waiting.pop_front_if(|next| next.is_collected)
    {
        inputs.push(next);
    }
    let run_id = Uuid::new_v4().to_string();
    Turn::occupy(
        sandbox,
        state,
        session_key,
        &run_id,
        Origin::Dispatched,
        inputs,
    )
    .start();
}

/// Continues the turns that a kill interrupted, each under a new run id.
pub(crate) fn resume(sandbox: &Arc<Sandbox>, state: &mut State) {
    let interrupted: Vec<(String, String)> = state
        .sessions
        .values_mut()
        .filter_map(|session| Some((session.key.clone(), session.interrupted.take()?)))
        .collect();
    for (key, message) in interrupted {
        state.stats.resumed += 1;
        let input = Queued {
            key: String::new(),
            message,
            sent_at_ms: clock::now_ms(),
            is_collected: false,
        };
        let run_id = Uuid::new_v4().to_string();
        Turn::occupy(sandbox, state, &key, &run_id, Origin::Recovery, vec![input]).start();
    }
}
