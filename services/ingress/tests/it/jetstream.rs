//! A minimal NATS client that reads the contents of a stream, independent of the code under test.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// A connection that reads the state of streams.
pub struct JetStream {
    connection: BufReader<TcpStream>,
}

impl JetStream {
    /// `url` is `nats://user:password@host:port`.
    pub async fn connect(url: &str) -> Self {
        let (login, address) = url
            .strip_prefix("nats://")
            .unwrap()
            .split_once('@')
            .unwrap();
        let (user, pass) = login.split_once(':').unwrap();
        let connection = BufReader::new(TcpStream::connect(address).await.unwrap());
        let mut jetstream = Self { connection };
        let hello = json!({"user": user, "pass": pass, "verbose": false, "pedantic": false});
        jetstream
            .send(&format!("CONNECT {hello}\r\nSUB answers 1\r\n"))
            .await;
        jetstream
    }

    /// The number of messages in `stream`.
    pub async fn count(&mut self, stream: &str) -> u64 {
        self.info(stream).await["state"]["messages"]
            .as_u64()
            .unwrap()
    }

    /// The subjects in `stream`, in alphabetical order.
    pub async fn subjects(&mut self, stream: &str) -> Vec<String> {
        let info = self.info(stream).await;
        let subjects = info["state"]["subjects"].as_object();
        subjects
            .map(|subjects| subjects.keys().cloned().collect())
            .unwrap_or_default()
    }

    async fn info(&mut self, stream: &str) -> Value {
        let body = json!({"subjects_filter": ">"}).to_string();
        let api = match stream {
            "INBOUND" => "js.gateway",
            "STATUS" => "js.outbound",
            _ => "$JS.API",
        };
        let subject = format!("{api}.STREAM.INFO.{stream}");
        self.send(&format!(
            "PUB {subject} answers {}\r\n{body}\r\n",
            body.len()
        ))
        .await;
        loop {
            let mut line = String::new();
            assert_ne!(
                self.connection.read_line(&mut line).await.unwrap(),
                0,
                "NATS closed the connection"
            );
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["MSG", .., length] => {
                    let mut body = vec![0; length.parse::<usize>().unwrap() + "\r\n".len()];
                    self.connection.read_exact(&mut body).await.unwrap();
                    return serde_json::from_slice(&body).unwrap();
                }
                ["PING"] => self.send("PONG\r\n").await,
                ["INFO", ..] | ["PONG"] => {}
                _ => panic!("NATS sent an unexpected line: {line}"),
            }
        }
    }

    async fn send(&mut self, text: &str) {
        self.connection.write_all(text.as_bytes()).await.unwrap();
    }
}
