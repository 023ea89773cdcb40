//! Figures of the whole system on this machine: what `./dev bench` runs, on a release build.
//! `bench load` measures rates and times, `bench idle [sandboxes]` what assistants cost that only wait;
//! without an argument both are measured.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod idle;
mod load;

use anyhow::{Context, Result, bail};

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => {
            load::run().await?;
            idle::run(idle::SANDBOXES).await
        }
        ["load"] => load::run().await,
        ["idle"] => idle::run(idle::SANDBOXES).await,
        ["idle", sandboxes] => idle::run(sandboxes.parse().context("how many?")?).await,
        _ => bail!("bench [load | idle [sandboxes]]"),
    }
}

/// The number of a person of any measurement.
fn number(person: u32) -> String {
    format!("4915150{person:06}")
}
