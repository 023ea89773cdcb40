mod faults;
mod requests;

use claw_runtime::{HttpTimeouts, http};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::*;

const IMAGE: &str = "clawkaka/sandbox:simulated";

/// An engine, and a client of its API.
struct World {
    sim: SimDocker,
    http: Client,
    url: String,
}

impl World {
    async fn new() -> Self {
        Self::of(SimDockerConfig::default()).await
    }

    async fn of(config: SimDockerConfig) -> Self {
        let sim = SimDocker::start(config).await.unwrap();
        let url = sim.docker_host().replace("tcp://", "http://");
        let http = http::client(HttpTimeouts::default());
        Self { sim, http, url }
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = self.http.get(format!("{}{path}", self.url));
        read(request.send().await.unwrap()).await
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let request = self.http.post(format!("{}{path}", self.url)).json(&body);
        read(request.send().await.unwrap()).await
    }

    async fn delete(&self, path: &str) -> (StatusCode, Value) {
        let request = self.http.delete(format!("{}{path}", self.url));
        read(request.send().await.unwrap()).await
    }

    /// Creates and starts a container on a volume and a free port; returns the port.
    async fn run(&self, name: &str, volume: &str) -> u16 {
        self.create(name, volume, 0).await;
        let (status, answer) = self
            .post(&format!("/containers/{name}/start"), Value::Null)
            .await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
        let containers = self.sim.containers();
        let container = containers.iter().find(|container| container.name == name);
        container.and_then(|container| container.port).unwrap()
    }

    async fn create(&self, name: &str, volume: &str, port: u16) {
        let path = format!("/containers/create?name={name}");
        let (status, answer) = self.post(&path, body(volume, port)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }

    /// `State` of a container.
    async fn state(&self, name: &str) -> Value {
        self.get(&format!("/containers/{name}/json")).await.1["State"].take()
    }

    /// The status with which OpenClaw at this port answers `/readyz`.
    async fn readyz(&self, port: u16) -> Result<StatusCode, reqwest::Error> {
        let url = format!("http://127.0.0.1:{port}/readyz");
        Ok(self.http.get(url).send().await?.status())
    }
}

async fn read(answer: reqwest::Response) -> (StatusCode, Value) {
    let status = answer.status();
    let text = answer.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

fn body(volume: &str, port: u16) -> Value {
    json!({
        "Image": IMAGE,
        "Env": environment(),
        "Labels": { "owner": "a", "of": volume },
        "StopTimeout": 60,
        "HostConfig": {
            "Mounts": [{ "Type": "volume", "Source": volume, "Target": "/home/claw" }],
            "PortBindings": { "18789/tcp": [{ "HostIp": "127.0.0.1", "HostPort": port.to_string() }] },
        },
    })
}

/// The variables that the image requires.
pub(crate) fn environment() -> Vec<String> {
    [
        "OPENCLAW_GATEWAY_TOKEN=made-up",
        "OPENROUTER_API_KEY=made-up",
        "OPENCLAW_MODEL=made/up",
        "CLAWKAKA_DEVICE_ID=fe812c12f3ab4ce6ac5db69ac352f906cb1b11ef43fb33e252ef7ff552263889",
        "CLAWKAKA_DEVICE_PUBLIC_KEY=6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw",
    ]
    .map(str::to_owned)
    .into()
}
