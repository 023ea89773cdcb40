//! A conversation with an assistant, printed as it happens. `./dev demo` runs it against the system that
//! `./dev up` started. A user with a new number says hi, gets an assistant, and logs a meal; the demo then
//! shows the row in that user's own database. With `--call` the user also calls, and the demo prints the
//! dialogue with the time the caller waited for each answer.
#![expect(clippy::print_stdout, reason = "the demo prints its output")]

mod call;
mod phone;

use anyhow::{Result, bail, ensure};
use claw_runtime::{Env, SystemClock};
use e2e::harness::Containers;

use call::PhoneCall;
use phone::Phone;

const LUNCH: &str = "Had 2 rotis and dal for lunch";

/// What the caller says. The answer to the last sentence needs what was written before.
const SPOKEN: [&str; 3] = ["Hello!", "I had a coffee", "What did I eat today?"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let env = Env::of_process();
    let meta = env.or("SIM_META_LISTEN", "127.0.0.1:18081".to_owned());
    let twilio = env.or("SIM_TWILIO_LISTEN", "127.0.0.1:18084".to_owned());
    let database = env.secret("DATABASE_URL");
    let runtime = env.or("SANDBOX_RUNTIME", "docker".to_owned());
    env.finish()?;
    let calls = is_call_wanted()?;
    let mut phone = Phone::new(&meta?, &SystemClock);

    println!(
        "\nA new number, +{}, writes to the business.\n",
        phone.number
    );
    phone.converse("hi").await?;
    phone.converse(LUNCH).await?;
    if calls {
        println!("\nThen they call.\n");
        let mut call = PhoneCall::dial(&twilio?, &phone.number).await?;
        for words in SPOKEN {
            call.say(words).await?;
        }
        call.hang_up().await?;
        println!("\nAnd on WhatsApp:\n");
        phone.hears_more().await?;
    }
    if runtime? == "docker" {
        show_meals(&Containers::of_database(&database?).await?, &phone.number).await?;
    } else {
        println!("\nThe assistants are simulated (SANDBOX_RUNTIME=external): they keep no meals.");
    }
    Ok(())
}

fn is_call_wanted() -> Result<bool> {
    match std::env::args().nth(1).as_deref() {
        None => Ok(false),
        Some("--call") => Ok(true),
        Some(other) => bail!("unknown argument `{other}`: the demo takes only --call"),
    }
}

async fn show_meals(containers: &Containers, number: &str) -> Result<()> {
    let query = "SELECT * FROM meals ORDER BY id DESC LIMIT 3";
    let shell = format!("sqlite3 -box ~/assistant/assistant.db '{query}'");
    let rows = containers.run(number, &shell).await?;
    println!(
        "\nIn the database of this user's sandbox:\n\n$ sqlite3 assistant.db '{query}'\n{rows}"
    );
    ensure!(rows.contains("roti"), "the meal is not in the database");
    Ok(())
}
