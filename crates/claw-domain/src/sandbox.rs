use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a sandbox is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxStatus {
    /// Asked for while every place was taken; waits for room.
    Queued,
    /// Asked for; nothing exists outside our row yet.
    Requested,
    /// Its key, volume and container are being made, or it is starting.
    Starting,
    /// It answers.
    Ready,
    /// It could not be made; the reason stands beside it, nothing of it is left outside.
    Failed,
    /// It was taken down on purpose.
    Removed,
}

impl SandboxStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Requested,
        Self::Starting,
        Self::Ready,
        Self::Failed,
        Self::Removed,
    ];

    /// The name used in storage and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Requested => "requested",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Removed => "removed",
        }
    }

    /// The status of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether it takes one of the operator's places.
    pub const fn takes_a_place(self) -> bool {
        matches!(self, Self::Requested | Self::Starting | Self::Ready)
    }
}

/// Why a sandbox could not be made. A closed set: people see a line for each, operators count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// No free port in the configured range.
    NoFreePort,
    /// The model provider refused or could not make a key.
    ModelKey,
    /// The image is not on this host.
    ImageMissing,
    /// The container engine is away or refused.
    Engine,
    /// The container stopped by itself while starting.
    Exited,
    /// It did not answer in time.
    StartTimeout,
    /// It answers, but does not accept us.
    NotApproved,
}

impl FailureReason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::NoFreePort,
        Self::ModelKey,
        Self::ImageMissing,
        Self::Engine,
        Self::Exited,
        Self::StartTimeout,
        Self::NotApproved,
    ];

    /// The name used in storage and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoFreePort => "no_free_port",
            Self::ModelKey => "model_key",
            Self::ImageMissing => "image_missing",
            Self::Engine => "engine",
            Self::Exited => "exited",
            Self::StartTimeout => "start_timeout",
            Self::NotApproved => "not_approved",
        }
    }

    /// The reason of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

/// Where a sandbox's gateway listens: a `ws://` or `wss://` URL.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Endpoint(String);

impl Endpoint {
    /// Wraps the URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_value_again() {
        for status in SandboxStatus::ALL {
            assert_eq!(SandboxStatus::from_name(status.as_str()), Some(status));
        }
        for reason in FailureReason::ALL {
            assert_eq!(FailureReason::from_name(reason.as_str()), Some(reason));
        }
    }
}
