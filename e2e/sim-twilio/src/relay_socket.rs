use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::Url;
use secrecy::ExposeSecret;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{client::IntoClientRequest, http::HeaderValue},
};

use super::{signature, world::World};

/// A WebSocket connection to an application.
pub(crate) type Socket = WebSocketStream<TcpStream>;

/// Longest time for a connection and its upgrade.
const OPEN_LIMIT: Duration = Duration::from_secs(5);

/// Opens the application's socket. The upgrade is signed over the `wss://` URL of the document,
/// without fields.
pub(crate) async fn open(world: &World, url: &str) -> anyhow::Result<Socket> {
    let opening = async {
        let (scheme, rest) = url.split_once("://").context("the URL has no scheme")?;
        if scheme != "wss" && scheme != "ws" {
            bail!("the URL is neither wss nor ws");
        }
        let mut request = format!("ws://{rest}").into_client_request()?;
        let key = world.config.auth_token.expose_secret();
        let signature = HeaderValue::try_from(signature::of(key, url, &[]))?;
        request
            .headers_mut()
            .insert("X-Twilio-Signature", signature);
        let stream = reach(world, &Url::parse(url)?).await?;
        stream.set_nodelay(true)?;
        let (socket, _) = client_async(request, stream).await?;
        Ok(socket)
    };
    timeout(OPEN_LIMIT, opening)
        .await
        .context("the connection was not opened in time")?
}

/// Connects to the first replica that accepts the connection.
async fn reach(world: &World, url: &Url) -> anyhow::Result<TcpStream> {
    let replicas = match world.replicas().as_slice() {
        [] => {
            let host = url.host_str().context("the URL has no host")?;
            let port = url.port_or_known_default().context("the URL has no port")?;
            lookup_host((host, port)).await?.collect()
        }
        replicas => replicas.to_vec(),
    };
    for replica in replicas {
        if let Ok(stream) = TcpStream::connect(replica).await {
            return Ok(stream);
        }
    }
    bail!("no replica accepts the connection")
}
