//! Frames recorded from a real OpenClaw, for the tests of this crate.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    History, HistorySince,
    frame::{Incoming, Response, decode},
};

/// One recorded frame; `direction` is `in` for frames from OpenClaw to us.
#[derive(Deserialize)]
pub(crate) struct Record {
    pub(crate) direction: String,
    pub(crate) frame: Option<Box<RawValue>>,
}

/// The names of all captures.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".jsonl").map(ToOwned::to_owned)
        })
        .collect();
    names.sort();
    names
}

/// All records of a capture.
pub(crate) fn records(name: &str) -> Vec<Record> {
    let text = std::fs::read_to_string(format!("{}/{name}.jsonl", folder())).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The frames OpenClaw sent in a capture.
pub(crate) fn inbound(name: &str) -> Vec<String> {
    records(name)
        .into_iter()
        .filter(|record| record.direction == "in")
        .map(|record| record.frame.unwrap().get().to_owned())
        .collect()
}

/// The successful answers to one method, in order.
pub(crate) fn answers(name: &str, method: &str) -> Vec<Response> {
    let mut asked = Vec::new();
    let mut answers = Vec::new();
    for record in records(name) {
        let Some(frame) = record.frame else { continue };
        if record.direction == "out" {
            let request: Request = serde_json::from_str(frame.get()).unwrap_or_default();
            if request.method == method {
                asked.push(request.id);
            }
        } else if let Some(Incoming::Response(response)) = decode(frame.get(), None)
            && asked.contains(&response.id)
            && response.outcome.is_ok()
        {
            asked.retain(|id| *id != response.id);
            answers.push(response);
        }
    }
    answers
}

/// The pages of history in a capture, in order.
pub(crate) fn pages(name: &str) -> Vec<History> {
    answers(name, "chat.history")
        .iter()
        .map(|answer| History::read(answer.outcome.as_ref().unwrap().raw()).unwrap())
        .collect()
}

/// The answers to `chat.history` in a capture, read as deltas.
pub(crate) fn deltas(name: &str) -> Vec<HistorySince> {
    answers(name, "chat.history")
        .iter()
        .map(|answer| HistorySince::read(answer.outcome.as_ref().unwrap().raw()).unwrap())
        .collect()
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Request {
    id: String,
    method: String,
}

fn folder() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures")
}
