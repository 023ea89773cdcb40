use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Ending, Restart,
    dispatch::resume,
    frame::{Outgoing, event},
    jobs,
    known_runs::KnownRuns,
    sandbox::{Phase, Sandbox, State},
    session::Session,
};

/// Ends the OpenClaw process of a sandbox and starts a new one. Returns at once. The new process is ready
/// after the times in `restart`; a graceful ending first waits for active runs.
pub(crate) fn restart(sandbox: &Arc<Sandbox>, restart: &Restart) {
    match restart.ending {
        Ending::Kill => {
            kill(&mut sandbox.state());
            start_again(sandbox, restart);
        }
        Ending::Graceful => {
            sandbox.state().boot.phase = Phase::Draining;
            let (sandbox, restart) = (Arc::clone(sandbox), restart.clone());
            let tasks = sandbox.shared.tasks.clone();
            tasks.spawn(async move {
                wait_until_idle(&sandbox).await;
                shut_down(&mut sandbox.state());
                start_again(&sandbox, &restart);
            });
        }
    }
}

/// Ends the OpenClaw process after SIGTERM, and starts no new one.
pub(crate) fn stop(sandbox: &Sandbox) {
    shut_down(&mut sandbox.state());
}

/// Starts a process that is ready at once, if there is none.
pub(crate) fn start(sandbox: &Arc<Sandbox>) {
    if sandbox.state().boot.phase == Phase::Down {
        listen(&mut sandbox.state());
        become_ready(sandbox);
    }
}

/// Simulates SIGKILL: cuts all sockets and forgets everything that was only in memory.
pub(crate) fn kill(state: &mut State) {
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
    state.connections.open.clear();
    state.boot.cut.cancel();
    end_process(state);
}

fn end_process(state: &mut State) {
    state.known_runs = KnownRuns::default();
    state.last_heartbeat = serde_json::Value::Null;
    state.devices.unlock();
    state.boot.number += 1;
    state.boot.phase = Phase::Down;
}

/// Waits until no run is active.
pub(crate) async fn wait_until_idle(sandbox: &Sandbox) {
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

/// Ends the process after SIGTERM, once no run is active: announces the end to all clients and closes their
/// sockets.
pub(crate) fn shut_down(state: &mut State) {
    let shutdown = json!({ "reason": "gateway stopping" });
    state.connections.broadcast(&event("shutdown", &shutdown));
    state
        .connections
        .broadcast(&Outgoing::Close(1012, "service restart"));
    state.connections.open.clear();
    end_process(state);
}

/// Starts a process after `down_ms`, which is ready after another `starting_ms`.
pub(crate) fn start_again(sandbox: &Arc<Sandbox>, restart: &Restart) {
    if restart.down_ms == 0 {
        listen(&mut sandbox.state());
        if restart.starting_ms == 0 {
            become_ready(sandbox);
            return;
        }
    }
    let boot = sandbox.state().boot.number;
    let (sandbox, restart) = (Arc::clone(sandbox), restart.clone());
    let tasks = sandbox.shared.tasks.clone();
    let stop = sandbox.shared.stop.clone();
    tasks.spawn(async move {
        let start = async {
            if restart.down_ms > 0 {
                tokio::time::sleep(Duration::from_millis(restart.down_ms)).await;
                let mut state = sandbox.state();
                if state.boot.number != boot || state.boot.phase != Phase::Down {
                    return;
                }
                listen(&mut state);
            }
            tokio::time::sleep(Duration::from_millis(restart.starting_ms)).await;
            let is_starting = {
                let state = sandbox.state();
                state.boot.number == boot && state.boot.phase == Phase::Starting
            };
            if is_starting {
                become_ready(&sandbox);
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
    state.boot.hung = CancellationToken::new();
    state.boot.started = tokio::time::Instant::now();
    state.boot.phase = Phase::Starting;
    state.stats.boots += 1;
}

/// Stops all progress of the process: nothing is answered, and no run continues.
pub(crate) fn hang(state: &mut State) {
    if state.boot.phase == Phase::Down {
        listen(state);
    }
    state.boot.phase = Phase::Hung;
    state.boot.hung.cancel();
    for session in state.sessions.values() {
        if let Some(run) = &session.active {
            run.stop.cancel();
        }
    }
}

fn become_ready(sandbox: &Arc<Sandbox>) {
    let mut state = sandbox.state();
    state.boot.phase = Phase::Up;
    resume(sandbox, &mut state);
    jobs::take_up(sandbox, &mut state);
}
