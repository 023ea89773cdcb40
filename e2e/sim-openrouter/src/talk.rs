//! Finds out of a completion request what the person said and what became of it.

use serde_json::Value;

use super::{
    calls,
    heartbeats::{self, ToTell},
};

/// How the extra message begins that `OpenClaw` puts behind the person's.
const INTERNAL_CONTEXT: &str = "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>";

/// How the facts about itself begin that `OpenClaw` puts behind the first text of a session.
const RUNTIME: &str = "\n\nRuntime: agent=";

/// How the message begins with which a restarted gateway continues an interrupted turn.
const INTERRUPTED: &str = "[System] Your previous turn was interrupted";

/// How the instruction of an automation is introduced; its id, its name and a bracket follow.
const AUTOMATION: &str = "[cron:";

/// How the line begins that `OpenClaw` puts behind an automation's instruction.
const NOW: &str = "\nCurrent time: ";

/// Weekdays as they begin the time stamp `OpenClaw` puts before the person's text.
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Why a turn began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// The person said something.
    Message,
    /// Nobody did: the assistant looks around. What there is to tell, if anything.
    Heartbeat(Option<String>),
    /// An automation fires.
    Automation,
    /// A phone call is over. What the person had said last, in it or before.
    CallEnd(String),
}

/// The turn a completion is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Why it began.
    pub(crate) occasion: Occasion,
    /// What the person said last, or the instruction in place of it.
    pub(crate) said: String,
    /// Results of the tools called since then, in order.
    pub(crate) results: Vec<String>,
    /// Whether a tool named `exec` is offered.
    pub(crate) has_exec: bool,
    /// Whether tools are offered that find and call those of a catalogue.
    pub(crate) has_catalogue: bool,
}

#[cfg(test)]
impl Turn {
    /// The person said this, and tools have answered; every tool is offered.
    pub(crate) fn of(said: &str, results: &[&str]) -> Self {
        Self {
            occasion: Occasion::Message,
            said: said.to_owned(),
            results: results.iter().map(|&result| result.to_owned()).collect(),
            has_exec: true,
            has_catalogue: true,
        }
    }
}

/// Reads a request.
pub(crate) fn read(request: &Value) -> Turn {
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
    let occasion = match &instruction {
        Some(_) => Occasion::Automation,
        None if heartbeats::is_prompt(&said) => Occasion::Heartbeat(to_tell(messages)),
        None if calls::is_end(&said) => Occasion::CallEnd(said_before(messages, said_at)),
        None => Occasion::Message,
    };
    Turn {
        occasion,
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

/// What the person had said last before this place.
fn said_before(messages: &[Value], at: Option<usize>) -> String {
    let before = messages[..at.unwrap_or(0)].iter().rev();
    let mut said = before
        .filter(|message| message["role"] == "user")
        .map(text_of)
        .filter(|text| opens_turn(text) && !heartbeats::is_prompt(words_of(text)));
    said.next()
        .map_or_else(String::new, |text| words_of(&text).to_owned())
}

/// What the person asked to be told at a heartbeat, and was not told yet.
fn to_tell(messages: &[Value]) -> Option<String> {
    let mut to_tell = ToTell::default();
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

/// The instruction of an automation: the last paragraph behind the conversation it is shown.
fn instruction_of(said: &str) -> Option<&str> {
    let (_, shown) = said.strip_prefix(AUTOMATION)?.split_once("] ")?;
    let shown = shown.split_once(NOW).map_or(shown, |(shown, _)| shown);
    Some(shown.rsplit_once("\n\n").map_or(shown, |(_, last)| last))
}

fn opens_turn(text: &str) -> bool {
    let text = without_stamp(text);
    !text.starts_with(INTERNAL_CONTEXT) && !text.starts_with(INTERRUPTED)
}

/// The content of a message: a string, or the texts of its parts.
fn text_of(message: &Value) -> String {
    let content = &message["content"];
    if let Some(parts) = content.as_array() {
        let texts = parts.iter().filter_map(|part| part["text"].as_str());
        return texts.collect::<Vec<_>>().join("\n").trim().to_owned();
    }
    content.as_str().unwrap_or_default().trim().to_owned()
}

/// What the person wrote, without what `OpenClaw` puts before and behind it.
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
    fn the_person_is_heard_behind_the_stamp_and_before_the_internal_context() {
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
            Turn {
                has_catalogue: false,
                ..Turn::of("I had rice", &["380"])
            }
        );
    }

    #[test]
    fn at_the_end_of_a_call_what_was_said_last_is_known() {
        let request = json!({ "messages": [
            { "role": "user", "content": "[Sun 2026-11-22 06:16 UTC] what did I eat" },
            { "role": "assistant", "content": "Rice." },
            { "role": "user", "content":
                "[Sun 2026-11-22 06:17 UTC] The caller has hung up.\n\n(The phone call is over.)" },
        ]});

        let occasion = Occasion::CallEnd("what did I eat".to_owned());
        assert_eq!(read(&request).occasion, occasion);
    }

    #[test]
    fn a_continued_turn_is_about_what_the_person_had_said() {
        let request = json!({ "messages": [
            { "role": "user", "content": "tell me a story" },
            { "role": "user", "content": "[Sun 2026-11-22 06:17 UTC] [System] Your previous turn was interrupted by a gateway restart" },
        ]});

        assert_eq!(read(&request).said, "tell me a story");
    }

    #[test]
    fn facts_about_the_gateway_are_not_the_persons_words() {
        let request = json!({ "messages": [
            { "role": "user", "content": "[Sun 2026-11-22 06:17 UTC] hi\n\nRuntime: agent=main | os=Linux" },
        ]});

        assert_eq!(read(&request).said, "hi");
    }

    #[test]
    fn a_heartbeat_knows_what_the_person_asked_for_and_was_told() {
        let asked = json!({ "role": "user", "content": "[Sun 2026-11-22 06:17 UTC] [[HEARTBEAT a parcel]]" });
        let told = json!({ "role": "assistant", "content": "a parcel" });
        let polled = json!({ "role": "user", "content": "[Sun 2026-11-22 06:18 UTC] [OpenClaw heartbeat poll]" });
        let polls = json!({ "role": "user", "content": "This is a heartbeat, not a message from the person. Read" });
        let occasion = |messages: &[&Value]| read(&json!({ "messages": messages })).occasion;

        assert_eq!(
            occasion(&[&asked, &polls]),
            Occasion::Heartbeat(Some("a parcel".to_owned()))
        );
        assert_eq!(
            occasion(&[&asked, &polled, &told, &polls]),
            Occasion::Heartbeat(None)
        );
    }

    #[test]
    fn an_automation_is_about_its_instruction_not_the_conversation_before_it() {
        let request = json!({ "messages": [
            { "role": "user", "content": "[cron:1e80 reminder] Recent conversation:\n- User: hi\n\n\
                Reminder is due.\nCurrent time: Sunday\n\nThis is an unattended scheduled run." },
        ]});

        let turn = read(&request);

        assert_eq!(
            (turn.occasion, turn.said.as_str()),
            (Occasion::Automation, "Reminder is due.")
        );
    }

    #[test]
    fn brackets_that_are_no_stamp_stay() {
        let request = json!({ "messages": [{ "role": "user", "content": "[[SAY x]]" }] });

        assert_eq!(read(&request).said, "[[SAY x]]");
    }
}
