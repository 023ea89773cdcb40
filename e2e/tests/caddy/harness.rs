use std::{
    fs::File,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use claw_runtime::{HttpTimeouts, http};
use claw_testkit::{ReservedPort, eventually};
use reqwest::{Body, Client, Method, RequestBuilder, Response};
use tempfile::TempDir;
use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

/// A webhook of Meta's and one of Twilio's.
pub(crate) const WEBHOOKS: [&str; 2] = ["/whatsapp/webhook", "/voice/webhook/voice"];

/// Has the form of Meta's signature.
pub(crate) const META_SIGNATURE: &str =
    "sha256=5ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2";

/// Has the form of Twilio's signature.
pub(crate) const TWILIO_SIGNATURE: &str = "5ecRe7/5ecRe7/5ecRe7/5ecRe7=";

/// Caddy in front of two replicas; it is killed when this is dropped.
pub(crate) struct Proxy {
    pub(crate) replicas: [Replica; 2],
    port: ReservedPort,
    client: Client,
    directory: TempDir,
    _caddy: Child,
}

/// What a replica does with each request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behaviour {
    Answers,
    /// Announces more than it sends.
    AnswersInPart,
    /// Closes the connection before it has read the body.
    Dies,
    IsUnavailable,
    Refuses,
}

/// A stub of ingress.
pub(crate) struct Replica {
    port: ReservedPort,
    state: Arc<Mutex<State>>,
}

struct State {
    behaviour: Behaviour,
    heads: Vec<String>,
    complete_bodies: usize,
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        let replicas = [Replica::start().await, Replica::start().await];
        let port = ReservedPort::new().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut command = caddy("run", &port, &replicas, &directory);
        let log = File::create(directory.path().join("log")).unwrap();
        let child = command
            .arg("--config")
            .arg(caddyfile())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let proxy = Self {
            replicas,
            port,
            client: http::client(HttpTimeouts::default()),
            directory,
            _caddy: child,
        };
        eventually("Caddy serves its configuration", || async {
            proxy.log().contains("serving initial configuration")
        })
        .await;
        proxy
    }

    /// A command of Caddy's with the settings of this one.
    pub(crate) fn caddy(&self, command: &str) -> Command {
        caddy(command, &self.port, &self.replicas, &self.directory)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://127.0.0.1:{}{path}", self.port.number());
        self.client.request(method, url)
    }

    /// A post with headers that have the form of signatures.
    pub(crate) fn signed(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
            .header("X-Hub-Signature-256", META_SIGNATURE)
            .header("X-Twilio-Signature", TWILIO_SIGNATURE)
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Response {
        self.signed(path).body(body).send().await.unwrap()
    }

    /// Sends the head of a post with a signature of the right form, and a part of the body that it announces.
    pub(crate) async fn half_open(&self, path: &str, announced: usize, part: &[u8]) -> TcpStream {
        let mut sender = self.connect().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: api\r\nX-Hub-Signature-256: {META_SIGNATURE}\r\n\
             X-Twilio-Signature: {TWILIO_SIGNATURE}\r\nContent-Length: {announced}\r\n\r\n"
        );
        let sent = sender.write_all(&[head.as_bytes(), part].concat()).await;
        sent.unwrap();
        sender
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        let address = ("127.0.0.1", self.port.number());
        TcpStream::connect(address).await.unwrap()
    }

    pub(crate) fn all_replicas(&self, behaviour: Behaviour) {
        for replica in &self.replicas {
            replica.behave(behaviour);
        }
    }

    /// The head of the only request that the replicas received.
    pub(crate) fn received(&self) -> String {
        let [head] = &self.replicas.each_ref().map(Replica::heads).concat()[..] else {
            panic!("not one request");
        };
        head.clone()
    }

    /// All that Caddy has written so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }
}

impl Replica {
    async fn start() -> Self {
        let port = ReservedPort::new().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", port.number()))
            .await
            .unwrap();
        let state = Arc::new(Mutex::new(State {
            behaviour: Behaviour::Answers,
            heads: Vec::new(),
            complete_bodies: 0,
        }));
        let of_task = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&of_task);
                tokio::spawn(async move { serve(stream, &state).await });
            }
        });
        Self { port, state }
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.state.lock().unwrap().behaviour = behaviour;
    }

    /// How many requests arrived, at least their heads.
    pub(crate) fn requests(&self) -> usize {
        self.heads().len()
    }

    pub(crate) fn complete_bodies(&self) -> usize {
        self.state.lock().unwrap().complete_bodies
    }

    fn heads(&self) -> Vec<String> {
        self.state.lock().unwrap().heads.clone()
    }
}

pub(crate) fn caddyfile() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../Caddyfile")
}

/// Reads the lines before a body.
pub(crate) async fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn caddy(
    command: &str,
    port: &ReservedPort,
    replicas: &[Replica; 2],
    directory: &TempDir,
) -> Command {
    #[expect(clippy::disallowed_methods, reason = "tests have no Env of their own")]
    let program = std::env::var_os("CLAWKAKA_CADDY").expect("CLAWKAKA_CADDY: see ./dev env");
    let port = port.number();
    let admin = directory.path().join("admin.sock");
    let [first, second] = replicas.each_ref().map(|replica| replica.port.number());
    let upstreams = format!("to 127.0.0.1:{first} 127.0.0.1:{second}");
    let mut caddy = Command::new(program);
    caddy
        .args([command, "--adapter", "caddyfile"])
        .env("XDG_DATA_HOME", directory.path())
        .env("XDG_CONFIG_HOME", directory.path())
        .env("CADDY_BIND", "127.0.0.1")
        .env("CADDY_ADMIN", format!("unix/{}|0600", admin.display()))
        .env("API_SITE", format!("http://:{port}"))
        .env("CONSOLE_SITE", format!("http://console.localhost:{port}"))
        .env("HEALTH_SITE", format!("http://health.localhost:{port}"))
        // Nobody listens on port 1.
        .env("CONSOLE_FROM", "to 127.0.0.1:1")
        .env("INGRESS_FROM", upstreams);
    caddy
}

/// Serves the requests of one connection.
async fn serve(mut stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    loop {
        let head = read_head(&mut stream).await?;
        let behaviour = {
            let mut state = state.lock().unwrap();
            state.heads.push(head.clone());
            state.behaviour
        };
        if head.contains("Upgrade: websocket") {
            let accepted = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                Upgrade: websocket\r\n\r\n";
            stream.write_all(accepted.as_bytes()).await?;
            let (mut reader, mut writer) = stream.split();
            io::copy(&mut reader, &mut writer).await?;
            return Ok(());
        }
        if matches!(behaviour, Behaviour::Dies) {
            return Ok(());
        }
        let mut body = vec![0; content_length(&head)];
        stream.read_exact(&mut body).await?;
        state.lock().unwrap().complete_bodies += 1;
        let answer = match behaviour {
            Behaviour::Answers | Behaviour::Dies => "200 OK\r\nServer: stub\r\nContent-Length: 0",
            Behaviour::AnswersInPart => "200 OK\r\nContent-Length: 1",
            Behaviour::IsUnavailable => "503 Service Unavailable\r\nContent-Length: 0",
            Behaviour::Refuses => "429 Too Many Requests\r\nRetry-After: 5\r\nContent-Length: 0",
        };
        let answer = format!("HTTP/1.1 {answer}\r\n\r\n");
        stream.write_all(answer.as_bytes()).await?;
        if matches!(behaviour, Behaviour::AnswersInPart) {
            return Ok(());
        }
    }
}

fn content_length(head: &str) -> usize {
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    length.map_or(0, |length| length.parse().unwrap())
}
