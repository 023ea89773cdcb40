//! The events that services publish to one another: for each event a struct, its subject and its deduplication key.
//! Knows nothing of NATS; `claw-bus` transports the events.
//!
//! A new field must be optional, and a field with a new meaning gets a new name. Tests pin the JSON of the events, but not of the signals.

mod call;
mod dead;
mod inbound;
mod operator;
mod outbound;
mod sandbox;
mod signal;
mod stream;

use claw_domain::UserId;
use serde::{Serialize, de::DeserializeOwned};

pub use call::{CallProgressed, CallStatus, CallStep, CallerInput, Speech, TurnStatus, Utterance};
pub use dead::{DeadLetter, DeadReason};
pub use inbound::{DeliveryReported, MessageReceived, ReportedError};
pub use operator::{OperatorEvent, Severity};
pub use outbound::{ReplyDelivered, ReplyFailed, ReplyProduced};
pub use sandbox::{
    SandboxAsleep, SandboxFailed, SandboxIdle, SandboxOrder, SandboxOrdered, SandboxQueued,
    SandboxReady, SandboxRemoved, SandboxRequested, TurnFailed,
};
pub use signal::{
    CallInterrupted, Signal, SpeechStreamed, SuspensionChanged, TypingStarted, signal_filter,
    signal_subject,
};
pub use stream::{PARTITIONS, Stream, partition_of, partition_of_subject};

/// Something that has happened to one user. Events are named in the past tense.
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The stream that stores the event.
    const STREAM: Stream;
    /// The name of the event type within its stream: one subject token in lower case.
    const FACT: &'static str;
    /// Increased when the meaning of a field changes, but not for a new optional field.
    const VERSION: u32 = 1;

    /// The user whom the event is about. Events of one user share a partition and are handled in order.
    fn user(&self) -> UserId;

    /// The deduplication key, made from the cause and not from the time: an event that is published twice is stored
    /// once.
    fn dedup_key(&self) -> String;
}

/// The subject under which an event is published. The stream adds the partition to it, as [`stored_filter`] shows.
pub fn subject_of<E: Event>(event: &E) -> String {
    format!("{}.{}.{}", E::STREAM.family(), E::FACT, event.user())
}

/// A filter for the subjects under which events of this type are published.
pub fn published_filter<E: Event>() -> String {
    format!("{}.{}.*", E::STREAM.family(), E::FACT)
}

/// A filter for the stored subjects of all events of this type.
pub fn stored_filter<E: Event>() -> String {
    format!("{}.*.{}.*", E::STREAM.family(), E::FACT)
}

/// A filter for the stored subjects of this type's events of the users in `partition`.
pub fn stored_filter_in<E: Event>(partition: u16) -> String {
    format!("{}.{partition}.{}.*", E::STREAM.family(), E::FACT)
}

/// The stored subject of all events of this type about `user`.
pub fn stored_filter_of<E: Event>(user: UserId) -> String {
    format!(
        "{}.{}.{}.{user}",
        E::STREAM.family(),
        partition_of(user),
        E::FACT
    )
}

/// The subject under which an event was published, computed from its stored subject. If the event is published there
/// again, it gets into the same stream and partition. `None` if `stored` is not the subject of an event of `stream`.
pub fn published_subject(stream: Stream, stored: &str) -> Option<String> {
    let mut tokens = stored.split('.');
    let family = tokens.next().filter(|family| *family == stream.family())?;
    partition_of_subject(stored)?;
    let fact = tokens.nth(1).filter(|fact| !fact.is_empty())?;
    let user: UserId = tokens.next()?.parse().ok()?;
    let is_all = tokens.next().is_none();
    is_all.then(|| format!("{family}.{fact}.{user}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_subject_is_computed_from_the_stored_subject() {
        let user: UserId = "usr_18acce9cb8d55882a19accce2dfb9f91".parse().unwrap();
        let of = |stored: String| published_subject(Stream::Inbound, &stored);

        assert_eq!(
            of(format!("in.17.message.{user}")),
            Some(format!("in.message.{user}"))
        );
        assert_eq!(of(format!("out.17.reply.{user}")), None);
        assert_eq!(of(format!("in.message.{user}")), None);
        assert_eq!(of(format!("in.17.message.{user}.more")), None);
        assert_eq!(of("in.17.message.someone".to_owned()), None);
        assert_eq!(of("whatsapp.webhook".to_owned()), None);
    }
}
