//! What the simulated model answers: rules first, then directives in the person's text, then a small
//! assistant that greets, keeps a diary of meals and reminds, then an echo.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    calls, heartbeats, meals, reminders,
    talk::{Occasion, Turn},
};

/// What the model says to say nothing.
pub(crate) const NOTHING: &str = "NO_REPLY";

/// An answer to texts that contain a pattern, set through the control API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Text it answers to, wherever it stands, whatever its case. Empty answers to everything.
    pub pattern: String,
    /// How often it answers; for ever when absent.
    #[serde(default)]
    pub times: Option<u64>,
    /// What it does.
    #[serde(flatten)]
    pub act: Act,
    /// Seconds over which the answer is streamed.
    #[serde(default)]
    pub seconds: u64,
}

/// What the model does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Says this.
    Say(String),
    /// Runs this command, and says what came out.
    Exec(String),
    /// Calls a tool, and says what came out.
    Call {
        /// Its name.
        tool: String,
        /// What it is given, as its schema wants it.
        arguments: Value,
    },
    /// Fails with this status before the first token.
    Error(u16),
    /// Says this, then fails in the middle of the stream.
    BreakOff(String),
}

impl Act {
    fn uses_tool(&self) -> bool {
        match self {
            Self::Exec(_) | Self::Call { .. } => true,
            Self::Say(_) | Self::Error(_) | Self::BreakOff(_) => false,
        }
    }
}

/// An act and how long its streaming takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) act: Act,
    pub(crate) seconds: u64,
}

/// Decides what to answer. Uses up the rule that applies.
pub(crate) fn answer(turn: &Turn, rules: &mut Vec<Rule>, now: DateTime<Utc>) -> Answer {
    if let Some(rule) = take_rule(turn, rules) {
        let act = match turn.results.last() {
            Some(result) if rule.act.uses_tool() => said_result(result),
            Some(_) | None => rule.act,
        };
        let seconds = rule.seconds;
        return Answer { act, seconds };
    }
    let act = match &turn.occasion {
        Occasion::Message => directed(turn)
            .or_else(|| reminders::assist(turn, now))
            .or_else(|| meals::assist(turn))
            .unwrap_or_else(|| small_talk(turn)),
        Occasion::Heartbeat(to_tell) => heartbeats::look_around(to_tell.as_deref()),
        Occasion::Automation => reminders::fire(&turn.said),
        Occasion::CallEnd(said_last) => calls::follow_up(said_last),
    };
    Answer {
        act,
        seconds: directive(&turn.said, "SLOW")
            .and_then(|seconds| seconds.parse().ok())
            .unwrap_or(0),
    }
}

fn take_rule(turn: &Turn, rules: &mut Vec<Rule>) -> Option<Rule> {
    let said = turn.said.to_lowercase();
    let applies = |rule: &Rule| said.contains(&rule.pattern.to_lowercase());
    let at = rules.iter().position(applies)?;
    // A rule's own tool result does not use it up again.
    if turn.results.is_empty()
        && let Some(times) = &mut rules[at].times
    {
        *times = times.saturating_sub(1);
        if *times == 0 && !rules[at].act.uses_tool() {
            return Some(rules.remove(at));
        }
    }
    Some(rules[at].clone())
}

fn directed(turn: &Turn) -> Option<Act> {
    let said = &turn.said;
    if let Some(command) = directive(said, "EXEC") {
        return Some(match turn.results.last() {
            Some(result) => said_result(result),
            None => Act::Exec(command.to_owned()),
        });
    }
    if let Some(code) = directive(said, "ERROR").and_then(|code| code.parse().ok()) {
        return Some(Act::Error(code));
    }
    if let Some(words) = directive(said, "BREAK") {
        return Some(Act::BreakOff(words.to_owned()));
    }
    if said.contains("[[SILENT]]") || said.contains("reply NO_REPLY") {
        return Some(Act::Say(NOTHING.to_owned()));
    }
    directive(said, "SAY")
        .map(|words| Act::Say(words.to_owned()))
        .or_else(|| heartbeats::promise(said))
}

fn said_result(result: &str) -> Act {
    Act::Say(format!("The command said: {result}"))
}

/// The argument of the last `[[NAME argument]]`.
pub(crate) fn directive<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.rsplit_once(&format!("[[{name} "))?;
    rest.split_once("]]").map(|(argument, _)| argument.trim())
}

/// Words with which people greet.
const GREETINGS: [&str; 12] = [
    "hi", "hello", "hey", "hallo", "hola", "namaste", "yo", "salut", "ciao", "moin", "servus",
    "good",
];

fn small_talk(turn: &Turn) -> Act {
    let said = turn.said.trim();
    let first = said
        .split(|c: char| !c.is_alphabetic())
        .next()
        .unwrap_or_default()
        .to_lowercase();
    let is_short = said.split_whitespace().count() <= 4;
    Act::Say(if is_short && GREETINGS.contains(&first.as_str()) {
        "Hello! I am your personal assistant. Tell me what you eat, spend or plan, and I will keep \
         track of it."
            .to_owned()
    } else {
        format!("You said: {said}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    #[test]
    fn people_are_greeted_and_else_echoed() {
        let say = |said: &str| {
            let Act::Say(text) = act(said, &[]) else {
                panic!("{said}");
            };
            text
        };

        assert!(say("Hi!").starts_with("Hello!"));
        assert!(say("good morning").starts_with("Hello!"));
        assert_eq!(
            say("hike with me today please"),
            "You said: hike with me today please"
        );
        assert_eq!(say("[[SAY yes]]"), "yes");
    }

    #[test]
    fn directives_are_obeyed() {
        assert_eq!(act("[[ERROR 429]]", &[]), Act::Error(429));
        assert_eq!(act("[[EXEC id -un]]", &[]), Act::Exec("id -un".to_owned()));
        assert_eq!(
            act("[[EXEC id -un]]", &["claw"]),
            Act::Say("The command said: claw".to_owned())
        );
        assert_eq!(act("[[SILENT]]", &[]), Act::Say("NO_REPLY".to_owned()));
        let turn = Turn::of("[[SLOW 8]] tell me a story", &[]);
        assert_eq!(answer(&turn, &mut Vec::new(), NOW).seconds, 8);
    }

    #[test]
    fn a_rule_may_call_any_tool_and_then_says_what_came_out() {
        let rule = r#"{"pattern":"time","call":{"tool":"session_status","arguments":{}}}"#;
        let mut rules: Vec<Rule> = vec![serde_json::from_str(rule).unwrap()];
        let mut act =
            |results: &[&str]| answer(&Turn::of("what time is it?", results), &mut rules, NOW).act;

        let call = Act::Call {
            tool: "session_status".to_owned(),
            arguments: serde_json::json!({}),
        };
        assert_eq!(act(&[]), call);
        assert_eq!(act(&["noon"]), said_result("noon"));
    }

    #[test]
    fn nobody_is_told_anything_unasked_but_what_is_due() {
        let said = |occasion| {
            let turn = Turn {
                occasion,
                ..Turn::of("Review the week. [[SAY nothing]] hi", &[])
            };
            answer(&turn, &mut Vec::new(), NOW).act
        };
        let say = |words: &str| Act::Say(words.to_owned());

        assert_eq!(said(Occasion::Heartbeat(None)), say(NOTHING));
        assert_eq!(said(Occasion::Heartbeat(Some("a".to_owned()))), say("a"));
        assert_eq!(said(Occasion::Automation), say(NOTHING));
    }

    #[test]
    fn a_rule_goes_before_everything_and_only_as_often_as_told() {
        let rule: Rule =
            serde_json::from_str(r#"{"pattern":"HI","say":"Welcome","times":1}"#).unwrap();
        let mut rules = vec![rule];

        let first = answer(&Turn::of("hi", &[]), &mut rules, NOW).act;

        assert_eq!(first, Act::Say("Welcome".to_owned()));
        assert_eq!(rules, []);
    }

    fn act(said: &str, results: &[&str]) -> Act {
        answer(&Turn::of(said, results), &mut Vec::new(), NOW).act
    }
}
