use std::{collections::HashMap, io, sync::Arc, time::Duration};

use claw_testkit::TestNats;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy},
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    sync::{
        Mutex,
        mpsc::{UnboundedSender, unbounded_channel},
    },
    time::sleep,
};

use crate::wire::port_of;

/// A proxy to the server that makes its disk look slow: each publish waits for the one before it in the same stream, as
/// at a server that syncs every write. An atomic batch is one write.
pub struct SlowDisk {
    pub port: u16,
    streams: Streams,
}

type ToServer = Arc<Mutex<OwnedWriteHalf>>;

type Streams = Arc<Mutex<HashMap<String, StreamFile>>>;

/// The queue of a stream's writes.
struct StreamFile {
    waiting: UnboundedSender<(Vec<u8>, ToServer)>,
    /// The number of writes requested so far.
    writes: usize,
}

impl SlowDisk {
    /// `sync` is how long one write takes.
    pub async fn of(nats: &TestNats, sync: Duration) -> Self {
        let server = port_of(nats);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let streams = Streams::default();
        let disk = Self {
            port,
            streams: Arc::clone(&streams),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(join(client, server, Arc::clone(&streams), sync));
            }
        });
        disk
    }

    /// The number of writes requested so far for a stream, named by its subject's first token, or for a bucket.
    pub async fn writes_to(&self, stream: &str) -> usize {
        let streams = self.streams.lock().await;
        streams.get(stream).map_or(0, |file| file.writes)
    }
}

async fn join(client: TcpStream, server: u16, streams: Streams, sync: Duration) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", server)).await?;
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, to_server) = server.into_split();
    let to_server = Arc::new(Mutex::new(to_server));
    tokio::select! {
        ended = forward(BufReader::new(from_client), &to_server, &streams, sync) => ended,
        ended = copy(&mut from_server, &mut to_client) => ended.map(drop),
    }
}

/// Forwards a client's data, message by message.
async fn forward(
    mut from_client: impl AsyncBufReadExt + Unpin,
    to_server: &ToServer,
    streams: &Streams,
    sync: Duration,
) -> io::Result<()> {
    loop {
        let mut message = Vec::new();
        if from_client.read_until(b'\n', &mut message).await? == 0 {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&message).into_owned();
        let Some(length) = payload_of(&line) else {
            to_server.lock().await.write_all(&message).await?;
            continue;
        };
        let begins = message.len();
        message.resize(begins + length, 0);
        from_client.read_exact(&mut message[begins..]).await?;
        match stream_of(&line).filter(|_| !is_inside_a_batch(&message)) {
            None => to_server.lock().await.write_all(&message).await?,
            Some(stream) => {
                let mut streams = streams.lock().await;
                let file = streams.entry(stream).or_insert_with(|| file_on_disk(sync));
                file.writes += 1;
                file.waiting.send((message, Arc::clone(to_server))).ok();
            }
        }
    }
}

/// Starts the file of a stream, which takes one write at a time.
fn file_on_disk(sync: Duration) -> StreamFile {
    let (waiting, mut writes) = unbounded_channel::<(Vec<u8>, ToServer)>();
    tokio::spawn(async move {
        while let Some((message, to_server)) = writes.recv().await {
            sleep(sync).await;
            to_server.lock().await.write_all(&message).await.ok();
        }
    });
    StreamFile { waiting, writes: 0 }
}

/// The number of bytes after the line of a publish; `None` for any other line.
fn payload_of(line: &str) -> Option<usize> {
    let mut words = line.split_whitespace();
    let is_publish = matches!(words.next()?, "PUB" | "HPUB");
    let length: usize = words.next_back()?.parse().ok()?;
    is_publish.then_some(length + "\r\n".len())
}

/// Where a publish is stored: the bucket, or the first token of the subject.
fn stream_of(line: &str) -> Option<String> {
    let subject = line.split_whitespace().nth(1)?;
    let mut tokens = subject.split('.');
    match tokens.next()? {
        "$KV" => tokens.next().map(str::to_owned),
        family @ ("in" | "out" | "sandbox" | "receipt" | "dead") => Some(family.to_owned()),
        _ => None,
    }
}

fn is_inside_a_batch(message: &[u8]) -> bool {
    let message = String::from_utf8_lossy(message);
    message.contains("Nats-Batch-Id") && !message.contains("Nats-Batch-Commit")
}
