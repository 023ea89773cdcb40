use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use parking_lot::Mutex;
use secrecy::ExposeSecret;
use tokio::sync::watch;

use super::*;

/// The simulator, a client of its Graph API, and a receiver of its webhooks.
pub(super) struct Setup {
    pub(super) sim: SimMeta,
    pub(super) receiver: WebhookReceiver,
    pub(super) client: reqwest::Client,
}

impl Setup {
    pub(super) async fn with(config: SimMetaConfig) -> Self {
        let receiver = WebhookReceiver::start(config.app_secret.expose_secret().to_owned()).await;
        let client = delivery::client(&config.webhooks).unwrap();
        let sim = SimMeta::start(SimMetaConfig {
            webhook_url: Some(receiver.url()),
            ..config
        })
        .await
        .unwrap();
        Self {
            sim,
            receiver,
            client,
        }
    }

    pub(super) fn token(&self) -> String {
        self.sim
            .world
            .config
            .access_token
            .expose_secret()
            .to_owned()
    }

    pub(super) fn path(&self) -> String {
        format!("/v24.0/{}/messages", self.sim.world.config.phone_number_id)
    }

    pub(super) fn text(to: &str, text: &str) -> Value {
        json!({"messaging_product": "whatsapp", "to": format!("+{to}"), "type": "text", "text": {"body": text}})
    }

    pub(super) async fn send(&self, to: &str, text: &str, tracker: Option<&str>) -> (u16, Value) {
        let mut body = Self::text(to, text);
        if let Some(tracker) = tracker {
            body["biz_opaque_callback_data"] = json!(tracker);
        }
        self.post(&body).await
    }

    pub(super) async fn post(&self, body: &Value) -> (u16, Value) {
        self.post_as(&self.token(), &self.path(), body).await
    }

    pub(super) async fn post_as(&self, token: &str, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("http://{}{path}", self.sim.addr());
        let request = self.client.post(url).bearer_auth(token).json(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(super) fn request(&self, body: &Value) -> reqwest::RequestBuilder {
        let url = format!("http://{}{}", self.sim.addr(), self.path());
        self.client.post(url).bearer_auth(self.token()).json(body)
    }

    pub(super) async fn try_post(&self, body: &Value) -> reqwest::Result<reqwest::Response> {
        self.request(body).send().await
    }

    pub(super) async fn until_idle(&self) {
        while self.sim.stats().webhooks.backlog > 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// Receives webhooks and checks every signature.
pub(super) struct WebhookReceiver {
    server: HttpServer,
    inbox: Arc<Inbox>,
}

struct Inbox {
    app_secret: String,
    refusals: AtomicU64,
    bodies: Mutex<Vec<Bytes>>,
    arrived: watch::Sender<u64>,
}

impl WebhookReceiver {
    async fn start(app_secret: String) -> Self {
        let inbox = Arc::new(Inbox {
            app_secret,
            refusals: AtomicU64::new(0),
            bodies: Mutex::default(),
            arrived: watch::Sender::new(0),
        });
        let router = Router::new()
            .route("/webhook", post(take))
            .with_state(Arc::clone(&inbox));
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = HttpServer::start(free, router).await.unwrap();
        Self { server, inbox }
    }

    fn url(&self) -> String {
        format!("http://{}/webhook", self.server.addr())
    }

    pub(super) fn refuse_next(&self, times: u64) {
        let refusals = &self.inbox.refusals;
        refusals.store(times, SeqCst);
    }

    pub(super) fn bodies(&self) -> Vec<Bytes> {
        self.inbox.bodies.lock().clone()
    }

    pub(super) async fn statuses(&self, count: usize) -> Vec<Value> {
        self.collect("statuses", count).await
    }

    pub(super) async fn messages(&self, count: usize) -> Vec<Value> {
        self.collect("messages", count).await
    }

    async fn collect(&self, kind: &str, count: usize) -> Vec<Value> {
        let mut arrived = self.inbox.arrived.subscribe();
        let enough = async {
            loop {
                arrived.borrow_and_update();
                let found = self.found(kind);
                if found.len() >= count {
                    return found;
                }
                arrived.changed().await.unwrap();
            }
        };
        let found = tokio::time::timeout(LIMIT, enough).await;
        found.unwrap_or_else(|_| panic!("only {:?}", self.found(kind)))
    }

    fn found(&self, kind: &str) -> Vec<Value> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        self.bodies()
            .iter()
            .map(|body| serde_json::from_slice::<Value>(body).unwrap())
            .flat_map(|body| list(&body["entry"]))
            .flat_map(|entry| list(&entry["changes"]))
            .flat_map(|change| list(&change["value"][kind]))
            .collect()
    }
}

async fn take(
    State(inbox): State<Arc<Inbox>>,
    headers: HeaderMap,
    body: Bytes,
) -> axum::http::StatusCode {
    let expected = payload::signature(&inbox.app_secret, &body);
    assert_eq!(headers["x-hub-signature-256"], expected.as_str());
    let is_refused = inbox
        .refusals
        .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1))
        .is_ok();
    if is_refused {
        return axum::http::StatusCode::SERVICE_UNAVAILABLE;
    }
    inbox.bodies.lock().push(body);
    inbox.arrived.send_modify(|count| *count += 1);
    axum::http::StatusCode::OK
}
