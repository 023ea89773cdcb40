use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, Response, header::CONTENT_TYPE},
};
use sim_kit::serve::Serving;

use crate::signature;

/// An application that answers webhooks from a script.
pub(super) struct Server {
    serving: Serving,
    got: Arc<Mutex<Vec<Received>>>,
}

/// A webhook as it came.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) path: String,
    pub(super) fields: BTreeMap<String, String>,
    pub(super) headers: HeaderMap,
    pairs: Vec<(String, String)>,
    path_and_query: String,
}

/// What it answers.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    never: bool,
}

impl Reply {
    /// The verbs of a document.
    pub(super) fn twiml(verbs: &str) -> Self {
        Self::raw(200, "text/xml", format!("<Response>{verbs}</Response>"))
    }

    pub(super) fn raw(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type,
            body: body.into(),
            never: false,
        }
    }

    pub(super) fn never() -> Self {
        Self {
            never: true,
            ..Self::twiml("")
        }
    }
}

impl Received {
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("(absent)", String::as_str)
    }

    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("(absent)", |value| value.to_str().unwrap())
    }

    /// Whether the signature is right for the public address `origin`.
    pub(super) fn is_signed_for(&self, origin: &str, auth_token: &str) -> bool {
        let url = format!("{origin}{}", self.path_and_query);
        self.header("x-twilio-signature") == signature::of(auth_token, &url, &self.pairs)
    }
}

impl Server {
    pub(super) async fn start(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let got: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (keep, script) = (Arc::clone(&got), Arc::new(script));
        let router = Router::new().fallback(move |request: Request| {
            let (keep, script) = (Arc::clone(&keep), Arc::clone(&script));
            async move {
                let received = receive(request).await;
                keep.lock().unwrap().push(received.clone());
                let reply = script(&received);
                if reply.never {
                    std::future::pending::<()>().await;
                }
                Response::builder()
                    .status(reply.status)
                    .header(CONTENT_TYPE, reply.content_type)
                    .body(Body::from(reply.body))
                    .unwrap()
            }
        });
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            serving: Serving::start(addr, router).await.unwrap(),
            got,
        }
    }

    /// Answers every path with its document, unknown ones with 404.
    pub(super) async fn of_pages(pages: &'static [(&'static str, &'static str)]) -> Self {
        Self::start(|received| {
            let mut pages = pages.iter();
            let page = pages.find(|(path, _)| *path == received.path);
            page.map_or_else(
                || Reply::raw(404, "text/plain", "no such page"),
                |(_, verbs)| Reply::twiml(verbs),
            )
        })
        .await
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.serving.addr()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr())
    }

    /// What came to `path` so far.
    pub(super) fn got(&self, path: &str) -> Vec<Received> {
        let got = self.got.lock().unwrap();
        let of_path = got.iter().filter(|received| received.path == path);
        of_path.cloned().collect()
    }
}

/// An address where nobody listens.
pub(super) async fn refusing_addr() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

async fn receive(request: Request) -> Received {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let pairs: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    Received {
        path: parts.uri.path().to_owned(),
        path_and_query: parts.uri.path_and_query().unwrap().to_string(),
        fields: pairs.iter().cloned().collect(),
        pairs,
        headers: parts.headers,
    }
}
