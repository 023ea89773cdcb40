use std::time::Duration;

use claw_runtime::{HttpTimeouts, http};
use claw_twilio::{
    form::Form,
    signature::{self, sign},
};
use e2e::harness::{BASE_URL, TWILIO_AUTH_TOKEN, World};
use reqwest::{Client, Response};

/// A call made by hand, webhook by webhook: for what a well-behaved Twilio does not do.
pub(super) struct Webhooks {
    http: Client,
    door: String,
    fields: Vec<(&'static str, String)>,
    last: (String, Form),
    /// The document answered last.
    pub(super) document: String,
}

impl Webhooks {
    /// Rings, from this number.
    pub(super) async fn begin(world: &World, from: &str) -> Self {
        let sid = format!("CA{:032x}", rand::random::<u128>());
        let mut call = Self {
            http: http::client(HttpTimeouts {
                total: Duration::from_secs(15),
                ..HttpTimeouts::default()
            }),
            door: world.door_url(),
            fields: vec![
                ("CallSid", sid),
                ("From", format!("+{from}")),
                ("To", "+4930555000".to_owned()),
                ("CallStatus", "ringing".to_owned()),
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

    /// Says something.
    pub(super) async fn begin_to_say(&mut self, words: &str) {
        let action = self.between("action=\"", "\"");
        self.post(&action, &[("SpeechResult", words), ("Confidence", "0.9")])
            .await;
    }

    /// Tells that the caller has hung up.
    pub(super) async fn hang_up(&mut self) {
        let url = format!("{BASE_URL}/voice/webhook/call-status");
        let form = self.form(&[("CallStatus", "completed"), ("CallDuration", "63")]);
        assert!(self.request(&url, &form).await.status().is_success());
    }

    /// Says something, and waits until that is answered.
    pub(super) async fn say(&mut self, words: &str) {
        self.begin_to_say(words).await;
        while !self.document.contains("<Gather") {
            let url = self.between("<Redirect method=\"POST\">", "<");
            self.post(&url, &[]).await;
        }
    }

    /// Posts the last request once more, as if it were new.
    pub(super) async fn again(&mut self) {
        let (url, form) = self.last.clone();
        self.send(&url, form).await;
    }

    fn between(&self, before: &str, after: &str) -> String {
        let rest = self.document.split_once(before).map(|(_, rest)| rest);
        let url = rest.and_then(|rest| rest.split_once(after));
        url.expect("a document with somewhere to go")
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
            .post(url.replacen(BASE_URL, &self.door, 1))
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
        let is_told = |name: &str| fields.iter().any(|(told, _)| *told == name);
        let known = self.fields.iter().filter(|(name, _)| !is_told(name));
        let known = known.map(|(name, value)| (*name, value.as_str()));
        Form::from_pairs(known.chain(fields.iter().copied()))
    }
}
