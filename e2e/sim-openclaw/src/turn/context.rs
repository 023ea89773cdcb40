use super::Turn;
use crate::{
    frame::Outgoing,
    sandbox::{Connections, State},
    session::Session,
};

/// The locked state that one step of a turn may change, and the time of the step.
pub(super) struct TurnContext<'a> {
    pub(super) state: &'a mut State,
    pub(super) now_ms: i64,
}

impl TurnContext<'_> {
    pub(super) fn next_seq(&mut self, turn: &Turn) -> u64 {
        let (session, _) = self.session_and_connections(turn);
        session.active.as_mut().map_or(1, |run| {
            run.seq += 1;
            run.seq
        })
    }

    pub(super) fn session_and_connections(&mut self, turn: &Turn) -> (&mut Session, &Connections) {
        let session = self
            .state
            .sessions
            .get_mut(&turn.name.session_key)
            .expect("a running turn has its session");
        (session, &self.state.connections)
    }

    pub(super) fn broadcast(&self, out: &Outgoing) {
        self.state.connections.broadcast(out);
    }
}
