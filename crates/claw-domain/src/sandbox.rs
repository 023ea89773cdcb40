use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

/// The stage of a sandbox's life.
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
    /// Requested while every place was taken; waits for a free place.
    Queued,
    /// It has a place, and waits for its start to begin.
    Requested,
    /// Its model key, volume and container are being created, or OpenClaw is starting in it.
    Starting,
    /// OpenClaw answers in it and accepts our device.
    Ready,
    /// Stopped while nobody needs it. It has its volume and its model key, and no container.
    Asleep,
    /// It is being removed on purpose: its container, its model key and its volume, and with that its memory.
    Removing,
    /// It was given up until a time that its row has, with the reason. It has no container and no model key; it keeps its
    /// volume unless its first start failed.
    Failed,
    /// It was removed on purpose, not by a failure.
    Removed,
}

impl SandboxStatus {
    /// Every status, in the order of declaration.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The name in storage and metrics, which is the same as on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether OpenClaw in a sandbox of this status takes messages.
    pub const fn is_ready(self) -> bool {
        match self {
            Self::Ready => true,
            Self::Queued
            | Self::Requested
            | Self::Starting
            | Self::Asleep
            | Self::Removing
            | Self::Failed
            | Self::Removed => false,
        }
    }

    /// Whether a sandbox of this status counts towards the operator's limit of sandboxes.
    pub const fn takes_a_place(self) -> bool {
        match self {
            Self::Requested | Self::Starting | Self::Ready => true,
            Self::Queued | Self::Asleep | Self::Removing | Self::Failed | Self::Removed => false,
        }
    }
}

/// Whether a user's sandbox sleeps while nobody needs it.
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
pub enum SleepPolicy {
    /// It never sleeps.
    AlwaysOn,
    /// It sleeps, and wakes for messages, calls, due jobs and some heartbeats.
    Sleep,
    /// It sleeps, and wakes for messages and calls only.
    Off,
}

impl SleepPolicy {
    /// Every policy, in the order of declaration.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The name in storage and on the command line.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Why a sandbox is started without a request.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum WakeReason {
    /// A job of its assistant is due.
    Job,
    /// Its assistant looks whether there is something to tell.
    Heartbeat,
}

impl WakeReason {
    /// The name in storage and metrics, which is the same as on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Why a sandbox was given up. A closed set: users read a text for each, and metrics count them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FailureReason {
    /// Every port of the configured range is taken.
    NoFreePort,
    /// The model provider refused to create a key, or failed.
    ModelKey,
    /// The image is not on this host.
    ImageMissing,
    /// The container engine could not be reached, or refused a request.
    Engine,
    /// The container exited while it was starting, or several times in a row while it was ready.
    Exited,
    /// OpenClaw did not answer within the start limit, or stopped answering several times in a row while it was ready.
    StartTimeout,
    /// OpenClaw answers, but does not accept our device.
    NotApproved,
}

impl FailureReason {
    /// The name in storage and metrics, which is the same as on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The `ws://` URL at which the OpenClaw of a sandbox listens.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Endpoint(String);

impl Endpoint {
    /// Wraps a URL without checking it.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL with its scheme.
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
