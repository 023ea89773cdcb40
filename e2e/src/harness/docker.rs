//! The `docker` command, as an operator has it. It finds the engine at `DOCKER_HOST`.

use std::process::Output;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

/// Runs a command; returns what it prints on standard output.
pub(super) async fn run(arguments: &[&str]) -> Result<String> {
    let output = Command::new("docker").args(arguments).output().await;
    printed(arguments, &output.context("running docker")?)
}

/// [`run`] for functions that are not asynchronous. It blocks the thread for a few hundredths of a second.
pub(super) fn run_blocking(arguments: &[&str]) -> Result<String> {
    let output = std::process::Command::new("docker")
        .args(arguments)
        .output();
    printed(arguments, &output.context("running docker")?)
}

/// The lines that a command prints on standard output.
pub(super) async fn lines(arguments: &[&str]) -> Result<Vec<String>> {
    let text = run(arguments).await?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn printed(arguments: &[&str], output: &Output) -> Result<String> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let command = arguments.first().copied().unwrap_or_default();
    ensure!(output.status.success(), "docker {command}: {stderr}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
