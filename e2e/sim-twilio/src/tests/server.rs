use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, Response, header::CONTENT_TYPE},
};
use parking_lot::Mutex;
use sim_kit::server::HttpServer;

use crate::signature;

/// A server that answers webhooks with the replies of a function.
pub(super) struct Server {
    http: HttpServer,
    got: Arc<Mutex<Vec<Received>>>,
}

/// A webhook that the server has received.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) path: String,
    pub(super) fields: BTreeMap<String, String>,
    pub(super) headers: HeaderMap,
    pairs: Vec<(String, String)>,
    path_and_query: String,
}

/// An answer to a webhook.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    never: bool,
}

impl Reply {
    /// A document with these verbs.
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

    /// Whether the signature is valid for the public address `origin`.
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
                keep.lock().push(received.clone());
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
            http: HttpServer::start(addr, router).await.unwrap(),
            got,
        }
    }

    /// Answers each path with its document, and unknown paths with 404.
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
        self.http.addr()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr())
    }

    /// The webhooks received at `path` so far.
    pub(super) fn got(&self, path: &str) -> Vec<Received> {
        let got = self.got.lock();
        let of_path = got.iter().filter(|received| received.path == path);
        of_path.cloned().collect()
    }
}

/// An address that refuses connections.
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
