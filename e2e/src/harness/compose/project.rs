use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Result;

use crate::harness::docker;

/// The projects of all worlds begin with this, the id of the test's process follows.
const PREFIX: &str = "clawkaka-e2e-";

/// The label with which Compose marks what belongs to a project.
const LABEL: &str = "com.docker.compose.project";

/// Counts the worlds of this process.
static WORLDS: AtomicU32 = AtomicU32::new(0);

/// A Compose project of its own; dropping it removes its containers, networks and volumes.
pub(super) struct Project {
    name: String,
}

impl Project {
    pub(super) fn new() -> Self {
        let world = WORLDS.fetch_add(1, Ordering::Relaxed);
        Self {
            name: format!("{PREFIX}{}-{world}", std::process::id()),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Removes the projects of processes that have ended without removing them.
    pub(super) async fn remove_abandoned() -> Result<()> {
        let format = format!("{{{{.Label {LABEL:?}}}}}");
        let mut projects = BTreeSet::new();
        for list in [&["ps", "--all"][..], &["network", "ls"], &["volume", "ls"]] {
            projects.extend(docker::lines(&[list, &["--format", &format]].concat()).await?);
        }
        let is_alive = |process: &str| Path::new("/proc").join(process).exists();
        for project in projects {
            if is_abandoned(&project, is_alive) {
                drop(Self { name: project });
            }
        }
        Ok(())
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let filter = format!("label={LABEL}={}", self.name);
        // The order matters: the engine removes no network or volume that a container uses.
        for (list, remove) in [
            (&["ps", "--all"][..], &["rm", "--force", "--volumes"][..]),
            (&["network", "ls"], &["network", "rm"]),
            (&["volume", "ls"], &["volume", "rm", "--force"]),
        ] {
            let list = [list, &["--quiet", "--filter", &filter]].concat();
            let found = docker::run_blocking(&list).unwrap_or_default();
            if !found.is_empty() {
                // A drop cannot fail; the next world removes what is left.
                let _ = Command::new("docker")
                    .args(remove)
                    .args(found.split_whitespace())
                    .output();
            }
        }
    }
}

/// Whether a world whose process has ended left this project behind.
fn is_abandoned(project: &str, is_alive: impl Fn(&str) -> bool) -> bool {
    let process = project
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split('-').next());
    process.is_some_and(|process| !process.is_empty() && !is_alive(process))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_abandoned_if_the_process_in_its_name_has_ended() {
        let is_alive = |process: &str| process == "17";

        assert!(is_abandoned("clawkaka-e2e-18-0", is_alive));
        assert!(!is_abandoned("clawkaka-e2e-17-0", is_alive));
        assert!(!is_abandoned("clawkaka", is_alive));
        assert!(!is_abandoned("", is_alive));
    }
}
