//! Finds out of a completion request what the person said and what became of it.

use serde_json::Value;

/// How the extra message begins that `OpenClaw` puts behind the person's.
const INTERNAL_CONTEXT: &str = "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>";

/// How the facts about itself begin that `OpenClaw` puts behind the first text of a session.
const RUNTIME: &str = "\n\nRuntime: agent=";

/// How the message begins with which a restarted gateway continues an interrupted turn.
const INTERRUPTED: &str = "[System] Your previous turn was interrupted";

/// Weekdays as they begin the time stamp `OpenClaw` puts before the person's text.
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The turn a completion is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    /// What the person said last.
    pub(super) said: String,
    /// Results of the tools called since then, in order.
    pub(super) results: Vec<String>,
    /// Whether a tool named `exec` is offered.
    pub(super) has_exec: bool,
}

/// Reads a request.
pub(super) fn read(request: &Value) -> Turn {
    let none = Vec::new();
    let messages = request["messages"].as_array().unwrap_or(&none);
    let said_at = messages
        .iter()
        .rposition(|message| message["role"] == "user" && is_of_person(&text_of(message)));
    let since = said_at.map_or(messages.len(), |at| at + 1);
    let results = messages[since..]
        .iter()
        .filter(|message| message["role"] == "tool")
        .map(text_of)
        .collect();
    let said = said_at.map(|at| words_of(&text_of(&messages[at])).to_owned());
    Turn {
        said: said.unwrap_or_default(),
        results,
        has_exec: request["tools"]
            .as_array()
            .is_some_and(|tools| tools.iter().any(|tool| tool["function"]["name"] == "exec")),
    }
}

fn is_of_person(text: &str) -> bool {
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
    let text = without_stamp(text);
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
                said: "I had rice".to_owned(),
                results: vec!["380".to_owned()],
                has_exec: true,
            }
        );
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
    fn brackets_that_are_no_stamp_stay() {
        let request = json!({ "messages": [{ "role": "user", "content": "[[SAY x]]" }] });

        assert_eq!(read(&request).said, "[[SAY x]]");
    }
}
