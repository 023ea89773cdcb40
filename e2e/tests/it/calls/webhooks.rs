use std::time::Duration;

use claw_runtime::{HttpTimeouts, http};
use claw_twilio::{
    form::Form,
    signature::{self, sign},
};
use e2e::harness::{BASE_URL, TWILIO_AUTH_TOKEN, World};
use reqwest::Client;

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

    /// Says something, and waits until that is answered.
    pub(super) async fn say(&mut self, words: &str) {
        let action = self.between("action=\"", "\"");
        self.post(&action, &[("SpeechResult", words), ("Confidence", "0.9")])
            .await;
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
        let known = self.fields.iter();
        let known = known.map(|(name, value)| (*name, value.as_str()));
        let form = Form::from_pairs(known.chain(fields.iter().copied()));
        self.send(url, form).await;
    }

    async fn send(&mut self, url: &str, form: Form) {
        let answer = self
            .http
            .post(url.replacen(BASE_URL, &self.door, 1))
            .header(
                signature::HEADER,
                sign(&TWILIO_AUTH_TOKEN.into(), url, &form),
            )
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.encode())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        self.document = answer.text().await.unwrap();
        self.last = (url.to_owned(), form);
    }
}
