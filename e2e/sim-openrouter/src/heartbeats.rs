//! Heartbeats: a text that the user wants at a heartbeat (`[[HEARTBEAT words]]`) is said once, at the next
//! heartbeat.

use std::collections::VecDeque;

use super::action::{Action, NO_REPLY, directive};

/// The start of the prompt that the sandbox image configures for heartbeats.
const PROMPT: &str = "This is a heartbeat, not a message from the person.";

/// The text that stands for that prompt in the transcript.
const KEPT: &str = "[OpenClaw heartbeat poll]";

/// Whether a text with the role `user` is a heartbeat.
pub(crate) fn is_prompt(text: &str) -> bool {
    text.starts_with(PROMPT) || text.starts_with(KEPT)
}

/// Answers a heartbeat with the text that is due, if any.
pub(crate) fn answer(due: Option<&str>) -> Action {
    Action::Say(due.unwrap_or(NO_REPLY).to_owned())
}

/// Answers the message that asks for a text at a heartbeat.
pub(crate) fn acknowledge(said: &str) -> Option<Action> {
    directive(said, "HEARTBEAT")?;
    Some(Action::Say(
        "I will tell you when I next look around.".to_owned(),
    ))
}

/// Texts that the user asked for and has not been told. They are found by reading a conversation from its
/// beginning.
#[derive(Default)]
pub(crate) struct HeartbeatQueue(VecDeque<String>);

impl HeartbeatQueue {
    /// Reads a text of the user.
    pub(crate) fn ask(&mut self, said: &str) {
        self.0
            .extend(directive(said, "HEARTBEAT").map(str::to_owned));
    }

    /// Reads a text of the assistant.
    pub(crate) fn tell(&mut self, said: &str) {
        if self.0.front().is_some_and(|words| words == said) {
            self.0.pop_front();
        }
    }

    /// The oldest text that the user has not been told.
    pub(crate) fn next(mut self) -> Option<String> {
        self.0.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_asked_for_are_told_once_each_in_order() {
        let left = |told: &[&str]| {
            let mut to_tell = HeartbeatQueue::default();
            to_tell.ask("[[HEARTBEAT one]]");
            to_tell.ask("how are you?");
            to_tell.ask("[[HEARTBEAT two]]");
            for said in told {
                to_tell.tell(said);
            }
            to_tell.next()
        };

        assert_eq!(left(&[]).as_deref(), Some("one"));
        assert_eq!(left(&["Fine!", "one"]).as_deref(), Some("two"));
        assert_eq!(left(&["one", "two"]), None);
        assert_eq!(answer(None), Action::Say("NO_REPLY".to_owned()));
    }
}
