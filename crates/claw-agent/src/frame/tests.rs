use std::{collections::BTreeMap, fmt::Write};

use super::*;
use crate::captures;

#[test]
fn every_recorded_frame_is_decoded_or_known_to_be_irrelevant() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for name in captures::names() {
        for frame in captures::inbound(&name) {
            *counts.entry(kind(decode(&frame, None))).or_default() += 1;
        }
    }

    let mut table = String::new();
    for (kind, count) in counts {
        writeln!(table, "{count:4} {kind}").unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_recorded_final_event_carries_the_whole_reply() {
    assert_eq!(
        finals("chat-simple"),
        [(
            "simple-1-1795327723748".to_owned(),
            Some("Hello from the mock".to_owned())
        )]
    );
}

#[test]
fn a_queued_message_ends_with_a_final_event_without_text() {
    let finals = finals("overlap-followup");

    assert_eq!(finals[0], ("ov-followup-1795327794663b".to_owned(), None));
    assert_eq!(finals[3].1.as_deref(), Some("reply to second"));
}

#[test]
fn a_silent_heartbeat_ends_with_a_final_event_without_text() {
    assert!(
        finals("heartbeat-ok")
            .iter()
            .all(|(_, text)| text.is_none())
    );
}

#[test]
fn the_first_error_event_of_a_run_names_the_provider_failure() {
    let mut failures: Vec<(String, RunFailure)> = Vec::new();
    for frame in captures::inbound("provider-errors") {
        if let Some(Incoming::Event(AgentEvent::ChatError { run, failure, .. })) =
            decode(&frame, None)
            && failures.iter().all(|(known, _)| *known != run)
        {
            failures.push((run, failure));
        }
    }

    let failures: Vec<&str> = failures
        .iter()
        .map(|(_, failure)| failure.as_str())
        .collect();
    assert_eq!(
        failures,
        [
            "auth",
            "billing",
            "auth",
            "model_not_found",
            "rate_limit",
            "server_error",
            "timeout"
        ]
    );
}

#[test]
fn a_run_that_takes_too_long_fails_with_a_timeout() {
    let failure = events("run-timeout").find_map(|event| {
        if let AgentEvent::ChatError { failure, .. } = event {
            return Some(failure);
        }
        None
    });

    assert_eq!(failure, Some(RunFailure::Timeout));
}

#[test]
fn texts_of_users_and_assistants_are_not_printed() {
    for name in captures::names() {
        for frame in captures::inbound(&name) {
            let printed = format!("{:?}", decode(&frame, None));
            assert!(!printed.contains("[["), "{name}: {printed}");
        }
    }
}

fn events(name: &str) -> impl Iterator<Item = AgentEvent> {
    captures::inbound(name)
        .into_iter()
        .filter_map(|frame| match decode(&frame, None)? {
            Incoming::Event(event) => Some(event),
            Incoming::Response(_) => None,
        })
}

fn finals(name: &str) -> Vec<(String, Option<String>)> {
    events(name)
        .filter_map(|event| {
            if let AgentEvent::ChatFinal { run, text, .. } = event {
                return Some((run, text.map(|text| text.expose().to_owned())));
            }
            None
        })
        .collect()
}

fn kind(incoming: Option<Incoming>) -> String {
    let event = match incoming {
        None => return "ignored".to_owned(),
        Some(Incoming::Response(response)) => {
            return match response.outcome {
                Ok(_) => "response ok".to_owned(),
                Err(error) => format!("response {error}"),
            };
        }
        Some(Incoming::Event(event)) => event,
    };
    if let AgentEvent::Other { name } = event {
        return format!("other {name}");
    }
    let printed = format!("{event:?}");
    let end = printed.find([' ', '{']).unwrap_or(printed.len());
    format!("event {}", &printed[..end])
}
