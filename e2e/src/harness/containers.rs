use anyhow::{Context, Result};
use claw_docker::VolumeName;
use claw_domain::SandboxStatus;
use claw_store::{Sandbox, Store};
use secrecy::SecretString;

use super::{docker, user_of};

/// Access to real sandboxes through the `docker` command, as an operator has it.
pub struct Containers {
    store: Store,
}

impl Containers {
    /// The sandboxes of the users in this database.
    pub async fn of_database(url: &SecretString) -> Result<Self> {
        let store = Store::connect(url, 1).await?;
        Ok(Self { store })
    }

    /// Runs a shell command in a user's sandbox; returns its standard output.
    pub async fn run(&self, number: &str, command: &str) -> Result<String> {
        let container = self.container_of(number).await?;
        docker::run(&["exec", &container, "sh", "-c", command]).await
    }

    /// The output of `docker inspect` for a user's container.
    pub async fn inspect(&self, number: &str) -> Result<String> {
        let container = self.container_of(number).await?;
        docker::run(&["inspect", &container]).await
    }

    /// Kills every process of a user's sandbox with SIGKILL, as a crash would.
    pub async fn kill(&self, number: &str) -> Result<()> {
        let container = self.container_of(number).await?;
        docker::run(&["kill", &container]).await?;
        Ok(())
    }

    /// The state of a user's sandbox, as its row says.
    pub async fn status(&self, number: &str) -> Result<SandboxStatus> {
        Ok(self.sandbox_of(number).await?.status)
    }

    /// Whether a user's sandbox has a container, running or not.
    pub async fn has_container(&self, number: &str) -> Result<bool> {
        Ok(!self.containers_of(number, &["--all"]).await?.is_empty())
    }

    async fn container_of(&self, number: &str) -> Result<String> {
        let running = self.containers_of(number, &[]).await?;
        running
            .into_iter()
            .next()
            .context("this user's sandbox is not running")
    }

    async fn containers_of(&self, number: &str, options: &[&str]) -> Result<Vec<String>> {
        let sandbox = self.sandbox_of(number).await?.id;
        let label = format!("label=clawkaka.sandbox={sandbox}");
        let listing = ["ps", "--quiet", "--filter", &label];
        docker::lines(&[&listing[..], options].concat()).await
    }

    async fn sandbox_of(&self, number: &str) -> Result<Sandbox> {
        let sandbox = self.store.sandboxes().of_user(user_of(number)?).await?;
        sandbox.context("this user has no sandbox")
    }
}

/// The volume of a user's sandbox, if the user has one.
pub(super) async fn volume_of(database: &SecretString, number: &str) -> Result<Option<String>> {
    let store = Store::connect(database, 1).await?;
    let sandbox = store.sandboxes().of_user(user_of(number)?).await?;
    Ok(sandbox.map(|sandbox| VolumeName::of(sandbox.id).to_string()))
}

/// Removes the containers and volumes whose owner label begins with `owner`: those of this world, and those left
/// by an aborted run.
pub(super) async fn remove_all_of(owner: &str) -> Result<()> {
    let format = r#"{{.Label "clawkaka.owner"}} {{.ID}}"#;
    for container in docker::lines(&["ps", "--all", "--format", format]).await? {
        if let Some(id) = owned(&container, owner) {
            docker::run(&["rm", "--force", id]).await?;
        }
    }
    let format = r#"{{.Label "clawkaka.owner"}} {{.Name}}"#;
    for volume in docker::lines(&["volume", "ls", "--format", format]).await? {
        if let Some(name) = owned(&volume, owner) {
            docker::run(&["volume", "rm", name]).await?;
        }
    }
    Ok(())
}

fn owned<'a>(line: &'a str, owner: &str) -> Option<&'a str> {
    let (of, name) = line.split_once(' ')?;
    of.starts_with(owner).then_some(name)
}
