use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sim_kit::clock;
use sim_openclaw::Process;
use tokio::time::Instant;
use uuid::Uuid;

use super::{error::ApiError, listening};

/// A container with the settings it was created with.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) labels: HashMap<String, String>,
    pub(crate) env: Vec<String>,
    /// The volume with the assistant's home; named like the container's id if the container names none.
    pub(crate) volume: String,
    pub(crate) published: Option<SocketAddr>,
    /// `Config` in answers: the body of the creation, without `HostConfig`.
    pub(crate) config: Value,
    pub(crate) host_config: Value,
    pub(crate) created: DateTime<Utc>,
    pub(crate) state: ContainerState,
}

#[derive(Debug)]
pub(crate) enum ContainerState {
    /// Never started; with the error of the last attempt.
    Created {
        error: String,
    },
    Running(Running),
    Exited {
        code: i64,
        /// The error of the last attempt to start it again.
        error: String,
        started: DateTime<Utc>,
        finished: DateTime<Utc>,
    },
}

/// One run of a container's process.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) process: Arc<Process>,
    /// The number of this run among all runs of the engine.
    pub(crate) run: u64,
    pub(crate) listens_on: SocketAddr,
    pub(crate) started: DateTime<Utc>,
    pub(crate) ready_at: Instant,
}

impl Container {
    /// Reads the body of `POST /containers/create`.
    pub(crate) fn create(name: String, mut body: Value) -> Result<Self, ApiError> {
        let host_config = body["HostConfig"].take();
        if let Value::Object(config) = &mut body {
            config.retain(|key, value| !value.is_null() && key != "NetworkingConfig");
        }
        let id = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        Ok(Self {
            image: text(&body["Image"]),
            labels: labels(&body["Labels"]),
            env: body["Env"]
                .as_array()
                .map(|env| env.iter().map(text).collect())
                .unwrap_or_default(),
            volume: volume_in(&host_config).unwrap_or_else(|| id.clone()),
            published: listening::published(&host_config)?,
            config: body,
            host_config,
            created: clock::now(),
            state: ContainerState::Created {
                error: String::new(),
            },
            id,
            name,
        })
    }

    pub(crate) fn running(&self) -> Option<&Running> {
        match &self.state {
            ContainerState::Running(running) => Some(running),
            ContainerState::Created { .. } | ContainerState::Exited { .. } => None,
        }
    }

    /// Records the end of the process.
    pub(crate) fn exit(&mut self, code: i64) {
        let finished = clock::now();
        let started = self.running().map_or(finished, |running| running.started);
        self.state = ContainerState::Exited {
            code,
            error: String::new(),
            started,
            finished,
        };
    }

    /// Records why it could not be started.
    pub(crate) fn fail_to_start(&mut self, message: &str) {
        match &mut self.state {
            ContainerState::Created { error } => message.clone_into(error),
            ContainerState::Exited { error, code, .. } => {
                message.clone_into(error);
                *code = 128;
            }
            ContainerState::Running(_) => {}
        }
    }

    /// Whether `reference` is its name, its id or the beginning of its id.
    pub(crate) fn is(&self, reference: &str) -> bool {
        let reference = reference.trim_start_matches('/');
        self.name == reference || (reference.len() >= 12 && self.id.starts_with(reference))
    }
}

pub(crate) fn labels(json: &Value) -> HashMap<String, String> {
    let labels = json.as_object().into_iter().flatten();
    labels
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}

/// The first named volume among the mounts and binds.
fn volume_in(host_config: &Value) -> Option<String> {
    let mounts = host_config["Mounts"].as_array().into_iter().flatten();
    let mounted = mounts
        .filter(|mount| mount["Type"] == "volume")
        .find_map(|mount| mount["Source"].as_str());
    let binds = host_config["Binds"].as_array().into_iter().flatten();
    let bound = binds
        .filter_map(|bind| bind.as_str()?.split(':').next())
        .find(|source| !source.starts_with('/'));
    mounted.or(bound).map(str::to_owned)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
