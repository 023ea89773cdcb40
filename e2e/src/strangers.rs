//! Strangers who post to the public address without our secrets, for tests of attacks and for benchmarks.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::sleep,
};

/// Has the form of Meta's signature, but nobody made it with our secret.
pub const FALSE_META_SIGNATURE: &str =
    "sha256=00000000000000000000000000000000000000000000000000000000deadbeef";

/// Has the form of Twilio's signature, but nobody made it with our token.
pub const FALSE_TWILIO_SIGNATURE: &str = "bm9ib2R5IHNpZ25lZCB0aGlz8AA=";

/// The largest body that Meta sends, which half-open posts announce.
const ANNOUNCED_BYTES: usize = 3 * 1024 * 1024;

/// How much of the announced body is sent.
const SENT_BYTES: usize = 64 * 1024;

/// Time until a post that was ended is opened again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Posts that are begun and never completed, each on its own connection. One that is answered or cut off is opened
/// again, until this is dropped.
pub struct HalfOpenPosts(#[expect(dead_code, reason = "dropping it ends the posts")] JoinSet<()>);

impl HalfOpenPosts {
    /// Opens `count` posts to the WhatsApp webhook at `url`. Of five, three have a false signature, one has a malformed
    /// one, and one has none. Each comes from a loopback address of its own. Returns when all are open.
    pub async fn open(url: &str, count: u16) -> Result<Self> {
        let address = address_of(url)?;
        let mut posts = JoinSet::new();
        for number in 0..count {
            let mut stream = half_open(address, number).await?;
            posts.spawn(async move {
                loop {
                    // Returns when the connection ends.
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                    sleep(AGAIN_AFTER).await;
                    if let Ok(opened) = half_open(address, number).await {
                        stream = opened;
                    }
                }
            });
        }
        Ok(Self(posts))
    }
}

async fn half_open(address: SocketAddr, number: u16) -> Result<TcpStream> {
    let [high, low] = number.to_be_bytes();
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, 1, high, low), 0).into())?;
    let mut stream = socket.connect(address).await?;
    let signature = match number % 5 {
        0..3 => format!("X-Hub-Signature-256: {FALSE_META_SIGNATURE}\r\n"),
        3 => "X-Hub-Signature-256: sha256=0\r\n".to_owned(),
        _ => String::new(),
    };
    let head = format!(
        "POST /whatsapp/webhook HTTP/1.1\r\nHost: {address}\r\n{signature}\
         Content-Length: {ANNOUNCED_BYTES}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    // A server that refuses the request need not read this.
    let _ = stream.write_all(&vec![b' '; SENT_BYTES]).await;
    Ok(stream)
}

fn address_of(url: &str) -> Result<SocketAddr> {
    let authority = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split('/').next());
    let authority = authority.with_context(|| format!("not an http address: {url}"))?;
    Ok(authority.parse()?)
}
