use std::{net::SocketAddr, time::Duration};

use claw_bus::{Bus, BusConfig};
use claw_runtime::{HttpTimeouts, http};
use claw_seal::SealingKey;
use claw_testkit::{TestNats, user_id_key};
use claw_whatsapp::signature::{AppSecrets, sign};
use ingress::{App, Config, Keys, TrustedProxies};
use reqwest::{Client, Response};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::jetstream::JetStream;

/// The secret that signed the shared fixtures.
pub const APP_SECRET: &str = "clawkaka-fake-app-secret-0001";
pub const VERIFICATION_TOKEN: &str = "vibecoding";
pub const OUR_NUMBER: &str = "106540352242922";

/// Ingress, running in this process on its own port. Dropping it aborts it.
pub struct Ingress {
    pub address: SocketAddr,
    client: Client,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<anyhow::Result<()>>,
}

/// A NATS server with our streams, on which the key of user ids is recorded.
pub async fn nats_server() -> TestNats {
    let nats = nats_server_without_key().await;
    let check = user_id_key().check_value();
    let bus = admin_of(&nats).await;
    bus.record_user_id_key(&check).await.unwrap();
    // What is recorded stays.
    claw_bus::ensure(&bus).await.unwrap();
    nats
}

/// A NATS server with our streams.
pub async fn nats_server_without_key() -> TestNats {
    let nats = TestNats::start().await.unwrap();
    claw_bus::ensure(&admin_of(&nats).await).await.unwrap();
    nats
}

async fn admin_of(nats: &TestNats) -> Bus {
    let admin = BusConfig {
        url: nats.url("admin").into(),
        service: "admin",
    };
    Bus::connect(&admin).await.unwrap()
}

/// A connection that reads the contents of the streams.
pub async fn streams_of(nats: &TestNats) -> JetStream {
    JetStream::connect(&nats.url("admin")).await
}

impl Ingress {
    pub async fn start(nats: &TestNats) -> Self {
        Self::start_with(Self::config(nats)).await
    }

    /// Ingress for the number with the id `phone_number_id`, with the verification token `token`.
    pub async fn start_for(nats: &TestNats, phone_number_id: &str, token: &str) -> Self {
        Self::start_with(Config {
            verification_token: token.into(),
            phone_number_id: phone_number_id.to_owned(),
            ..Self::config(nats)
        })
        .await
    }

    /// The settings of [`Ingress::start`].
    pub fn config(nats: &TestNats) -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            nats_url: nats.url("ingress").into(),
            app_secrets: AppSecrets::parse(&format!("being-retired,{APP_SECRET}").into()).unwrap(),
            verification_token: VERIFICATION_TOKEN.into(),
            phone_number_id: OUR_NUMBER.to_owned(),
            keys: keys(),
            trusted_proxies: TrustedProxies::default(),
            voice: None,
            grace: Duration::from_secs(10),
        }
    }

    pub async fn start_with(config: Config) -> Self {
        let app = App::build(config).await.unwrap();
        let address = app.address().unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(app.run_until_stopped(async {
            let _ = stopped.await;
        }));
        let client = http::client(HttpTimeouts::default());
        Self {
            address,
            client,
            stop: Some(stop),
            running,
        }
    }

    /// Posts a body, signed as Meta would sign it, and returns the status.
    pub async fn post(&self, body: impl Into<Vec<u8>>) -> u16 {
        let body = body.into();
        let signature = signed(&body);
        self.post_signed(body, &signature).await.status().as_u16()
    }

    pub async fn post_signed(&self, body: Vec<u8>, signature: &str) -> Response {
        let request = self.client.post(self.url("/whatsapp/webhook")).body(body);
        request
            .header("X-Hub-Signature-256", signature)
            .send()
            .await
            .unwrap()
    }

    pub async fn post_unsigned(&self, body: Vec<u8>) -> u16 {
        let request = self.client.post(self.url("/whatsapp/webhook")).body(body);
        request.send().await.unwrap().status().as_u16()
    }

    /// The status and body of a `GET`.
    pub async fn get(&self, path_and_query: &str) -> (u16, String) {
        let response = self
            .client
            .get(self.url(path_and_query))
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Tells ingress to stop, and does not wait for its end.
    pub fn tell_to_stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits for the end of ingress, and returns its result.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        (&mut self.running).await.unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Ingress {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn keys() -> Keys {
    Keys {
        user_ids: user_id_key(),
        pins: SealingKey::parse(&"1".repeat(64)).unwrap(),
    }
}

/// The signature that Meta would send with `body`.
pub fn signed(body: &[u8]) -> String {
    sign(&SecretString::from(APP_SECRET), body)
}

/// A webhook body with a change for each of these values, to our number.
pub fn body(values: &[Value]) -> Vec<u8> {
    body_to(OUR_NUMBER, values)
}

pub fn body_to(phone_number_id: &str, values: &[Value]) -> Vec<u8> {
    let changes: Vec<Value> = values
        .iter()
        .map(|value| {
            let mut value = value.clone();
            value["messaging_product"] = json!("whatsapp");
            value["metadata"] = json!({"phone_number_id": phone_number_id});
            json!({"field": "messages", "value": value})
        })
        .collect();
    let entry = json!([{"id": "102290129340398", "changes": changes}]);
    json!({"object": "whatsapp_business_account", "entry": entry})
        .to_string()
        .into_bytes()
}

/// A body with one text message.
pub fn one_text(wamid: &str) -> Vec<u8> {
    body(&[json!({"messages": [text(wamid)]})])
}

pub fn text(wamid: &str) -> Value {
    json!({
        "from": "15550000001", "id": wamid, "timestamp": "1749416383",
        "type": "text", "text": {"body": "What is for dinner?"},
    })
}
