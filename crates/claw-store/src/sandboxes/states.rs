//! The states that the statements select. Every rule is an exhaustive match, so that the code does not compile with
//! a new state until every rule covers it.

use claw_domain::SandboxStatus::{
    self, Asleep, Failed, Queued, Ready, Removed, Removing, Requested, Starting,
};

/// The states in which a sandbox takes a place, and may have a port, a container and a model key.
pub(crate) fn with_place() -> Vec<String> {
    names(SandboxStatus::takes_a_place)
}

/// The states in which a sandbox has an agent to connect to.
pub(crate) fn with_agent() -> Vec<String> {
    names(|status| match status {
        Ready => true,
        Queued | Requested | Starting | Asleep | Removing | Failed | Removed => false,
    })
}

/// The states of a sandbox that surely has been started.
pub(super) fn with_volume() -> Vec<String> {
    names(|status| match status {
        Starting | Ready | Asleep => true,
        Queued | Requested | Removing | Failed | Removed => false,
    })
}

/// The states from which a start may begin or go on.
pub(super) fn startable() -> Vec<String> {
    names(|status| match status {
        Requested | Starting => true,
        Queued | Ready | Asleep | Removing | Failed | Removed => false,
    })
}

/// The states in which an operator's order starts a sandbox that is not running.
pub(super) fn wakeable() -> Vec<String> {
    names(|status| match status {
        Asleep | Failed => true,
        Queued | Requested | Starting | Ready | Removing | Removed => false,
    })
}

/// The states in which an operator's order starts a sandbox anew.
pub(super) fn restartable() -> Vec<String> {
    names(|status| match status {
        Requested | Starting | Ready | Asleep | Failed => true,
        Queued | Removing | Removed => false,
    })
}

/// The states in which an operator's order begins to remove a sandbox.
pub(super) fn removable() -> Vec<String> {
    names(|status| match status {
        Queued | Requested | Starting | Ready | Asleep | Failed => true,
        Removing | Removed => false,
    })
}

/// Whether a new request starts a sandbox in this state.
pub(super) const fn is_startable_by_request(status: SandboxStatus) -> bool {
    match status {
        Asleep | Failed | Removed => true,
        Queued | Requested | Starting | Ready | Removing => false,
    }
}

fn names(is_selected: fn(SandboxStatus) -> bool) -> Vec<String> {
    SandboxStatus::ALL
        .iter()
        .filter(|status| is_selected(**status))
        .map(|status| status.as_str().to_owned())
        .collect()
}
