use claw_domain::ReplyText;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{AgentEvent, Content, RunFailure, id, lenient, shortened};

/// The longest delta. Models write a few words at a time, and a caller hears no more than 8,000 characters.
const LONGEST_DELTA_BYTES: usize = 32 * 1024;

/// Decodes an event. An event without the fields we need, or with ids that are too long, becomes
/// [`AgentEvent::Other`].
pub(super) fn read(name: &str, payload: Option<&RawValue>) -> AgentEvent {
    let known = match name {
        "connect.challenge" => challenge(payload),
        "chat" => chat(payload),
        "agent" => agent(payload),
        "session.message" => session_message(payload),
        "heartbeat" => Some(AgentEvent::Heartbeat),
        "cron" => cron(payload),
        "tick" => Some(AgentEvent::Tick),
        "shutdown" => Some(AgentEvent::Shutdown),
        _ => None,
    };
    known.unwrap_or_else(|| AgentEvent::Other {
        name: shortened(name.to_owned()),
    })
}

fn challenge(payload: Option<&RawValue>) -> Option<AgentEvent> {
    #[derive(Deserialize)]
    struct Wire {
        nonce: String,
        ts: u64,
    }
    let wire: Wire = body(payload)?;
    Some(AgentEvent::Challenge {
        nonce: id(wire.nonce)?,
        at_ms: wire.ts,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireChat {
    run_id: String,
    session_key: String,
    state: String,
    #[serde(default, deserialize_with = "lenient")]
    delta_text: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    replace: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    message: Option<WireMessage>,
    #[serde(default, deserialize_with = "lenient")]
    error_kind: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    error_detail: Option<WireErrorDetail>,
}

#[derive(Deserialize)]
struct WireMessage {
    #[serde(default, deserialize_with = "lenient")]
    content: Option<Content>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireErrorDetail {
    #[serde(default, deserialize_with = "lenient")]
    failover_reason: Option<String>,
}

fn chat(payload: Option<&RawValue>) -> Option<AgentEvent> {
    let wire: WireChat = body(payload)?;
    let (run, session) = (id(wire.run_id)?, id(wire.session_key)?);
    Some(match wire.state.as_str() {
        "delta" => AgentEvent::ChatDelta {
            run,
            session,
            text: wire
                .delta_text
                .filter(|text| text.len() <= LONGEST_DELTA_BYTES)?
                .into(),
            replaces: wire.replace.unwrap_or(false),
        },
        "final" => AgentEvent::ChatFinal {
            run,
            session,
            text: wire
                .message
                .and_then(|message| message.content)
                .map(|content| content.text)
                .filter(|text| !text.trim().is_empty())
                .map(ReplyText::from),
        },
        "error" => AgentEvent::ChatError {
            run,
            session,
            failure: failure(wire.error_detail, wire.error_kind.as_deref()),
        },
        "aborted" => AgentEvent::ChatAborted { run, session },
        other => AgentEvent::Other {
            name: shortened(format!("chat.{other}")),
        },
    })
}

/// `failoverReason` is more precise than `errorKind`; a run that timed out has only the latter.
fn failure(detail: Option<WireErrorDetail>, kind: Option<&str>) -> RunFailure {
    detail
        .and_then(|detail| detail.failover_reason)
        .as_deref()
        .or(kind)
        .and_then(|name| name.parse().ok())
        .unwrap_or(RunFailure::Other)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAgent {
    run_id: String,
    stream: String,
    #[serde(default, deserialize_with = "lenient")]
    session_key: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    data: Option<WirePhase>,
}

#[derive(Deserialize)]
struct WirePhase {
    #[serde(default, deserialize_with = "lenient")]
    phase: Option<String>,
}

fn agent(payload: Option<&RawValue>) -> Option<AgentEvent> {
    let wire: WireAgent = body(payload)?;
    let phase = wire.data.and_then(|data| data.phase);
    let (run, session) = (id(wire.run_id)?, id(wire.session_key.unwrap_or_default())?);
    Some(match (wire.stream.as_str(), phase.as_deref()) {
        ("lifecycle", Some("start")) => AgentEvent::LifecycleStart { run, session },
        ("lifecycle", Some("end" | "error")) => AgentEvent::LifecycleEnd { run, session },
        (stream, Some(phase)) => AgentEvent::Other {
            name: shortened(format!("agent.{stream}.{phase}")),
        },
        (stream, None) => AgentEvent::Other {
            name: shortened(format!("agent.{stream}")),
        },
    })
}

fn session_message(payload: Option<&RawValue>) -> Option<AgentEvent> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        session_key: String,
    }
    let wire: Wire = body(payload)?;
    Some(AgentEvent::SessionMessage {
        session: id(wire.session_key)?,
    })
}

fn cron(payload: Option<&RawValue>) -> Option<AgentEvent> {
    #[derive(Deserialize)]
    struct Wire {
        action: String,
    }
    let wire: Wire = body(payload)?;
    Some(match wire.action.as_str() {
        "finished" => AgentEvent::CronFinished,
        other => AgentEvent::Other {
            name: shortened(format!("cron.{other}")),
        },
    })
}

fn body<T: DeserializeOwned>(payload: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(payload?.get()).ok()
}
