//! The jobs that an agent has planned. They are on its volume, so they survive restarts.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sim_kit::clock;
use uuid::Uuid;

use super::{
    cron::HEARTBEAT_ID,
    frame::Refusal,
    params::Params,
    proactive,
    sandbox::{Phase, Sandbox, State},
};

/// Time between two heartbeats in the list of jobs. The simulator runs none by itself.
const HEARTBEAT_EVERY_MS: i64 = 30 * 60_000;

/// Most jobs of one list.
const MOST_LISTED: usize = 200;

/// A reminder that an agent plans with its tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedJob {
    /// The text that it writes.
    pub text: String,
    /// When it first runs, in milliseconds since 1970.
    pub at_ms: i64,
    /// The milliseconds between two runs; `None` if it runs once.
    pub every_ms: Option<i64>,
}

/// A planned job and its next run.
pub(crate) struct Job {
    id: String,
    plan: PlannedJob,
    next_run_ms: i64,
}

/// Plans a job; returns its id.
pub(crate) fn plan(sandbox: &Arc<Sandbox>, plan: PlannedJob) -> String {
    let mut state = sandbox.state();
    let job = Job {
        id: Uuid::new_v4().to_string(),
        next_run_ms: plan.at_ms,
        plan,
    };
    let id = job.id.clone();
    arm(sandbox, &state, &job);
    state.jobs.push(job);
    id
}

/// Takes up the jobs after a start. OpenClaw runs those it missed two minutes later, each five seconds after the one
/// before, whether they run once or again and again (read in the code of 2026.9.6, `planStartupCatchup`).
pub(crate) fn take_up(sandbox: &Arc<Sandbox>, state: &mut State) {
    let now_ms = clock::now_ms();
    let mut deferred_to = now_ms + in_ms(sandbox.shared.config.missed_jobs_after);
    state.jobs.sort_by_key(|job| job.next_run_ms);
    for job in &mut state.jobs {
        if job.next_run_ms <= now_ms {
            job.next_run_ms = deferred_to;
            deferred_to += 5_000;
        }
    }
    for job in &state.jobs {
        arm(sandbox, state, job);
    }
}

/// Runs the job at its time, unless OpenClaw has been restarted by then.
fn arm(sandbox: &Arc<Sandbox>, state: &State, job: &Job) {
    let (boot, id, at_ms) = (state.boot.number, job.id.clone(), job.next_run_ms);
    let pause = u64::try_from(at_ms - clock::now_ms()).unwrap_or_default();
    let (sandbox, stop) = (Arc::clone(sandbox), sandbox.shared.stop.clone());
    let tasks = sandbox.shared.tasks.clone();
    tasks.spawn(async move {
        let due = tokio::time::sleep(Duration::from_millis(pause));
        if stop.run_until_cancelled(due).await.is_some() {
            run(&sandbox, boot, &id, at_ms);
        }
    });
}

fn run(sandbox: &Arc<Sandbox>, boot: u64, id: &str, at_ms: i64) {
    let mut guard = sandbox.state();
    let state = &mut *guard;
    if state.boot.number != boot || state.boot.phase != Phase::Up {
        return;
    }
    let is_due = |job: &Job| job.id == id && job.next_run_ms == at_ms;
    let Some(place) = state.jobs.iter().position(is_due) else {
        return;
    };
    let text = state.jobs[place].plan.text.clone();
    proactive::run_job(sandbox, state, id, &text);
    match state.jobs[place].plan.every_ms {
        None => {
            state.jobs.remove(place);
        }
        Some(every_ms) => {
            state.jobs[place].next_run_ms += every_ms;
            arm(sandbox, state, &state.jobs[place]);
        }
    }
}

/// Answers `cron.list`: the enabled jobs, the next one to run first.
pub(crate) fn list(sandbox: &Sandbox, params: &Value) -> Result<Value, Refusal> {
    let known = ["includeDisabled", "limit", "offset", "compact"];
    let params = Params::closed("cron.list", params, &known)?;
    let limit = params.number("limit")?.map_or(MOST_LISTED, |limit| {
        usize::try_from(limit).map_or(MOST_LISTED, |limit| limit.clamp(1, MOST_LISTED))
    });
    let state = sandbox.state();
    let mut jobs: Vec<Value> = state.jobs.iter().map(listed).collect();
    jobs.push(heartbeat());
    jobs.sort_by_key(|job| job["nextRunAtMs"].as_i64());
    let total = jobs.len();
    jobs.truncate(limit);
    Ok(json!({
        "jobs": jobs, "total": total, "offset": 0, "limit": limit, "hasMore": total > limit,
        "nextOffset": (total > limit).then_some(limit),
    }))
}

/// A job as a compact list has it.
fn listed(job: &Job) -> Value {
    let schedule = match job.plan.every_ms {
        None => json!({ "kind": "at" }),
        Some(every_ms) => json!({ "kind": "every", "everyMs": every_ms }),
    };
    json!({
        "id": job.id,
        "agentId": "main",
        "name": "reminder",
        "enabled": true,
        "nextRunAtMs": job.next_run_ms,
        "scheduleKind": schedule["kind"],
        "schedule": schedule,
        "effectiveAgentId": "main",
    })
}

fn heartbeat() -> Value {
    let next_run_ms = (clock::now_ms() / HEARTBEAT_EVERY_MS + 1) * HEARTBEAT_EVERY_MS;
    json!({
        "id": HEARTBEAT_ID,
        "agentId": "main",
        "declarationKey": "heartbeat:main",
        "displayName": "Heartbeat (main)",
        "name": "heartbeat-main",
        "enabled": true,
        "nextRunAtMs": next_run_ms,
        "scheduleKind": "every",
        "schedule": { "kind": "every", "everyMs": HEARTBEAT_EVERY_MS },
        "effectiveAgentId": "main",
    })
}

fn in_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
