use std::time::Duration;

use super::{
    form::{self, Fields, pairs},
    interpreter::Interpreter,
    relay::{RelaySession, SessionEnd},
    view::RequestKind,
    webhook::{self, Post},
};

impl RelaySession<'_> {
    /// Closes the socket; returns the fields for Connect's action.
    pub(crate) async fn close(&mut self, outcome: &SessionEnd) -> Fields {
        self.speech.interrupt();
        if let Some(mut socket) = self.socket.take() {
            let closing = socket.close(None);
            tokio::time::timeout(Duration::from_secs(1), closing)
                .await
                .ok();
        }
        let (status, error) = match outcome {
            SessionEnd::Completed => ("completed", None),
            SessionEnd::Ended(_) => ("ended", None),
            SessionEnd::Failed(code) => ("failed", Some(*code)),
        };
        let index = self.index;
        self.interpreter.line.update(|view| {
            view.relays[index].status = Some(status.to_owned());
            view.relays[index].error = error;
        });
        let config = &self.interpreter.world.config;
        let seconds = config.pace.on_the_line(self.since.elapsed()).as_secs();
        let mut fields = pairs(&[
            ("SessionId", &self.id),
            ("SessionStatus", status),
            ("SessionDuration", &seconds.to_string()),
        ]);
        if let SessionEnd::Ended(Some(handoff)) = outcome {
            fields.extend(pairs(&[("HandoffData", handoff)]));
        }
        if let Some(code) = error {
            fields.extend(pairs(&[
                ("ErrorCode", &code.to_string()),
                ("ErrorMessage", "WebSocket connection failed"),
            ]));
        }
        fields
    }
}

impl Interpreter {
    /// Posts to the action of a session whose caller has hung up. The answer is ignored.
    pub(crate) fn report_completed(&self, action: Option<&str>, more: Fields) {
        let Some(url) = action else { return };
        let mut fields = form::of_call(&self.world, &self.line, "completed");
        fields.extend(more);
        let post = Post {
            kind: RequestKind::Connect,
            url: url.to_owned(),
            fields,
        };
        let (world, line) = (self.world.clone(), self.line.clone());
        self.world.tasks.spawn(webhook::deliver(world, line, post));
    }
}
