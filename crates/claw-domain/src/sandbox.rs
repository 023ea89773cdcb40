use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

/// Where a sandbox is in its life.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
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
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The name in storage and metrics: the same as on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether it takes one of the operator's places.
    pub const fn takes_a_place(self) -> bool {
        match self {
            Self::Requested | Self::Starting | Self::Ready => true,
            Self::Queued | Self::Failed | Self::Removed => false,
        }
    }
}

/// Why a sandbox could not be made. A closed set: people see a line for each, operators count them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
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
    /// The name in storage and metrics: the same as on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
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
