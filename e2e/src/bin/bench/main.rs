//! Benchmarks of the whole system on this machine; `./dev bench` runs them on a release build. `bench load`
//! measures rates and times, `bench strangers` how webhooks fare while strangers attack, `bench flood` how
//! messages fare beside hostile sandboxes, `bench calls [users]` our
//! share of the time of turns in phone calls, `bench idle [sandboxes]` the cost of idle assistants, `bench people
//! [people]` the cost of people whose assistants sleep, and `bench render` the time to convert hostile texts. Without an argument all run.
#![expect(clippy::print_stdout, reason = "the benchmarks print their results")]

mod baseline;
mod calls;
mod figures;
mod flood;
mod idle;
mod load;
mod people;
mod processor_use;
mod render;
mod strangers;
mod users;

use anyhow::{Context, Result, bail};

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => {
            load::run().await?;
            strangers::run().await?;
            flood::run().await?;
            calls::run(calls::USERS).await?;
            idle::run(idle::SANDBOXES).await?;
            people::run(people::PEOPLE).await?;
            render::run();
            Ok(())
        }
        ["load"] => load::run().await,
        ["strangers"] => strangers::run().await,
        ["flood"] => flood::run().await,
        ["calls"] => calls::run(calls::USERS).await,
        ["calls", users] => {
            calls::run(
                users
                    .parse()
                    .context("the number of users is not a number")?,
            )
            .await
        }
        ["render"] => {
            render::run();
            Ok(())
        }
        ["idle"] => idle::run(idle::SANDBOXES).await,
        ["idle", sandboxes] => {
            idle::run(
                sandboxes
                    .parse()
                    .context("the number of sandboxes is not a number")?,
            )
            .await
        }
        ["people"] => people::run(people::PEOPLE).await,
        ["people", people] => {
            people::run(
                people
                    .parse()
                    .context("the number of people is not a number")?,
            )
            .await
        }
        _ => bail!(
            "bench [load | strangers | flood | calls [users] | idle [sandboxes] | people [people] | render]"
        ),
    }
}
