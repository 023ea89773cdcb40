use std::time::Duration;

use anyhow::{Context, Result, ensure};
use claw_runtime::{Clock, HttpTimeouts, http};
use serde_json::json;
use sim_meta::{ChatView, Speaker};
use tokio::time::Instant;

/// Longest time that one poll of the chat waits for a new message.
const POLL_LIMIT: Duration = Duration::from_secs(20);

/// Longest time until an answer, including the creation of the assistant.
const ANSWER_LIMIT: Duration = Duration::from_mins(5);

/// The phone of one user, as the simulated Meta shows it.
pub(crate) struct Phone {
    http: reqwest::Client,
    meta: String,
    pub(crate) number: String,
    shown: usize,
    began: Instant,
}

impl Phone {
    /// A number that has not been used before.
    pub(crate) fn new(meta: &str, clock: &impl Clock) -> Self {
        let timeouts = HttpTimeouts {
            total: POLL_LIMIT * 2,
            ..HttpTimeouts::default()
        };
        // A British number, so that our own phrases in a call are English.
        let number = clock.now().timestamp() % 1_000_000_000;
        Self {
            http: http::client(timeouts),
            meta: format!("http://{meta}/sim"),
            number: format!("447{number:09}"),
            shown: 0,
            began: Instant::now(),
        }
    }

    /// Writes `text` and prints the chat until the assistant itself has answered.
    pub(crate) async fn converse(&mut self, text: &str) -> Result<()> {
        let message = json!({"from": self.number, "name": "Ada", "text": text});
        let url = format!("{}/messages", self.meta);
        let answer = self.http.post(url).json(&message).send().await;
        let answer = answer.context("asking the simulated Meta (is ./dev up running?)")?;
        answer.error_for_status()?;
        self.hears_more().await
    }

    /// Prints the chat until the assistant itself has said something new.
    pub(crate) async fn hears_more(&mut self) -> Result<()> {
        let asked_at = Instant::now();
        loop {
            let waits_for = self.received_so_far().await? + 1;
            let chat = self.chat(0).await?;
            if self.show(&chat) {
                return Ok(());
            }
            ensure!(
                asked_at.elapsed() < ANSWER_LIMIT,
                "no answer after {ANSWER_LIMIT:?}: see ./dev logs"
            );
            self.chat(waits_for).await?;
        }
    }

    async fn received_so_far(&self) -> Result<u64> {
        Ok(self.chat(0).await?.received)
    }

    /// The chat, once the user has received that many messages in total, or after `POLL_LIMIT`.
    async fn chat(&self, received: u64) -> Result<ChatView> {
        let url = format!(
            "{}/wait?number={}&received={received}&timeout_ms={}",
            self.meta,
            self.number,
            POLL_LIMIT.as_millis()
        );
        Ok(self.http.get(url).send().await?.json().await?)
    }

    /// Prints new lines; true if the last of them is from the assistant itself.
    fn show(&mut self, chat: &ChatView) -> bool {
        let mut is_answered = false;
        for line in &chat.lines[self.shown..] {
            let (name, is_ours) = match line.from {
                Speaker::User => ("Ada", false),
                Speaker::Business => ("Assistant", true),
            };
            let seconds = self.began.elapsed().as_secs_f32();
            println!(
                "{seconds:6.1} s  {name:>9}: {}",
                line.text.replace('\n', "\n                    ")
            );
            is_answered = is_ours && !is_notice(&line.text);
        }
        self.shown = chat.lines.len();
        is_answered
    }
}

/// Whether `text` is our notice while the assistant is being created.
fn is_notice(text: &str) -> bool {
    text.contains("setting up your personal assistant")
}
