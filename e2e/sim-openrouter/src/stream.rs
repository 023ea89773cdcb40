//! The answer to a completion request, streamed or whole.

use std::time::Duration;

use axum::{
    Json,
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde_json::{Value, json};
use sim_kit::clock;

use super::{action::Action, error::ApiError, script::Answer};

/// Longest time between two lines of a slow stream.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// Most pieces in which a text is streamed.
const PIECES: usize = 8;

/// A call of a tool by the model.
struct ToolCall {
    tool: String,
    arguments: Value,
}

impl ToolCall {
    fn exec(command: &str) -> Self {
        Self {
            tool: "exec".to_owned(),
            arguments: json!({ "command": command }),
        }
    }
}

/// The values that all chunks of one completion share.
pub(crate) struct Generation {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) cost_usd: f64,
}

impl Generation {
    /// The answer as one JSON document.
    pub(crate) async fn whole(&self, answer: Answer) -> Response {
        tokio::time::sleep(Duration::from_secs(answer.seconds)).await;
        let (message, reason) = match answer.action {
            Action::Say(text) => (json!({ "role": "assistant", "content": text }), "stop"),
            Action::Exec(command) => self.tool_message(&ToolCall::exec(&command)),
            Action::Call { tool, arguments } => self.tool_message(&ToolCall { tool, arguments }),
            Action::Error(code) => return ApiError::of_code(code).into_response(),
            Action::BreakOff(_) => return Json(ApiError::of_code(500).body()).into_response(),
        };
        Json(json!({
            "id": self.id,
            "object": "chat.completion",
            "created": clock::now().timestamp(),
            "model": self.model,
            "choices": [{ "index": 0, "finish_reason": reason, "message": message }],
            "system_fingerprint": "fp_simulated",
            "usage": self.usage(),
        }))
        .into_response()
    }

    /// The answer as server-sent events.
    pub(crate) fn streamed(&self, answer: Answer) -> Response {
        let (mut lines, is_broken) = match answer.action {
            Action::Say(text) => (self.text_chunks(&text, "stop"), false),
            Action::Exec(command) => (self.tool_chunks(&ToolCall::exec(&command)), false),
            Action::Call { tool, arguments } => {
                (self.tool_chunks(&ToolCall { tool, arguments }), false)
            }
            Action::Error(code) => return ApiError::of_code(code).into_response(),
            Action::BreakOff(text) => (self.broken_chunks(&text), true),
        };
        if !is_broken {
            let mut usage = self.chunk(&json!([]));
            usage["usage"] = self.usage();
            lines.push(event(&usage));
            lines.push("data: [DONE]\n\n".to_owned());
        }
        let lines = paced(lines, Duration::from_secs(answer.seconds));
        let body = stream::unfold(lines.into_iter(), async |mut lines| {
            let (pause, line) = lines.next()?;
            tokio::time::sleep(pause).await;
            Some((Ok::<_, std::convert::Infallible>(Bytes::from(line)), lines))
        });
        let head = [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-cache"),
        ];
        (head, Body::from_stream(body)).into_response()
    }

    fn text_chunks(&self, text: &str, reason: &str) -> Vec<String> {
        let mut chunks = vec![self.delta(&json!({ "role": "assistant", "content": "" }), None)];
        for piece in pieces(text) {
            chunks.push(self.delta(&json!({ "content": piece }), None));
        }
        chunks.push(self.delta(&json!({}), Some(reason)));
        chunks
    }

    /// A tool call in pieces, as models stream it: only the first piece has the id and the name.
    fn tool_chunks(&self, call: &ToolCall) -> Vec<String> {
        let arguments = call.arguments.to_string();
        let mut first = self.tool_call(call);
        first["index"] = json!(0);
        first["function"]["arguments"] = json!("");
        let first = json!({ "role": "assistant", "content": null, "tool_calls": [first] });
        let mut chunks = vec![self.delta(&first, None)];
        for piece in pieces(&arguments) {
            let part = json!({ "index": 0, "function": { "arguments": piece } });
            chunks.push(self.delta(&json!({ "tool_calls": [part] }), None));
        }
        chunks.push(self.delta(&json!({}), Some("tool_calls")));
        chunks
    }

    /// Text, then an error inside the stream, then nothing.
    fn broken_chunks(&self, text: &str) -> Vec<String> {
        let mut chunks = self.text_chunks(text, "stop");
        chunks.pop();
        let mut error = self.chunk(&json!([{
            "index": 0, "delta": { "content": "" }, "finish_reason": "error",
        }]));
        error["error"] = json!({ "code": "server_error", "message": "Provider disconnected" });
        chunks.push(event(&error));
        chunks
    }

    /// A tool call in one piece, and the message's `finish_reason`.
    fn tool_message(&self, call: &ToolCall) -> (Value, &'static str) {
        let call = self.tool_call(call);
        let message = json!({ "role": "assistant", "content": null, "tool_calls": [call] });
        (message, "tool_calls")
    }

    fn tool_call(&self, call: &ToolCall) -> Value {
        json!({
            "id": format!("call_{}", self.id),
            "type": "function",
            "function": { "name": call.tool, "arguments": call.arguments.to_string() },
        })
    }

    fn delta(&self, delta: &Value, reason: Option<&str>) -> String {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
        event(&self.chunk(&json!([choice])))
    }

    fn chunk(&self, choices: &Value) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": clock::now().timestamp(),
            "model": self.model,
            "choices": choices,
        })
    }

    fn usage(&self) -> Value {
        json!({
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "cost": self.cost_usd,
        })
    }
}

fn event(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}

/// The lines, each with the pause before it. The pauses add up to `whole`; long ones are interrupted by
/// comments.
fn paced(lines: Vec<String>, whole: Duration) -> Vec<(Duration, String)> {
    let comment = || ": OPENROUTER PROCESSING\n\n".to_owned();
    let gaps = u32::try_from(lines.len()).unwrap_or(1).max(1);
    let gap = whole / gaps;
    let mut paced = vec![(Duration::ZERO, comment())];
    for line in lines {
        let mut left = gap;
        while left > KEEP_ALIVE {
            paced.push((KEEP_ALIVE, comment()));
            left -= KEEP_ALIVE;
        }
        paced.push((left, line));
    }
    paced
}

/// Splits `text` at character boundaries.
fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let size = chars.len().div_ceil(PIECES).max(1);
    chars
        .chunks(size)
        .map(|piece| piece.iter().collect())
        .collect()
}
