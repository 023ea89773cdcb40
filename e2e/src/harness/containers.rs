use std::process::Output;

use anyhow::{Context, Result, ensure};
use claw_domain::{Address, PhoneNumber};
use claw_store::{Sandbox, Store};
use secrecy::SecretString;
use tokio::process::Command;

/// What can be done to real sandboxes from outside, as an operator or a power cut would. The engine
/// is the one the `docker` command finds.
pub struct Containers {
    store: Store,
}

impl Containers {
    /// The sandboxes of the people in this database.
    pub async fn of_database(url: &SecretString) -> Result<Self> {
        let store = Store::connect(url, 1).await?;
        Ok(Self { store })
    }

    /// Runs a shell command in a person's sandbox; returns what it printed.
    pub async fn run(&self, number: &str, command: &str) -> Result<String> {
        let container = self.container_of(number).await?;
        let output = docker(&["exec", &container, "sh", "-c", command]).await?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Everything the engine tells about a person's container.
    pub async fn inspect(&self, number: &str) -> Result<String> {
        let container = self.container_of(number).await?;
        let output = docker(&["inspect", &container]).await?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Ends every process of a person's sandbox with SIGKILL, as a crash would.
    pub async fn kill(&self, number: &str) -> Result<()> {
        let container = self.container_of(number).await?;
        docker(&["kill", &container]).await?;
        Ok(())
    }

    async fn container_of(&self, number: &str) -> Result<String> {
        let label = format!(
            "label=clawkaka.sandbox={}",
            self.sandbox_of(number).await?.id
        );
        let running = listed(&["ps", "--quiet", "--filter", &label]).await?;
        running
            .into_iter()
            .next()
            .context("this person's sandbox does not run")
    }

    async fn sandbox_of(&self, number: &str) -> Result<Sandbox> {
        let user = Address::Phone(PhoneNumber::try_from(number)?).user();
        let sandbox = self.store.sandboxes().of_user(user).await?;
        sandbox.context("this person has no sandbox")
    }
}

/// Removes every sandbox of installations whose owner label begins with `owner`, volumes included:
/// those of this world, and those an aborted run left behind.
pub(super) async fn remove_all_of(owner: &str) -> Result<()> {
    let format = r#"{{.Label "clawkaka.owner"}} {{.ID}}"#;
    for container in listed(&["ps", "--all", "--format", format]).await? {
        if let Some(id) = owned(&container, owner) {
            docker(&["rm", "--force", id]).await?;
        }
    }
    let format = r#"{{.Label "clawkaka.owner"}} {{.Name}}"#;
    for volume in listed(&["volume", "ls", "--format", format]).await? {
        if let Some(name) = owned(&volume, owner) {
            docker(&["volume", "rm", name]).await?;
        }
    }
    Ok(())
}

fn owned<'a>(line: &'a str, owner: &str) -> Option<&'a str> {
    let (of, name) = line.split_once(' ')?;
    of.starts_with(owner).then_some(name)
}

async fn docker(arguments: &[&str]) -> Result<Output> {
    let output = Command::new("docker").args(arguments).output().await?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "docker {}: {told}", arguments[0]);
    Ok(output)
}

async fn listed(arguments: &[&str]) -> Result<Vec<String>> {
    let output = docker(arguments).await?;
    let names = String::from_utf8_lossy(&output.stdout);
    Ok(names.lines().map(str::to_owned).collect())
}
