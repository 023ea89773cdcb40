//! Extracts the user's last text and the tool results after it from a completion request.

use serde_json::Value;

use super::{
    calls,
    heartbeats::{self, HeartbeatQueue},
};

/// The start of the extra message that OpenClaw puts after the user's.
const INTERNAL_CONTEXT: &str = "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>";

/// The start of the facts about itself that OpenClaw appends to the first text of a session.
const RUNTIME: &str = "\n\nRuntime: agent=";

/// The start of the message with which a restarted OpenClaw continues an interrupted turn.
const INTERRUPTED: &str = "[System] Your previous turn was interrupted";

/// The start of an automation's instruction; the automation's id, its name and a bracket follow.
const AUTOMATION: &str = "[cron:";

/// The start of the line that OpenClaw puts after an automation's instruction.
const NOW: &str = "\nCurrent time: ";

/// Weekdays. The time stamp that OpenClaw puts before the user's text begins with one.
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The cause of the agent's turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// A message of the user.
    Message,
    /// A heartbeat, with the text that is due, if any.
    Heartbeat(Option<String>),
    /// An automation that fired.
    Automation,
    /// The end of a phone call, with the last text of the user, in the call or before it.
    CallEnd(String),
}

/// The parts of a completion request on which the answer depends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub(crate) trigger: Trigger,
    /// The last text of the user, or an automation's instruction.
    pub(crate) said: String,
    /// Results of the tools called since then, in order.
    pub(crate) results: Vec<String>,
    /// Whether a tool named `exec` is offered.
    pub(crate) has_exec: bool,
    /// Whether `tool_search` and `tool_call` are offered, which find and call the tools of a catalogue.
    pub(crate) has_catalogue: bool,
}

#[cfg(test)]
impl Prompt {
    /// A message of the user with these tool results; every tool is offered.
    pub(crate) fn of(said: &str, results: &[&str]) -> Self {
        Self {
            trigger: Trigger::Message,
            said: said.to_owned(),
            results: results.iter().map(|&result| result.to_owned()).collect(),
            has_exec: true,
            has_catalogue: true,
        }
    }
}

/// Reads the body of a completion request.
pub(crate) fn read(request: &Value) -> Prompt {
    let none = Vec::new();
    let messages = request["messages"].as_array().unwrap_or(&none);
    let said_at = messages
        .iter()
        .rposition(|message| message["role"] == "user" && opens_turn(&text_of(message)));
    let since = said_at.map_or(messages.len(), |at| at + 1);
    let results = messages[since..]
        .iter()
        .filter(|message| message["role"] == "tool")
        .map(text_of)
        .collect();
    let said = said_at.map(|at| words_of(&text_of(&messages[at])).to_owned());
    let said = said.unwrap_or_default();
    let instruction = instruction_of(&said).map(str::to_owned);
    let trigger = match &instruction {
        Some(_) => Trigger::Automation,
        None if heartbeats::is_prompt(&said) => Trigger::Heartbeat(to_tell(messages)),
        None if calls::is_end(&said) => Trigger::CallEnd(said_before(messages, said_at)),
        None => Trigger::Message,
    };
    Prompt {
        trigger,
        said: instruction.unwrap_or(said),
        results,
        has_exec: offers(request, "exec"),
        has_catalogue: offers(request, "tool_search") && offers(request, "tool_call"),
    }
}

fn offers(request: &Value, name: &str) -> bool {
    request["tools"]
        .as_array()
        .is_some_and(|tools| tools.iter().any(|tool| tool["function"]["name"] == name))
}

/// The last text of the user before the message at index `at`.
fn said_before(messages: &[Value], at: Option<usize>) -> String {
    let before = messages[..at.unwrap_or(0)].iter().rev();
    let mut said = before
        .filter(|message| message["role"] == "user")
        .map(text_of)
        .filter(|text| opens_turn(text) && !heartbeats::is_prompt(words_of(text)));
    said.next()
        .map_or_else(String::new, |text| words_of(&text).to_owned())
}

/// The text that the user wants at a heartbeat and has not been told yet.
fn to_tell(messages: &[Value]) -> Option<String> {
    let mut to_tell = HeartbeatQueue::default();
    for message in messages {
        let text = text_of(message);
        if message["role"] == "user" {
            to_tell.ask(words_of(&text));
        } else if message["role"] == "assistant" {
            to_tell.tell(&text);
        }
    }
    to_tell.next()
}

/// The instruction of an automation: the last paragraph, after the conversation that precedes it.
fn instruction_of(said: &str) -> Option<&str> {
    let (_, shown) = said.strip_prefix(AUTOMATION)?.split_once("] ")?;
    let shown = shown.split_once(NOW).map_or(shown, |(shown, _)| shown);
    Some(shown.rsplit_once("\n\n").map_or(shown, |(_, last)| last))
}

fn opens_turn(text: &str) -> bool {
    let text = without_stamp(text);
    !text.starts_with(INTERNAL_CONTEXT) && !text.starts_with(INTERRUPTED)
}

/// The content of a message, which is a string or a list of parts with texts.
fn text_of(message: &Value) -> String {
    let content = &message["content"];
    if let Some(parts) = content.as_array() {
        let texts = parts.iter().filter_map(|part| part["text"].as_str());
        return texts.collect::<Vec<_>>().join("\n").trim().to_owned();
    }
    content.as_str().unwrap_or_default().trim().to_owned()
}

/// The user's text, without OpenClaw's additions before and after it.
fn words_of(text: &str) -> &str {
    let text = without_stamp(calls::without_note(without_stamp(text)));
    text.split_once(RUNTIME).map_or(text, |(words, _)| words)
}

/// The text without the leading `[Sun 2026-11-22 06:17 UTC]`.
fn without_stamp(text: &str) -> &str {
    let stamped = text
        .strip_prefix('[')
        .filter(|rest| WEEKDAYS.iter().any(|day| rest.starts_with(day)))
        .and_then(|rest| rest.split_once(']'));
    stamped.map_or(text, |(_, text)| text.trim_start())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_users_text_is_found_after_the_stamp_and_before_the_internal_context() {
        let request = json!({
            "messages": [
                { "role": "system", "content": "You are…" },
                { "role": "user", "content": "[Sun 2026-11-22 06:16 UTC] hello" },
                { "role": "assistant", "content": "Hi!" },
                { "role": "user", "content": [{ "type": "text", "text": "[Sun 2026-11-22 06:17 UTC] I had rice" }] },
                { "role": "user", "content": "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>> x" },
                { "role": "assistant", "content": null, "tool_calls": [] },
                { "role": "tool", "tool_call_id": "1", "content": "380" },
            ],
            "tools": [{ "type": "function", "function": { "name": "exec" } }],
        });

        assert_eq!(
            read(&request),
            Prompt {
                has_catalogue: false,
                ..Prompt::of("I had rice", &["380"])
            }
        );
    }

    #[test]
    fn the_end_of_a_call_comes_with_the_last_text_of_the_user() {
        let request = json!({ "messages": [
            { "role": "user", "content": "[Sun 2026-11-22 06:16 UTC] what did I eat" },
            { "role": "assistant", "content": "Rice." },
            { "role": "user", "content":
                "[Sun 2026-11-22 06:17 UTC] The caller has hung up.\n\n(The phone call is over.)" },
        ]});

        let trigger = Trigger::CallEnd("what did I eat".to_owned());
        assert_eq!(read(&request).trigger, trigger);
    }

    #[test]
    fn a_continued_turn_answers_the_users_text() {
        let request = json!({ "messages": [
            { "role": "user", "content": "tell me a story" },
            { "role": "user", "content": "[Sun 2026-11-22 06:17 UTC] [System] Your previous turn was interrupted by a gateway restart" },
        ]});

        assert_eq!(read(&request).said, "tell me a story");
    }

    #[test]
    fn openclaws_facts_about_itself_are_not_part_of_the_users_text() {
        let request = json!({ "messages": [
            { "role": "user", "content": "[Sun 2026-11-22 06:17 UTC] hi\n\nRuntime: agent=main | os=Linux" },
        ]});

        assert_eq!(read(&request).said, "hi");
    }

    #[test]
    fn a_heartbeat_comes_with_the_text_that_the_user_has_not_been_told_yet() {
        let asked = json!({ "role": "user", "content": "[Sun 2026-11-22 06:17 UTC] [[HEARTBEAT a parcel]]" });
        let told = json!({ "role": "assistant", "content": "a parcel" });
        let polled = json!({ "role": "user", "content": "[Sun 2026-11-22 06:18 UTC] [OpenClaw heartbeat poll]" });
        let polls = json!({ "role": "user", "content": "This is a heartbeat, not a message from the person. Read" });
        let trigger = |messages: &[&Value]| read(&json!({ "messages": messages })).trigger;

        assert_eq!(
            trigger(&[&asked, &polls]),
            Trigger::Heartbeat(Some("a parcel".to_owned()))
        );
        assert_eq!(
            trigger(&[&asked, &polled, &told, &polls]),
            Trigger::Heartbeat(None)
        );
    }

    #[test]
    fn an_automations_instruction_is_found_after_the_conversation() {
        let request = json!({ "messages": [
            { "role": "user", "content": "[cron:1e80 reminder] Recent conversation:\n- User: hi\n\n\
                Reminder is due.\nCurrent time: Sunday\n\nThis is an unattended scheduled run." },
        ]});

        let prompt = read(&request);

        assert_eq!(
            (prompt.trigger, prompt.said.as_str()),
            (Trigger::Automation, "Reminder is due.")
        );
    }

    #[test]
    fn brackets_other_than_a_stamp_are_kept() {
        let request = json!({ "messages": [{ "role": "user", "content": "[[SAY x]]" }] });

        assert_eq!(read(&request).said, "[[SAY x]]");
    }
}
