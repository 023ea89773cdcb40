use std::time::Duration;

use claw_runtime::{HttpTimeouts, http};
use claw_twilio::{
    form::Form,
    signature::{self, sign},
};
use e2e::harness::{BASE_URL, TWILIO_AUTH_TOKEN, World};
use reqwest::{Client, Response};

/// A call whose webhooks the test posts itself, to do what the simulated Twilio does not.
pub(super) struct WebhookCall {
    http: Client,
    caddy_url: String,
    fields: Vec<(&'static str, String)>,
    last: (String, Form),
    /// The TwiML of the last answer.
    pub(super) document: String,
}

impl WebhookCall {
    /// Posts the first webhook of a call from this number.
    pub(super) async fn begin(world: &World, from: &str) -> Self {
        let sid = format!("CA{:032x}", rand::random::<u128>());
        let mut call = Self {
            http: http::client(HttpTimeouts {
                total: Duration::from_secs(15),
                ..HttpTimeouts::default()
            }),
            caddy_url: world.public_url(),
            fields: vec![
                ("CallSid", sid),
                ("From", format!("+{from}")),
                ("To", "+4930555000".to_owned()),
                ("CallStatus", "ringing".to_owned()),
                ("StirVerstat", "TN-Validation-Passed-A".to_owned()),
                ("Direction", "inbound".to_owned()),
                ("FromCity", String::new()),
            ],
            last: (String::new(), Form::parse(b"")),
            document: String::new(),
        };
        call.post(&format!("{BASE_URL}/voice/webhook/voice"), &[])
            .await;
        call
    }

    /// Posts an utterance, and returns after the first answer.
    pub(super) async fn start_saying(&mut self, words: &str) {
        let action = self.between("action=\"", "\"");
        self.post(&action, &[("SpeechResult", words), ("Confidence", "0.9")])
            .await;
    }

    /// Posts the call's final status.
    pub(super) async fn hang_up(&mut self) {
        let url = format!("{BASE_URL}/voice/webhook/call-status");
        let form = self.form(&[("CallStatus", "completed"), ("CallDuration", "63")]);
        assert!(self.request(&url, &form).await.status().is_success());
    }

    /// Posts an utterance, and follows redirects until the assistant has answered.
    pub(super) async fn say(&mut self, words: &str) {
        self.start_saying(words).await;
        while !self.document.contains("<Gather") {
            let url = self.between("<Redirect method=\"POST\">", "<");
            self.post(&url, &[]).await;
        }
    }

    /// Posts the last request again.
    pub(super) async fn repeat_last(&mut self) {
        let (url, form) = self.last.clone();
        self.send(&url, form).await;
    }

    fn between(&self, before: &str, after: &str) -> String {
        let rest = self.document.split_once(before).map(|(_, rest)| rest);
        let url = rest.and_then(|rest| rest.split_once(after));
        url.expect("TwiML with a URL to go on at")
            .0
            .replace("&amp;", "&")
    }

    async fn post(&mut self, url: &str, fields: &[(&'static str, &str)]) {
        let form = self.form(fields);
        self.send(url, form).await;
    }

    async fn send(&mut self, url: &str, form: Form) {
        let answer = self.request(url, &form).await;
        assert_eq!(answer.status(), 200);
        self.document = answer.text().await.unwrap();
        self.last = (url.to_owned(), form);
    }

    async fn request(&self, url: &str, form: &Form) -> Response {
        self.http
            .post(url.replacen(BASE_URL, &self.caddy_url, 1))
            .header(
                signature::HEADER,
                sign(&TWILIO_AUTH_TOKEN.into(), url, form),
            )
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.encode())
            .send()
            .await
            .unwrap()
    }

    fn form(&self, fields: &[(&'static str, &str)]) -> Form {
        let is_given = |name: &str| fields.iter().any(|(given, _)| *given == name);
        let known = self.fields.iter().filter(|(name, _)| !is_given(name));
        let known = known.map(|(name, value)| (*name, value.as_str()));
        Form::from_pairs(known.chain(fields.iter().copied()))
    }
}
