use std::time::Duration;

use claw_runtime::{HttpTimeouts, http};
use claw_twilio::{
    form::Form,
    signature::{self, sign},
};
use e2e::harness::World;
use reqwest::Client;
use tokio::time::Instant;

/// How long a caller waits for words.
const PATIENCE: Duration = Duration::from_secs(30);

/// A call, webhook by webhook: what Twilio would post, and what we answered last.
pub struct Call {
    http: Client,
    base: String,
    token: &'static str,
    fields: Vec<(&'static str, String)>,
    last: (String, Form),
    /// The document answered last.
    pub document: String,
}

impl Call {
    /// Rings, from this number, with these further fields.
    pub async fn begin(world: &World, from: &str, more: &[(&'static str, &str)]) -> Self {
        let (base, token) = world.twilio();
        let sid = format!("CA{:032x}", rand::random::<u128>());
        let mut fields = vec![
            ("CallSid", sid),
            ("From", format!("+{from}")),
            ("To", "+4930555000".to_owned()),
            ("CallStatus", "ringing".to_owned()),
            ("Direction", "inbound".to_owned()),
            ("FromCity", String::new()),
        ];
        fields.extend(
            more.iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        let url = format!("{base}/voice/webhook/voice");
        let mut call = Self {
            http: http::client(HttpTimeouts {
                total: Duration::from_secs(15),
                ..HttpTimeouts::default()
            }),
            base,
            token,
            fields,
            last: (url, Form::parse(b"")),
            document: String::new(),
        };
        call.post_to(&call.last.0.clone(), &[]).await;
        call
    }

    /// Says something, and waits until that is answered.
    pub async fn say(&mut self, words: &str) {
        self.post(&[("SpeechResult", words), ("Confidence", "0.9")])
            .await;
        self.wait_while_redirected().await;
    }

    /// Presses keys.
    pub async fn key(&mut self, keys: &str) {
        self.post(&[("Digits", keys)]).await;
        self.wait_while_redirected().await;
    }

    /// Follows redirections until these words are heard.
    pub async fn wait_until(&mut self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.heard().contains(words) {
            assert!(
                Instant::now() < deadline,
                "{words:?} is not heard: {}",
                self.document
            );
            self.post(&[]).await;
        }
    }

    /// Posts to where the last document says.
    pub async fn post(&mut self, fields: &[(&'static str, &str)]) {
        let url = self.next_url();
        self.post_to(&url, fields).await;
    }

    /// Posts the last request once more.
    pub async fn again(&mut self) {
        let (url, form) = self.last.clone();
        self.send(&url, form).await;
    }

    /// Says something in a webhook whose answer Twilio cannot use: it asks the fallback.
    pub async fn fall_back(&mut self, words: &str) {
        let failed = self.next_url();
        let url = format!("{}/voice/webhook/fallback", self.base);
        let fields = [
            ("SpeechResult", words),
            ("ErrorCode", "11200"),
            ("ErrorUrl", &failed),
        ];
        self.post_to(&url, &fields).await;
        self.wait_while_redirected().await;
    }

    /// Tells the end of the call.
    pub async fn end(&mut self, status: &str) {
        let url = format!("{}/voice/webhook/call-status", self.base);
        let form = self.form(&[("CallStatus", status), ("CallDuration", "63")]);
        let answer = self.request(&url, &form).await;
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// The words in the last document.
    pub fn heard(&self) -> String {
        let says = self.document.split("<Say ").skip(1);
        says.filter_map(|say| Some(say.split_once('>')?.1.split_once("</Say>")?.0))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Whether the last document ends the call.
    pub fn is_over(&self) -> bool {
        self.document.contains("<Hangup/>")
    }

    async fn wait_while_redirected(&mut self) {
        while !self.document.contains("<Gather") && !self.is_over() {
            self.post(&[]).await;
        }
    }

    fn next_url(&self) -> String {
        let url = match self.document.split_once("action=\"") {
            Some((_, rest)) => rest.split_once('"'),
            None => self
                .document
                .split_once("<Redirect method=\"POST\">")
                .and_then(|(_, rest)| rest.split_once('<')),
        };
        url.expect("a document with somewhere to go")
            .0
            .replace("&amp;", "&")
    }

    async fn post_to(&mut self, url: &str, fields: &[(&'static str, &str)]) {
        let form = self.form(fields);
        self.send(url, form).await;
    }

    async fn send(&mut self, url: &str, form: Form) {
        let answer = self.request(url, &form).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/xml; charset=utf-8");
        self.document = answer.text().await.unwrap();
        assert!(self.document.starts_with("<?xml"), "{}", self.document);
        self.last = (url.to_owned(), form);
    }

    async fn request(&self, url: &str, form: &Form) -> reqwest::Response {
        self.http
            .post(url)
            .header(signature::HEADER, sign(&self.token.into(), url, form))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.encode())
            .send()
            .await
            .unwrap()
    }

    fn form(&self, fields: &[(&'static str, &str)]) -> Form {
        let is_told = |name: &str| fields.iter().any(|(told, _)| *told == name);
        let known = self.fields.iter().filter(|(name, _)| !is_told(name));
        let known = known.map(|(name, value)| (*name, value.as_str()));
        Form::from_pairs(known.chain(fields.iter().copied()))
    }
}
