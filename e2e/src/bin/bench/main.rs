//! Figures of the whole system on this machine: what `./dev bench` runs, on a release build.
//! `bench load` measures rates and times, `bench calls [people]` what we take of the turns of phone calls,
//! `bench idle [sandboxes]` what assistants cost that only wait; without an argument all is measured.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod bare;
mod calls;
mod figures;
mod idle;
mod load;
mod people;

use anyhow::{Context, Result, bail};

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => {
            load::run().await?;
            calls::run(calls::PEOPLE).await?;
            idle::run(idle::SANDBOXES).await
        }
        ["load"] => load::run().await,
        ["calls"] => calls::run(calls::PEOPLE).await,
        ["calls", people] => calls::run(people.parse().context("how many?")?).await,
        ["idle"] => idle::run(idle::SANDBOXES).await,
        ["idle", sandboxes] => idle::run(sandboxes.parse().context("how many?")?).await,
        _ => bail!("bench [load | calls [people] | idle [sandboxes]]"),
    }
}
