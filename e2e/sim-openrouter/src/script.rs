//! Decides the answer of the simulated model: by rules first, then by directives in the user's text, then
//! as a small assistant that greets, keeps a diary of meals and sets reminders. Any other text is echoed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    action::{Action, NO_REPLY, directive},
    calls, heartbeats, meals,
    prompt::{Prompt, Trigger},
    reminders,
};

/// An answer to texts that contain a pattern; set through the control API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The text to look for, case-insensitively. The empty pattern matches every text.
    pub pattern: String,
    /// How many times the rule applies; without limit when absent.
    #[serde(default)]
    pub times: Option<u64>,
    /// The action with which the model answers.
    #[serde(flatten)]
    pub action: Action,
    /// Seconds over which the answer is streamed.
    #[serde(default)]
    pub seconds: u64,
}

/// An action, and the seconds over which it is streamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) action: Action,
    pub(crate) seconds: u64,
}

/// Decides the answer, and counts the use of the rule that applies.
pub(crate) fn answer(prompt: &Prompt, rules: &mut Vec<Rule>, now: DateTime<Utc>) -> Answer {
    if let Some(rule) = take_rule(prompt, rules) {
        let action = match prompt.results.last() {
            Some(result) if rule.action.uses_tool() => said_result(result),
            Some(_) | None => rule.action,
        };
        let seconds = rule.seconds;
        return Answer { action, seconds };
    }
    let action = match &prompt.trigger {
        Trigger::Message => directed(prompt)
            .or_else(|| reminders::assist(prompt, now))
            .or_else(|| meals::assist(prompt))
            .unwrap_or_else(|| small_talk(prompt)),
        Trigger::Heartbeat(to_tell) => heartbeats::answer(to_tell.as_deref()),
        Trigger::Automation => reminders::fire(&prompt.said),
        Trigger::CallEnd(said_last) => calls::follow_up(said_last),
    };
    Answer {
        action,
        seconds: directive(&prompt.said, "SLOW")
            .and_then(|seconds| seconds.parse().ok())
            .unwrap_or(0),
    }
}

fn take_rule(prompt: &Prompt, rules: &mut Vec<Rule>) -> Option<Rule> {
    let said = prompt.said.to_lowercase();
    let applies = |rule: &Rule| said.contains(&rule.pattern.to_lowercase());
    let at = rules.iter().position(applies)?;
    // The request with the result of the rule's own tool call does not count as another use.
    if prompt.results.is_empty()
        && let Some(times) = &mut rules[at].times
    {
        *times = times.saturating_sub(1);
        if *times == 0 && !rules[at].action.uses_tool() {
            return Some(rules.remove(at));
        }
    }
    Some(rules[at].clone())
}

fn directed(prompt: &Prompt) -> Option<Action> {
    let said = &prompt.said;
    if let Some(command) = directive(said, "EXEC") {
        return Some(match prompt.results.last() {
            Some(result) => said_result(result),
            None => Action::Exec(command.to_owned()),
        });
    }
    if let Some(code) = directive(said, "ERROR").and_then(|code| code.parse().ok()) {
        return Some(Action::Error(code));
    }
    if let Some(words) = directive(said, "BREAK") {
        return Some(Action::BreakOff(words.to_owned()));
    }
    if said.contains("[[SILENT]]") || said.contains("reply NO_REPLY") {
        return Some(Action::Say(NO_REPLY.to_owned()));
    }
    directive(said, "SAY")
        .map(|words| Action::Say(words.to_owned()))
        .or_else(|| heartbeats::acknowledge(said))
}

fn said_result(result: &str) -> Action {
    Action::Say(format!("The command said: {result}"))
}

/// First words of a greeting.
const GREETINGS: [&str; 12] = [
    "hi", "hello", "hey", "hallo", "hola", "namaste", "yo", "salut", "ciao", "moin", "servus",
    "good",
];

fn small_talk(prompt: &Prompt) -> Action {
    let said = prompt.said.trim();
    let first = said
        .split(|c: char| !c.is_alphabetic())
        .next()
        .unwrap_or_default()
        .to_lowercase();
    let is_short = said.split_whitespace().count() <= 4;
    Action::Say(if is_short && GREETINGS.contains(&first.as_str()) {
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
    fn a_greeting_is_returned_and_any_other_text_is_echoed() {
        let say = |said: &str| {
            let Action::Say(text) = act(said, &[]) else {
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
        assert_eq!(act("[[ERROR 429]]", &[]), Action::Error(429));
        assert_eq!(
            act("[[EXEC id -un]]", &[]),
            Action::Exec("id -un".to_owned())
        );
        assert_eq!(
            act("[[EXEC id -un]]", &["claw"]),
            Action::Say("The command said: claw".to_owned())
        );
        assert_eq!(act("[[SILENT]]", &[]), Action::Say("NO_REPLY".to_owned()));
        let prompt = Prompt::of("[[SLOW 8]] tell me a story", &[]);
        assert_eq!(answer(&prompt, &mut Vec::new(), NOW).seconds, 8);
    }

    #[test]
    fn a_rule_can_call_any_tool_and_then_says_its_result() {
        let rule = r#"{"pattern":"time","call":{"tool":"session_status","arguments":{}}}"#;
        let mut rules: Vec<Rule> = vec![serde_json::from_str(rule).unwrap()];
        let mut act = |results: &[&str]| {
            answer(&Prompt::of("what time is it?", results), &mut rules, NOW).action
        };

        let call = Action::Call {
            tool: "session_status".to_owned(),
            arguments: serde_json::json!({}),
        };
        assert_eq!(act(&[]), call);
        assert_eq!(act(&["noon"]), said_result("noon"));
    }

    #[test]
    fn heartbeats_and_automations_say_only_what_is_due() {
        let said = |trigger| {
            let prompt = Prompt {
                trigger,
                ..Prompt::of("Review the week. [[SAY nothing]] hi", &[])
            };
            answer(&prompt, &mut Vec::new(), NOW).action
        };
        let say = |words: &str| Action::Say(words.to_owned());

        assert_eq!(said(Trigger::Heartbeat(None)), say(NO_REPLY));
        assert_eq!(said(Trigger::Heartbeat(Some("a".to_owned()))), say("a"));
        assert_eq!(said(Trigger::Automation), say(NO_REPLY));
    }

    #[test]
    fn a_rule_takes_precedence_and_applies_only_as_often_as_set() {
        let rule: Rule =
            serde_json::from_str(r#"{"pattern":"HI","say":"Welcome","times":1}"#).unwrap();
        let mut rules = vec![rule];

        let first = answer(&Prompt::of("hi", &[]), &mut rules, NOW).action;

        assert_eq!(first, Action::Say("Welcome".to_owned()));
        assert_eq!(rules, []);
    }

    fn act(said: &str, results: &[&str]) -> Action {
        answer(&Prompt::of(said, results), &mut Vec::new(), NOW).action
    }
}
