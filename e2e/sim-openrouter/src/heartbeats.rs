//! Heartbeats: what a person asked to be told at one (`[[HEARTBEAT words]]`) is said at the next, once.

use std::collections::VecDeque;

use super::script::{Act, NOTHING, directive};

/// How the prompt begins that the sandbox image asks at a heartbeat.
const PROMPT: &str = "This is a heartbeat, not a message from the person.";

/// What the transcript keeps of that prompt.
const KEPT: &str = "[OpenClaw heartbeat poll]";

/// Whether a text with the role `user` is a heartbeat.
pub(crate) fn is_prompt(text: &str) -> bool {
    text.starts_with(PROMPT) || text.starts_with(KEPT)
}

/// Answers a heartbeat.
pub(crate) fn look_around(to_tell: Option<&str>) -> Act {
    Act::Say(to_tell.unwrap_or(NOTHING).to_owned())
}

/// Answers the message that asks for words at a heartbeat.
pub(crate) fn promise(said: &str) -> Option<Act> {
    directive(said, "HEARTBEAT")?;
    Some(Act::Say(
        "I will tell you when I next look around.".to_owned(),
    ))
}

/// What was asked for and not said yet, as a conversation is read from its beginning.
#[derive(Default)]
pub(crate) struct ToTell(VecDeque<String>);

impl ToTell {
    /// The person said this.
    pub(crate) fn ask(&mut self, said: &str) {
        self.0
            .extend(directive(said, "HEARTBEAT").map(str::to_owned));
    }

    /// The assistant said this.
    pub(crate) fn tell(&mut self, said: &str) {
        if self.0.front().is_some_and(|words| words == said) {
            self.0.pop_front();
        }
    }

    /// The oldest of what is left.
    pub(crate) fn next(mut self) -> Option<String> {
        self.0.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_told_in_order_and_once() {
        let left = |told: &[&str]| {
            let mut to_tell = ToTell::default();
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
        assert_eq!(look_around(None), Act::Say("NO_REPLY".to_owned()));
    }
}
