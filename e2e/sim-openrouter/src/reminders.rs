//! Reminders: "remind me in 20 seconds to call mum" becomes an automation, which the model makes with the
//! same tools as a real model. It is said when the automation fires.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    action::{Action, NO_REPLY},
    prompt::Prompt,
};

/// The start of a request for a reminder.
const REQUEST: &str = "remind me in ";

/// The start of the instruction in our automations.
const DUE: &str = "Reminder is due: tell them to ";

/// The name of the scheduling tool in OpenClaw's catalogue.
const TOOL: &str = "automations";

/// Part of the tool's result when it has scheduled an automation.
const SCHEDULED: &str = "nextRunAtMs";

/// Answers a request for a reminder: searches for the tool, calls it, and confirms. `None` for any other
/// text, or without a catalogue of tools.
pub(crate) fn assist(prompt: &Prompt, now: DateTime<Utc>) -> Option<Action> {
    if !prompt.has_catalogue {
        return None;
    }
    let request = ReminderRequest::read(&prompt.said)?;
    Some(match prompt.results.as_slice() {
        [] => Action::Call {
            tool: "tool_search".to_owned(),
            arguments: json!({ "query": "schedule reminder automation cron" }),
        },
        [found] => match id_of_tool(found) {
            Some(id) => request.schedule(&id, now),
            None => request.refuse(),
        },
        [_, .., result] if result.contains(SCHEDULED) => request.confirm(),
        [_, ..] => request.refuse(),
    })
}

/// Answers the instruction of an automation that fired.
pub(crate) fn fire(instruction: &str) -> Action {
    let due = instruction.split_once(DUE).map(|(_, what)| what);
    Action::Say(match due {
        Some(what) => format!("Time to {what}"),
        None => NO_REPLY.to_owned(),
    })
}

/// The tool's id in the catalogue, from the result of a search.
fn id_of_tool(found: &str) -> Option<String> {
    let found: Vec<Value> = serde_json::from_str(found).ok()?;
    let tool = found.iter().find(|tool| tool["name"] == TOOL)?;
    tool["id"].as_str().map(str::to_owned)
}

struct ReminderRequest<'a> {
    delay: TimeDelta,
    /// As the user wrote it: "20 seconds".
    when: &'a str,
    what: &'a str,
}

impl<'a> ReminderRequest<'a> {
    fn read(said: &'a str) -> Option<Self> {
        let begin = said.to_ascii_lowercase().find(REQUEST)? + REQUEST.len();
        let (when, what) = said[begin..].split_once(" to ")?;
        let (count, unit) = when.split_once(' ')?;
        let count = count.parse::<u32>().ok()?;
        let seconds = match unit.trim_end_matches('s') {
            "second" => 1,
            "minute" => 60,
            "hour" => 3_600,
            _ => return None,
        };
        let what = what.lines().next()?.trim_end_matches(['.', '!', ' ']);
        (!what.is_empty()).then_some(Self {
            delay: TimeDelta::seconds(i64::from(count) * seconds),
            when,
            what,
        })
    }

    fn schedule(&self, id: &str, now: DateTime<Utc>) -> Action {
        let at = (now + self.delay).to_rfc3339_opts(SecondsFormat::Millis, true);
        let job = json!({
            "name": "reminder",
            "schedule": { "kind": "at", "at": at },
            "payload": { "kind": "agentTurn", "message": format!("{DUE}{}.", self.what) },
        });
        Action::Call {
            tool: "tool_call".to_owned(),
            arguments: json!({ "id": id, "args": { "action": "add", "job": job } }),
        }
    }

    fn confirm(&self) -> Action {
        let Self { when, what, .. } = self;
        Action::Say(format!("I will remind you in {when} to {what}."))
    }

    fn refuse(&self) -> Action {
        let what = self.what;
        Action::Say(format!(
            "I could not set a reminder to {what}. Please tell me again later."
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Please remind me in 20 seconds to call Mum.";
    const FOUND: &str = r#"[{"id":"openclaw:core:pdf","name":"pdf"},{"id":"openclaw:core:automations","name":"automations"}]"#;

    #[test]
    fn a_reminder_is_scheduled_with_the_tool_found_and_then_confirmed() {
        let Some(Action::Call { tool, .. }) = act(SAID, &[]) else {
            panic!()
        };
        assert_eq!(tool, "tool_search");
        let Some(Action::Call { tool, arguments }) = act(SAID, &[FOUND]) else {
            panic!()
        };
        assert_eq!(
            (tool.as_str(), &arguments["id"]),
            ("tool_call", &json!("openclaw:core:automations"))
        );
        let job = &arguments["args"]["job"];
        assert_eq!(job["schedule"]["at"], "1970-01-01T00:00:20.000Z");
        assert_eq!(
            act(SAID, &[FOUND, r#"{"state":{"nextRunAtMs":20000}}"#]),
            Some(Action::Say(
                "I will remind you in 20 seconds to call Mum.".to_owned()
            ))
        );
        let instruction = job["payload"]["message"].as_str().unwrap();
        assert_eq!(
            fire(instruction),
            Action::Say("Time to call Mum.".to_owned())
        );
    }

    #[test]
    fn a_reminder_that_could_not_be_set_is_not_promised() {
        for results in [
            &["[]"] as &[&str],
            &["No such tool"],
            &[FOUND, "Error: bad job"],
        ] {
            let Some(Action::Say(words)) = act(SAID, results) else {
                panic!("{results:?}")
            };
            assert!(words.starts_with("I could not"), "{words}");
        }
    }

    #[test]
    fn other_sentences_and_other_automations_are_ignored() {
        assert_eq!(act("remind me tomorrow to call mum", &[]), None);
        assert_eq!(act("remind me in 2 seconds", &[]), None);
        assert_eq!(fire("Review the week."), Action::Say("NO_REPLY".to_owned()));
    }

    fn act(said: &str, results: &[&str]) -> Option<Action> {
        assist(&Prompt::of(said, results), DateTime::UNIX_EPOCH)
    }
}
