use serde_json::{Value, json};
use sim_kit::clock;

use super::{
    config::QueueMode,
    frame::Refusal,
    params::Params,
    sandbox::{Sandbox, row_event},
    session::{ActiveRun, Session, canonical_key},
};

/// Rows on a page of a request without `limit`.
const ROWS_PER_PAGE: u64 = 200;

/// Most rows on a page, even if the request's `limit` is higher.
const ROWS_PER_PAGE_LIMIT: u64 = 1000;

/// Handles `chat.history`: returns a page, or all rows after a cursor.
pub(crate) fn read(sandbox: &Sandbox, params: &Value) -> Result<Value, Refusal> {
    let allowed = [
        "sessionKey",
        "sessionId",
        "agentId",
        "limit",
        "maxBytes",
        "offset",
        "maxChars",
        "cursor",
        "inputRunIds",
    ];
    let params = Params::closed("chat.history", params, &allowed)?;
    let key = session_key(params.required_text("sessionKey")?)?;
    let mut state = sandbox.state();
    let queue_mode = state.behaviour(&sandbox.shared).queue_mode;
    let session = state.session(&key);
    if params.has("cursor") {
        return Ok(delta(session, params.text("cursor")?, queue_mode));
    }
    let limit = params.number("limit")?.unwrap_or(ROWS_PER_PAGE);
    let offset = params.number("offset")?.unwrap_or_default();
    let mut page = page(
        session,
        limit.clamp(1, ROWS_PER_PAGE_LIMIT),
        offset,
        queue_mode,
    );
    if params.has("inputRunIds") {
        page["inputReceipts"] = json!([]);
        page["inputConsumptions"] = json!([]);
    }
    Ok(page)
}

pub(crate) fn session_key(key: &str) -> Result<String, Refusal> {
    canonical_key(key).ok_or_else(|| {
        let agent = key.split(':').nth(1).unwrap_or(key);
        Refusal::invalid(format!("Agent \"{agent}\" no longer exists"))
    })
}

fn page(session: &Session, limit: u64, offset: u64, queue_mode: QueueMode) -> Value {
    let take = usize::try_from(limit).unwrap_or(usize::MAX);
    let skip = usize::try_from(offset).unwrap_or(usize::MAX);
    let mut rows: Vec<Value> = session
        .rows()
        .rev()
        .skip(skip)
        .take(take)
        .map(|row| row.json())
        .collect();
    rows.reverse();
    let shown = offset + u64::try_from(rows.len()).unwrap_or_default();
    let has_more = shown < u64::try_from(session.rows().len()).unwrap_or_default();
    let mut page = json!({
        "sessionKey": session.key,
        "sessionId": session.id,
        "messages": rows,
        "pendingInputs": { "items": [], "total": 0 },
        "deltaCursor": session.cursor(),
        "hasMore": has_more,
        "totalMessages": session.total_rows(),
        "defaults": defaults(),
        "sessionInfo": session.info(queue_mode.name()),
    });
    if has_more {
        page["nextOffset"] = json!(shown);
    }
    if let Some(run) = session
        .active
        .as_ref()
        .filter(|run| !run.text_so_far.is_empty())
    {
        page["inFlightRun"] = in_flight(session, run);
    }
    page
}

fn in_flight(session: &Session, run: &ActiveRun) -> Value {
    json!({
        "runId": run.run_id,
        "text": run.text_so_far,
        "startedAt": run.started_at_ms,
        "events": [{
            "runId": run.run_id,
            "seq": run.seq,
            "stream": "assistant",
            "ts": clock::now_ms(),
            "data": {},
            "sessionKey": session.key,
            "agentId": "main",
        }],
    })
}

fn delta(session: &Session, cursor: &str, queue_mode: QueueMode) -> Value {
    let Some(rows) = session.rows_after(cursor) else {
        return json!({ "kind": "reset" });
    };
    let messages: Vec<Value> = rows
        .map(|row| row_event(session, row, queue_mode.name()))
        .collect();
    json!({
        "kind": "delta",
        "messages": messages,
        "pendingInputs": { "items": [], "total": 0 },
        "deltaCursor": session.cursor(),
        "sessionInfo": session.info(queue_mode.name()),
    })
}

/// The answer to `sessions.list`; paging parameters are ignored.
pub(crate) fn list_sessions(sandbox: &Sandbox) -> Value {
    let state = sandbox.state();
    let queue_mode = state.behaviour(&sandbox.shared).queue_mode.name();
    let sessions: Vec<Value> = state
        .sessions
        .values()
        .map(|session| session.info(queue_mode))
        .collect();
    json!({
        "ts": clock::now_ms(),
        "path": "/home/node/.openclaw/agents/main/agent/openclaw-agent.sqlite",
        "count": sessions.len(),
        "totalCount": sessions.len(),
        "limitApplied": 100,
        "nextOffset": null,
        "hasMore": false,
        "owners": [],
        "defaults": defaults(),
        "sessions": sessions,
    })
}

fn defaults() -> Value {
    json!({
        "modelProvider": "openrouter",
        "model": "mock/model-1",
        "contextTokens": 200_000,
        "agentRuntime": {
            "id": "auto",
            "cloudPlacementSupported": false,
            "devicePlacementSupported": false,
            "source": "implicit",
        },
        "modelSelectionTarget": "session",
    })
}
