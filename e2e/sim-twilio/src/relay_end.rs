use std::time::Duration;

use super::{
    form::{self, Fields, pairs},
    relay::Session,
    run::Phone,
    view::RequestKind,
    webhook::{self, Post},
};

/// `handoffData` of an `end`.
pub(crate) struct Ending(pub(crate) Option<String>);

/// How a session ended.
pub(crate) enum Outcome {
    Completed,
    Ended(Option<String>),
    Failed(u32),
}

impl Session<'_> {
    /// Closes what is open; the fields that tell how it went.
    pub(crate) async fn close(&mut self, outcome: &Outcome) -> Fields {
        self.voice.interrupt();
        if let Some(mut socket) = self.socket.take() {
            let closing = socket.close(None);
            tokio::time::timeout(Duration::from_secs(1), closing)
                .await
                .ok();
        }
        let (status, error) = match outcome {
            Outcome::Completed => ("completed", None),
            Outcome::Ended(_) => ("ended", None),
            Outcome::Failed(code) => ("failed", Some(*code)),
        };
        let place = self.place;
        self.phone.line.change(|view| {
            view.relays[place].status = Some(status.to_owned());
            view.relays[place].error = error;
        });
        let config = &self.phone.world.config;
        let seconds = config.pace.on_the_line(self.since.elapsed()).as_secs();
        let mut fields = pairs(&[
            ("SessionId", &self.id),
            ("SessionStatus", status),
            ("SessionDuration", &seconds.to_string()),
        ]);
        if let Outcome::Ended(Some(handoff)) = outcome {
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

impl Phone {
    /// Calls the action of a session whose caller is gone; nobody hears the answer.
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
