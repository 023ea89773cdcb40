//! A conversation with an assistant, printed as it happens: what `./dev demo` runs against the
//! system that `./dev up` started. A person with a new number says hi, is set up, logs a meal, and
//! the row is shown from that person's own database.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use claw_runtime::{Clock, Env, HttpTimeouts, SystemClock, http};
use e2e::{
    harness::Containers,
    sim_meta::{ChatView, Speaker},
};
use serde_json::json;
use tokio::time::Instant;

/// Longest one look at the phone waits for something new.
const LOOK: Duration = Duration::from_secs(20);

/// Longest an answer may take, the set-up of the assistant included.
const PATIENCE: Duration = Duration::from_mins(5);

const LUNCH: &str = "Had 2 rotis and dal for lunch";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let env = Env::of_process();
    let meta = env.or("SIM_META_LISTEN", "127.0.0.1:18081".to_owned());
    let database = env.secret("DATABASE_URL");
    let runtime = env.or("SANDBOX_RUNTIME", "docker".to_owned());
    env.finish()?;
    let mut phone = Phone::new(&meta?, &SystemClock);

    println!(
        "\nA new number, +{}, writes to the business.\n",
        phone.number
    );
    phone.converse("hi").await?;
    phone.converse(LUNCH).await?;
    if runtime? == "docker" {
        show_meals(&Containers::of_database(&database?).await?, &phone.number).await?;
    } else {
        println!("\nThe assistants are simulated (SANDBOX_RUNTIME=external): they keep no meals.");
    }
    Ok(())
}

/// One person's phone, as the simulated Meta shows it.
struct Phone {
    http: reqwest::Client,
    meta: String,
    number: String,
    shown: usize,
    began: Instant,
}

impl Phone {
    /// A number that has not been used before.
    fn new(meta: &str, clock: &impl Clock) -> Self {
        let timeouts = HttpTimeouts {
            total: LOOK * 2,
            ..HttpTimeouts::default()
        };
        let number = clock.now().timestamp() % 100_000_000;
        Self {
            http: http::client(timeouts),
            meta: format!("http://{meta}/sim"),
            number: format!("49155{number:08}"),
            shown: 0,
            began: Instant::now(),
        }
    }

    /// Writes `text` and prints the chat until the assistant itself has answered.
    async fn converse(&mut self, text: &str) -> Result<()> {
        let message = json!({"from": self.number, "name": "Ada", "text": text});
        let url = format!("{}/messages", self.meta);
        let answer = self.http.post(url).json(&message).send().await;
        let answer = answer.context("asking the simulated Meta (is ./dev up running?)")?;
        answer.error_for_status()?;
        let asked_at = Instant::now();
        loop {
            let waits_for = self.received_so_far().await? + 1;
            if self.show(&self.chat(0).await?) {
                return Ok(());
            }
            ensure!(
                asked_at.elapsed() < PATIENCE,
                "no answer after {PATIENCE:?}: see ./dev logs"
            );
            self.chat(waits_for).await?;
        }
    }

    async fn received_so_far(&self) -> Result<u64> {
        Ok(self.chat(0).await?.received)
    }

    /// The chat, once the person has received this many messages in all, or after a while.
    async fn chat(&self, received: u64) -> Result<ChatView> {
        let url = format!(
            "{}/wait?number={}&received={received}&timeout_ms={}",
            self.meta,
            self.number,
            LOOK.as_millis()
        );
        Ok(self.http.get(url).send().await?.json().await?)
    }

    /// Prints what is new; true when the last of it is the assistant's own.
    fn show(&mut self, chat: &ChatView) -> bool {
        let mut is_answered = false;
        for line in &chat.lines[self.shown..] {
            let (who, is_ours) = match line.from {
                Speaker::Person => ("Ada", false),
                Speaker::Business => ("Assistant", true),
            };
            let seconds = self.began.elapsed().as_secs_f32();
            println!(
                "{seconds:6.1} s  {who:>9}: {}",
                line.text.replace('\n', "\n                    ")
            );
            is_answered = is_ours && !is_notice(&line.text);
        }
        self.shown = chat.lines.len();
        is_answered
    }
}

/// The line that comes while the assistant is being made.
fn is_notice(text: &str) -> bool {
    text.contains("setting up your personal assistant")
}

async fn show_meals(containers: &Containers, number: &str) -> Result<()> {
    let query = "SELECT * FROM meals ORDER BY id DESC LIMIT 3";
    let shell = format!("sqlite3 -box ~/assistant/assistant.db '{query}'");
    let rows = containers.run(number, &shell).await?;
    println!(
        "\nIn the database of this person's sandbox:\n\n$ sqlite3 assistant.db '{query}'\n{rows}"
    );
    ensure!(rows.contains("roti"), "the meal is not in the database");
    Ok(())
}
