//! Reminders: "remind me in 20 seconds to call mum" becomes an automation, through the tools a real
//! model would find it with, and is said when that fires.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    script::{Act, NOTHING},
    talk::Turn,
};

/// How a wish to be reminded begins.
const WISH: &str = "remind me in ";

/// How the instruction begins that an automation of ours gives.
const DUE: &str = "Reminder is due: tell them to ";

/// What the tool for schedules is called in `OpenClaw`'s catalogue.
const TOOL: &str = "automations";

/// What the tool's result holds when it has scheduled something.
const SCHEDULED: &str = "nextRunAtMs";

/// Answers a wish to be reminded: looks for the tool, calls it, and confirms. Nothing for all else,
/// or without a catalogue of tools.
pub(crate) fn assist(turn: &Turn, now: DateTime<Utc>) -> Option<Act> {
    if !turn.has_catalogue {
        return None;
    }
    let wish = Wish::read(&turn.said)?;
    Some(match turn.results.as_slice() {
        [] => Act::Call {
            tool: "tool_search".to_owned(),
            arguments: json!({ "query": "schedule reminder automation cron" }),
        },
        [found] => match id_of_tool(found) {
            Some(id) => wish.schedule(&id, now),
            None => wish.refuse(),
        },
        [_, .., result] if result.contains(SCHEDULED) => wish.confirm(),
        [_, ..] => wish.refuse(),
    })
}

/// Answers the instruction of an automation that fires.
pub(crate) fn fire(instruction: &str) -> Act {
    let due = instruction.split_once(DUE).map(|(_, what)| what);
    Act::Say(match due {
        Some(what) => format!("Time to {what}"),
        None => NOTHING.to_owned(),
    })
}

/// The catalogue's id of the tool, out of what a search found.
fn id_of_tool(found: &str) -> Option<String> {
    let found: Vec<Value> = serde_json::from_str(found).ok()?;
    let tool = found.iter().find(|tool| tool["name"] == TOOL)?;
    tool["id"].as_str().map(str::to_owned)
}

struct Wish<'a> {
    delay: TimeDelta,
    /// As the person put it: "20 seconds".
    when: &'a str,
    what: &'a str,
}

impl<'a> Wish<'a> {
    fn read(said: &'a str) -> Option<Self> {
        let begin = said.to_ascii_lowercase().find(WISH)? + WISH.len();
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

    fn schedule(&self, id: &str, now: DateTime<Utc>) -> Act {
        let at = (now + self.delay).to_rfc3339_opts(SecondsFormat::Millis, true);
        let job = json!({
            "name": "reminder",
            "schedule": { "kind": "at", "at": at },
            "payload": { "kind": "agentTurn", "message": format!("{DUE}{}.", self.what) },
        });
        Act::Call {
            tool: "tool_call".to_owned(),
            arguments: json!({ "id": id, "args": { "action": "add", "job": job } }),
        }
    }

    fn confirm(&self) -> Act {
        let Self { when, what, .. } = self;
        Act::Say(format!("I will remind you in {when} to {what}."))
    }

    fn refuse(&self) -> Act {
        let what = self.what;
        Act::Say(format!(
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
    fn a_wish_is_scheduled_with_the_tool_that_was_found_and_confirmed() {
        let Some(Act::Call { tool, .. }) = act(SAID, &[]) else {
            panic!()
        };
        assert_eq!(tool, "tool_search");
        let Some(Act::Call { tool, arguments }) = act(SAID, &[FOUND]) else {
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
            Some(Act::Say(
                "I will remind you in 20 seconds to call Mum.".to_owned()
            ))
        );
        let instruction = job["payload"]["message"].as_str().unwrap();
        assert_eq!(fire(instruction), Act::Say("Time to call Mum.".to_owned()));
    }

    #[test]
    fn a_reminder_that_could_not_be_set_is_not_promised() {
        for results in [
            &["[]"] as &[&str],
            &["No such tool"],
            &[FOUND, "Error: bad job"],
        ] {
            let Some(Act::Say(words)) = act(SAID, results) else {
                panic!("{results:?}")
            };
            assert!(words.starts_with("I could not"), "{words}");
        }
    }

    #[test]
    fn other_sentences_and_other_automations_are_left_alone() {
        assert_eq!(act("remind me tomorrow to call mum", &[]), None);
        assert_eq!(act("remind me in 2 seconds", &[]), None);
        assert_eq!(fire("Review the week."), Act::Say("NO_REPLY".to_owned()));
    }

    fn act(said: &str, results: &[&str]) -> Option<Act> {
        assist(&Turn::of(said, results), DateTime::UNIX_EPOCH)
    }
}
