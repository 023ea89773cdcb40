use std::{fmt::Write, path::PathBuf, process::Stdio};

use anyhow::{Context, Result};
use async_nats::{Client, ConnectOptions, ServerAddr, jetstream};
use claw_runtime::http::HttpTimeouts;
use futures_util::TryStreamExt;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{eventually, port::ReservedPort, tools::tool};

/// The users of a server, each the only one of an account.
const USERS: [&str; 5] = ["admin", "ingress", "gateway", "provisioner", "outbound"];

/// The password of every user of a test server.
const PASSWORD: &str = "test";

/// A NATS server for one test, configured by the repository's `nats.conf`. Killed when dropped.
pub struct TestNats {
    directory: TempDir,
    port: ReservedPort,
    monitor_port: ReservedPort,
    server: Option<Child>,
}

impl TestNats {
    /// Starts a server on free ports and waits until JetStream answers.
    pub async fn start() -> Result<Self> {
        let mut nats = Self {
            directory: tempfile::tempdir()?,
            port: ReservedPort::new()?,
            monitor_port: ReservedPort::new()?,
            server: None,
        };
        nats.start_again().await?;
        Ok(nats)
    }

    /// The URL at which `user` (`ingress`, `gateway`, …, or `admin`) connects, password included.
    pub fn url(&self, user: &str) -> String {
        format!("nats://{user}:{PASSWORD}@127.0.0.1:{}", self.port.number())
    }

    /// JetStream in the account of `user`, as seen by the user admin. Values cannot be put into buckets through it,
    /// and buckets cannot be watched.
    pub async fn jetstream_of(&self, user: &str) -> Result<jetstream::Context> {
        let client = client(&self.url("admin")).await?;
        Ok(jetstream_in(client, user))
    }

    /// All stored messages of all streams as text; see [`dump_streams`].
    pub async fn dump(&self) -> Result<String> {
        dump_streams(&self.url("admin")).await
    }

    /// Kills the server as a power failure does: nothing is flushed.
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            server.kill().await?;
        }
        Ok(())
    }

    /// Starts the server again on the same ports and files.
    pub async fn start_again(&mut self) -> Result<()> {
        self.kill().await?;
        let mut command = Command::new(tool("CLAWKAKA_NATS_SERVER")?);
        command
            .arg("--config")
            .arg(configuration_file())
            .env("NATS_LISTEN", format!("127.0.0.1:{}", self.port.number()))
            .env(
                "NATS_MONITOR",
                format!("127.0.0.1:{}", self.monitor_port.number()),
            )
            .env("NATS_STORE_DIR", self.directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        for user in USERS {
            command.env(format!("NATS_{}_PASSWORD", user.to_uppercase()), PASSWORD);
        }
        self.server = Some(command.spawn().context("starting nats-server")?);
        let health = format!(
            "http://127.0.0.1:{}/healthz?js-enabled-only=true",
            self.monitor_port.number()
        );
        eventually("the NATS server answers its health check", || {
            answers(&health)
        })
        .await;
        Ok(())
    }
}

/// All stored messages of all streams as text: for each a line `subject …`, its headers and its payload. `url`
/// contains the name and the password of the user admin.
pub async fn dump_streams(url: &str) -> Result<String> {
    let client = client(url).await?;
    let mut text = String::new();
    for user in USERS {
        dump_account(&jetstream_in(client.clone(), user), &mut text).await?;
    }
    Ok(text)
}

async fn dump_account(jetstream: &jetstream::Context, text: &mut String) -> Result<()> {
    let mut names = jetstream.stream_names();
    while let Some(name) = names.try_next().await? {
        let stream = jetstream.get_stream(name).await?;
        let state = &stream.cached_info().state;
        for sequence in state.first_sequence..=state.last_sequence {
            // A bucket keeps only the newest revision of a key.
            let Ok(message) = stream.get_raw_message(sequence).await else {
                continue;
            };
            let payload = String::from_utf8_lossy(&message.payload);
            let headers = &message.headers;
            writeln!(text, "subject {}\n{headers:?}\n{payload}", message.subject)?;
        }
    }
    Ok(())
}

async fn client(url: &str) -> Result<Client> {
    let server: ServerAddr = url.parse()?;
    let user = server.username().unwrap_or_default().to_owned();
    let password = server.password().unwrap_or_default().to_owned();
    let options = ConnectOptions::with_user_and_password(user, password);
    Ok(options.connect(server).await?)
}

/// JetStream in the account of `user`, for a client of the user admin.
fn jetstream_in(client: Client, user: &str) -> jetstream::Context {
    match user {
        "admin" => jetstream::new(client),
        user => jetstream::context::ContextBuilder::new()
            .api_prefix(format!("js.{user}"))
            .build(client),
    }
}

fn configuration_file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../nats.conf")
}

async fn answers(url: &str) -> bool {
    claw_runtime::http::client(HttpTimeouts::default())
        .get(url)
        .send()
        .await
        .is_ok_and(|response| response.status().is_success())
}
