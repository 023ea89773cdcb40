//! Docker's JSON for containers, volumes and the engine.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use sim_kit::clock;

use super::{
    ContainerStatus, ContainerView,
    container::{Container, ContainerState},
    engine::{State, Volume},
    listening::OPENCLAW_PORT,
};

/// Docker's time of something that has not happened.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The mount point of the volume.
const HOME: &str = "/home/claw";

impl Container {
    pub(crate) fn status(&self) -> ContainerStatus {
        match &self.state {
            ContainerState::Created { .. } => ContainerStatus::Created,
            ContainerState::Running(_) => ContainerStatus::Running,
            ContainerState::Exited { .. } => ContainerStatus::Exited,
        }
    }

    pub(crate) fn view(&self) -> ContainerView {
        let listens_on = self.running().map(|running| running.listens_on);
        let exit_code = match &self.state {
            ContainerState::Exited { code, .. } => Some(*code),
            ContainerState::Created { .. } | ContainerState::Running(_) => None,
        };
        ContainerView {
            name: self.name.clone(),
            id: self.id.clone(),
            image: self.image.clone(),
            volume: self.volume.clone(),
            port: listens_on.or(self.published).map(|addr| addr.port()),
            status: self.status(),
            exit_code,
        }
    }

    /// `NetworkSettings.Ports`, which is empty while it does not run.
    fn ports(&self) -> Value {
        match self.running() {
            Some(running) if self.published.is_some() => {
                let addr = running.listens_on;
                let to = json!([{
                    "HostIp": addr.ip().to_string(),
                    "HostPort": addr.port().to_string(),
                }]);
                json!({ OPENCLAW_PORT: to })
            }
            _ => json!({}),
        }
    }

    fn mounts(&self) -> Value {
        json!([{
            "Type": "volume",
            "Name": self.volume,
            "Source": mountpoint(&self.volume),
            "Destination": HOME,
            "Driver": "local",
            "Mode": "z",
            "RW": true,
            "Propagation": "",
        }])
    }
}

/// The answer to `GET /containers/{id}/json`.
pub(crate) fn container(container: &Container) -> Value {
    let mut host_config = json!({
        "Privileged": false,
        "PublishAllPorts": false,
        "AutoRemove": false,
        "NetworkMode": "default",
        "OomScoreAdj": 0,
    });
    merge(&mut host_config, &container.host_config);
    json!({
        "Id": container.id,
        "Created": rfc3339(container.created),
        "Path": "tini",
        "Args": ["--", "node"],
        "State": state(container),
        "Image": image_id(&container.image),
        "Name": format!("/{}", container.name),
        "RestartCount": 0,
        "Driver": "overlay2",
        "Platform": "linux",
        "HostConfig": host_config,
        "Mounts": container.mounts(),
        "Config": container.config,
        "NetworkSettings": { "Ports": container.ports(), "Networks": {} },
    })
}

fn state(container: &Container) -> Value {
    let status = container.status();
    let (code, error) = match &container.state {
        ContainerState::Created { error } if error.is_empty() => (0, ""),
        ContainerState::Created { error } => (128, error.as_str()),
        ContainerState::Running(_) => (0, ""),
        ContainerState::Exited { code, error, .. } => (*code, error.as_str()),
    };
    let (started, finished) = match &container.state {
        ContainerState::Created { .. } => (NEVER.to_owned(), NEVER.to_owned()),
        ContainerState::Running(running) => (rfc3339(running.started), NEVER.to_owned()),
        ContainerState::Exited {
            started, finished, ..
        } => (rfc3339(*started), rfc3339(*finished)),
    };
    let is_running = status == ContainerStatus::Running;
    json!({
        "Status": status.name(),
        "Running": is_running,
        "Paused": false,
        "Restarting": false,
        "OOMKilled": false,
        "Dead": false,
        "Pid": i32::from(is_running),
        "ExitCode": code,
        "Error": error,
        "StartedAt": started,
        "FinishedAt": finished,
    })
}

/// An element of the answer to `GET /containers/json`.
pub(crate) fn summary(container: &Container) -> Value {
    let status = match &container.state {
        ContainerState::Created { .. } => "Created".to_owned(),
        ContainerState::Running(running) => format!("Up {}", since(running.started)),
        ContainerState::Exited { code, finished, .. } => {
            format!("Exited ({code}) {} ago", since(*finished))
        }
    };
    let ports = match container.running() {
        Some(running) if container.published.is_some() => json!([{
            "IP": running.listens_on.ip().to_string(),
            "PrivatePort": 18789,
            "PublicPort": running.listens_on.port(),
            "Type": "tcp",
        }]),
        _ => json!([]),
    };
    json!({
        "Id": container.id,
        "Names": [format!("/{}", container.name)],
        "Image": container.image,
        "ImageID": image_id(&container.image),
        "Command": "tini -- node",
        "Created": container.created.timestamp(),
        "Ports": ports,
        "Labels": container.labels,
        "State": container.status().name(),
        "Status": status,
        "HostConfig": { "NetworkMode": container.host_config["NetworkMode"] },
        "Mounts": container.mounts(),
    })
}

/// A volume, in every answer about it.
pub(crate) fn volume(name: &str, volume: &Volume) -> Value {
    json!({
        "Name": name,
        "Driver": "local",
        "Mountpoint": mountpoint(name),
        "CreatedAt": rfc3339(volume.created),
        "Labels": volume.labels,
        "Scope": "local",
        "Options": {},
    })
}

/// The answer to `GET /info`.
pub(crate) fn info(state: &State) -> Value {
    let (all, running) = (state.containers.len(), state.running().count());
    json!({
        "ID": state.id,
        "Name": "sim-docker",
        "ServerVersion": "20.10.24",
        "Containers": all,
        "ContainersRunning": running,
        "ContainersPaused": 0,
        "ContainersStopped": all - running,
        "Driver": "overlay2",
        "OperatingSystem": "Simulated",
        "OSType": "linux",
        "Architecture": "x86_64",
        "NCPU": 2,
        "MemTotal": 24_u64 << 30,
    })
}

fn mountpoint(volume: &str) -> String {
    format!("/var/lib/docker/volumes/{volume}/_data")
}

fn image_id(image: &str) -> String {
    use sha2::{Digest, Sha256};
    format!("sha256:{}", hex::encode(Sha256::digest(image)))
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

fn since(time: DateTime<Utc>) -> String {
    format!("{} seconds", (clock::now() - time).num_seconds().max(0))
}

/// Sets the fields of `over` that are not null.
fn merge(base: &mut Value, over: &Value) {
    let empty = Map::new();
    for (name, value) in over.as_object().unwrap_or(&empty) {
        if !value.is_null() {
            base[name] = value.clone();
        }
    }
}
