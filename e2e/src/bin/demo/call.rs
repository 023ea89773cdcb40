use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use claw_runtime::{HttpTimeouts, http};
use claw_twilio::{phrases::Phrases, voices::Language};
use reqwest::{Client, RequestBuilder, Response};
use serde::Deserialize;
use serde_json::json;
use sim_twilio::CallView;
use tokio::time::Instant;

/// Longest one look at the call waits for something new: also the pause of a person who has heard.
const LOOK: Duration = Duration::from_millis(400);

/// Longest a call may take to listen.
const PATIENCE: Duration = Duration::from_mins(3);

/// How a call that listens describes itself, turn by turn and in a stream.
const GATHERS: &str = "gathers";
const STREAMS: &str = "is on a relay";

/// A call that is printed as it goes on.
pub(crate) struct Line {
    http: Client,
    url: String,
    dialled: Instant,
    /// Things heard that are printed.
    shown: usize,
    /// When the caller spoke last, in milliseconds after dialling.
    spoke_ms: u64,
}

#[derive(Deserialize)]
struct Dialled {
    sid: String,
}

impl Line {
    /// Dials, and prints what is heard until the call listens.
    pub(crate) async fn dial(twilio: &str, number: &str) -> Result<Self> {
        let http = http::client(HttpTimeouts {
            total: PATIENCE,
            ..HttpTimeouts::default()
        });
        let calls = format!("http://{twilio}/sim/calls");
        let caller = json!({ "from": format!("+{number}") });
        let dialled = sent(http.post(&calls).json(&caller)).await?;
        let Dialled { sid } = dialled.json().await?;
        let mut line = Self {
            http,
            url: format!("{calls}/{sid}"),
            dialled: Instant::now(),
            shown: 0,
            spoke_ms: 0,
        };
        print(0, "", "(rings)");
        line.listen().await?;
        Ok(line)
    }

    /// Says something, and prints what is heard until the call listens again.
    pub(crate) async fn say(&mut self, words: &str) -> Result<()> {
        let speech = json!({ "text": words });
        sent(self.http.post(format!("{}/say", self.url)).json(&speech)).await?;
        self.spoke_ms = self.now_ms();
        print(self.spoke_ms, "", &format!("      Ada: {words}"));
        self.listen().await
    }

    /// Hangs up.
    pub(crate) async fn hang_up(self) -> Result<()> {
        sent(self.http.post(format!("{}/hangup", self.url))).await?;
        print(self.now_ms(), "", "(hangs up)");
        let url = format!("{}?ended=true&timeout_ms=5000", self.url);
        let view: CallView = sent(self.http.get(url)).await?.json().await?;
        ensure!(view.warnings.is_empty(), "Twilio: {:?}", view.warnings);
        Ok(())
    }

    async fn listen(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let view = self.view().await?;
            self.show(&view);
            if self.is_heard_out(&view) {
                return Ok(());
            }
            if let Some(ended) = view.ended {
                bail!("the call ended: {:?} {:?}", ended.why, view.warnings);
            }
            ensure!(
                Instant::now() < deadline,
                "the call is not listening after {PATIENCE:?}: see ./dev logs"
            );
        }
    }

    /// Whether it is the caller's turn to speak.
    fn is_heard_out(&self, view: &CallView) -> bool {
        if view.doing != STREAMS {
            return view.doing == GATHERS;
        }
        let is_closed = view
            .relays
            .last()
            .and_then(|relay| relay.tokens.last())
            .is_none_or(|token| token.last);
        let fillers = Phrases::of(Language::EnglishGb).fillers;
        let is_answered = view.heard.last().is_some_and(|heard| {
            let is_over = heard.until_ms.is_some() && !fillers.contains(&heard.text.as_str());
            is_over && heard.from_ms >= self.spoke_ms
        });
        is_closed && is_answered
    }

    /// The call, a moment later or when more was heard.
    async fn view(&self) -> Result<CallView> {
        let heard = self.shown + 1;
        let limit = LOOK.as_millis();
        let url = format!("{}?heard={heard}&timeout_ms={limit}", self.url);
        // Nothing new is an answer, too.
        let view = self.http.get(url).send().await?.json().await;
        view.context("reading the call")
    }

    fn show(&mut self, view: &CallView) {
        for (place, heard) in view.heard.iter().enumerate().skip(self.shown) {
            // What is streamed grows while it is spoken.
            if view.doing == STREAMS && heard.until_ms.is_none() {
                break;
            }
            let before = place.checked_sub(1).and_then(|place| view.heard.get(place));
            let before_ms = before.and_then(|before| before.until_ms).unwrap_or(0);
            let silence = heard.from_ms.saturating_sub(before_ms.max(self.spoke_ms));
            let waited = format!("+{:.1} s", seconds(silence));
            let text = format!("Assistant: {}", heard.text);
            print(heard.from_ms, &waited, &text);
            self.shown = place + 1;
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.dialled.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

async fn sent(request: RequestBuilder) -> Result<Response> {
    let answer = request.send().await;
    let answer = answer.context("asking the simulated Twilio (is ./dev up running?)")?;
    Ok(answer.error_for_status()?)
}

fn print(at_ms: u64, waited: &str, what: &str) {
    println!("{:6.1} s  {waited:>7}  {what}", seconds(at_ms));
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}
