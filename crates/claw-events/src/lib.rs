//! The facts services tell one another: one struct an event, its subject and its dedup key. Knows
//! nothing of NATS; `claw-bus` carries these.
//!
//! A new field is optional; a new meaning is a new name. Shapes are pinned by the tests in each file.

mod dead;
mod inbound;
mod outbound;
mod sandbox;
mod signal;
mod stream;

use claw_domain::UserId;
use serde::{Serialize, de::DeserializeOwned};

pub use dead::{DeadLetter, DeadReason};
pub use inbound::{DeliveryReported, MessageReceived, ReportedError};
pub use outbound::{ReplyDelivered, ReplyFailed, ReplyProduced};
pub use sandbox::{SandboxFailed, SandboxQueued, SandboxReady, SandboxRemoved, SandboxRequested};
pub use signal::TypingStarted;
pub use stream::{PARTITIONS, Stream, partition_of_subject};

/// A fact in the past tense, about one person.
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The stream that keeps it.
    const STREAM: Stream;
    /// Its name within the stream: one subject token, lower case.
    const FACT: &'static str;
    /// Raised when the meaning of a field changes; a new optional field leaves it alone.
    const VERSION: u32 = 1;

    /// Whom it is about; decides its partition, hence its order.
    fn user(&self) -> UserId;

    /// Made from the cause, never from the moment: publishing the same fact twice stores it once.
    fn dedup_key(&self) -> String;
}

/// The subject an event is published under. The stream stores it with its partition:
/// see [`stored_filter`].
pub fn subject_of<E: Event>(event: &E) -> String {
    format!("{}.{}.{}", E::STREAM.family(), E::FACT, event.user())
}

/// The stored subjects of all events of this type.
pub fn stored_filter<E: Event>() -> String {
    format!("{}.*.{}.*", E::STREAM.family(), E::FACT)
}
