//! Frames recorded from a real gateway, for the tests of this crate.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{History, HistorySince, Incoming, Response, decode};

/// One recorded line: `in` is from the gateway to us.
#[derive(Deserialize)]
pub(crate) struct Line {
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

/// All lines of a capture.
pub(crate) fn lines(name: &str) -> Vec<Line> {
    let text = std::fs::read_to_string(format!("{}/{name}.jsonl", folder())).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What the gateway sent in a capture.
pub(crate) fn inbound(name: &str) -> Vec<String> {
    lines(name)
        .into_iter()
        .filter(|line| line.direction == "in")
        .map(|line| line.frame.unwrap().get().to_owned())
        .collect()
}

/// The successful answers to one method, in order.
pub(crate) fn answers(name: &str, method: &str) -> Vec<Response> {
    let mut asked = Vec::new();
    let mut answers = Vec::new();
    for line in lines(name) {
        let Some(frame) = line.frame else { continue };
        if line.direction == "out" {
            let request: Request = serde_json::from_str(frame.get()).unwrap_or_default();
            if request.method == method {
                asked.push(request.id);
            }
        } else if let Some(Incoming::Response(response)) = decode(frame.get())
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
