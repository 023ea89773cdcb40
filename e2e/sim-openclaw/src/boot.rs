use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Ending, Restart,
    frame::{Out, event},
    known::KnownRuns,
    next::resume,
    sandbox::{Phase, Sandbox, State},
    session::Session,
};

/// Ends the gateway process of a sandbox and starts it again. Returns at once; the sandbox is back
/// after the times in `restart` (at once when they are zero and nothing must be waited for).
pub(crate) fn restart(sandbox: &Arc<Sandbox>, restart: &Restart) {
    match restart.ending {
        Ending::Kill => {
            kill(&mut sandbox.state());
            come_back(sandbox, restart);
        }
        Ending::Graceful => {
            sandbox.state().boot.phase = Phase::Draining;
            let (sandbox, restart) = (Arc::clone(sandbox), restart.clone());
            let tasks = sandbox.shared.tasks.clone();
            tasks.spawn(async move {
                drained(&sandbox).await;
                say_goodbye(&mut sandbox.state());
                come_back(&sandbox, &restart);
            });
        }
    }
}

/// SIGKILL: sockets drop, and with them everything that was only in memory.
fn kill(state: &mut State) {
    let mut lost = 0;
    for session in state.sessions.values_mut() {
        session.waiting.clear();
        let Some(run) = session.active.take() else {
            continue;
        };
        run.stop.cancel();
        if run.is_heartbeat {
            continue;
        }
        if run.is_user_row_stored {
            session.interrupted = Some(run.message);
        } else {
            lost += 1;
        }
    }
    state.stats.lost += lost;
    state.room.members.clear();
    state.boot.cut.cancel();
    end_process(state);
}

fn end_process(state: &mut State) {
    state.known = KnownRuns::default();
    state.devices.unlock();
    state.boot.number += 1;
    state.boot.phase = Phase::Down;
}

/// Waits until no run is active.
async fn drained(sandbox: &Sandbox) {
    loop {
        let ended = sandbox.run_ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        let is_busy = sandbox.state().sessions.values().any(Session::is_busy);
        if !is_busy {
            return;
        }
        tokio::select! {
            () = ended => {}
            () = sandbox.shared.stop.cancelled() => return,
        }
    }
}

/// What SIGTERM does once nothing runs any more.
fn say_goodbye(state: &mut State) {
    let shutdown = json!({ "reason": "gateway stopping" });
    state.room.tell(&event("shutdown", &shutdown));
    state.room.tell(&Out::Close(1012, "service restart"));
    state.room.members.clear();
    end_process(state);
}

fn come_back(sandbox: &Arc<Sandbox>, restart: &Restart) {
    if restart.down_ms == 0 && restart.starting_ms == 0 {
        listen(&mut sandbox.state());
        get_ready(sandbox);
        return;
    }
    let boot = sandbox.state().boot.number;
    let (sandbox, restart) = (Arc::clone(sandbox), restart.clone());
    let tasks = sandbox.shared.tasks.clone();
    let stop = sandbox.shared.stop.clone();
    tasks.spawn(async move {
        let start = async {
            tokio::time::sleep(Duration::from_millis(restart.down_ms)).await;
            if sandbox.state().boot.number != boot {
                return;
            }
            listen(&mut sandbox.state());
            tokio::time::sleep(Duration::from_millis(restart.starting_ms)).await;
            if sandbox.state().boot.number == boot {
                get_ready(&sandbox);
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = start => {}
        }
    });
}

fn listen(state: &mut State) {
    state.boot.id = Uuid::new_v4().to_string();
    state.boot.cut = CancellationToken::new();
    state.boot.started = tokio::time::Instant::now();
    state.boot.phase = Phase::Starting;
    state.stats.boots += 1;
}

fn get_ready(sandbox: &Arc<Sandbox>) {
    let mut state = sandbox.state();
    state.boot.phase = Phase::Up;
    resume(sandbox, &mut state);
}
