use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use claw_runtime::{HttpTimeouts, http};
use claw_twilio::{phrases::Phrases, voices::Language};
use reqwest::{Client, RequestBuilder, Response};
use serde::Deserialize;
use serde_json::json;
use sim_twilio::CallView;
use tokio::time::Instant;

/// Longest time that one poll of the call waits for new speech; also the caller's pause before speaking.
const POLL_LIMIT: Duration = Duration::from_millis(400);

/// Longest time until the call listens to the caller.
const LISTEN_LIMIT: Duration = Duration::from_mins(3);

/// A call that is printed while it goes on.
pub(crate) struct PhoneCall {
    http: Client,
    url: String,
    dialled: Instant,
    /// How many texts heard are printed.
    shown: usize,
    /// The time the caller last spoke, in milliseconds after dialling.
    spoke_ms: u64,
}

#[derive(Deserialize)]
struct Dialled {
    sid: String,
}

impl PhoneCall {
    /// Calls, and prints what is heard until the call listens.
    pub(crate) async fn dial(twilio: &str, number: &str) -> Result<Self> {
        let http = http::client(HttpTimeouts {
            total: LISTEN_LIMIT,
            ..HttpTimeouts::default()
        });
        let calls = format!("http://{twilio}/sim/calls");
        let caller = json!({ "from": format!("+{number}"), "stir": "TN-Validation-Passed-A" });
        let dialled = sent(http.post(&calls).json(&caller)).await?;
        let Dialled { sid } = dialled.json().await?;
        let mut call = Self {
            http,
            url: format!("{calls}/{sid}"),
            dialled: Instant::now(),
            shown: 0,
            spoke_ms: 0,
        };
        print(0, "", "(rings)");
        call.listen().await?;
        Ok(call)
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
        let deadline = Instant::now() + LISTEN_LIMIT;
        loop {
            let view = self.view().await?;
            self.show(&view);
            if self.listens(&view) {
                return Ok(());
            }
            if let Some(ended) = view.ended {
                bail!("the call ended: {:?} {:?}", ended.why, view.warnings);
            }
            ensure!(
                Instant::now() < deadline,
                "the call is not listening after {LISTEN_LIMIT:?}: see ./dev logs"
            );
        }
    }

    /// Whether the call waits for the caller to speak.
    fn listens(&self, view: &CallView) -> bool {
        if view.doing != CallView::IN_RELAY_SESSION {
            return view.doing == CallView::GATHERING;
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

    /// Polls the call until more was heard or `POLL_LIMIT` has passed.
    async fn view(&self) -> Result<CallView> {
        let heard = self.shown + 1;
        let limit = POLL_LIMIT.as_millis();
        let url = format!("{}?heard={heard}&timeout_ms={limit}", self.url);
        // 504, nothing new, has the call as its body too.
        let view = self.http.get(url).send().await?.json().await;
        view.context("reading the call")
    }

    fn show(&mut self, view: &CallView) {
        for (index, heard) in view.heard.iter().enumerate().skip(self.shown) {
            // Streamed text grows while it is spoken.
            if view.doing == CallView::IN_RELAY_SESSION && heard.until_ms.is_none() {
                break;
            }
            let before = index.checked_sub(1).and_then(|index| view.heard.get(index));
            let before_ms = before.and_then(|before| before.until_ms).unwrap_or(0);
            let silence = heard.from_ms.saturating_sub(before_ms.max(self.spoke_ms));
            let waited = format!("+{:.1} s", seconds(silence));
            let text = format!("Assistant: {}", heard.text);
            print(heard.from_ms, &waited, &text);
            self.shown = index + 1;
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
