//! The facts services tell one another: one struct an event, its subject and its dedup key. Knows
//! nothing of NATS; `claw-bus` carries these.
//!
//! A new field is optional; a new meaning is a new name. Shapes are pinned by the tests in each file.

mod call;
mod dead;
mod inbound;
mod outbound;
mod sandbox;
mod signal;
mod stream;

use claw_domain::UserId;
use serde::{Serialize, de::DeserializeOwned};

pub use call::{CallProgressed, CallStatus, CallStep, CallerInput, Speech, TurnStatus, Utterance};
pub use dead::{DeadLetter, DeadReason};
pub use inbound::{DeliveryReported, MessageReceived, ReportedError};
pub use outbound::{ReplyDelivered, ReplyFailed, ReplyProduced};
pub use sandbox::{
    SandboxFailed, SandboxQueued, SandboxReady, SandboxRemoved, SandboxRequested, TurnFailed,
};
pub use signal::{
    CallInterrupted, Signal, SpeechStreamed, TypingStarted, signal_filter, signal_subject,
};
pub use stream::{PARTITIONS, Stream, partition_of, partition_of_subject};

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

/// The stored subjects of the events of this type whose person is in `partition`.
pub fn stored_filter_in<E: Event>(partition: u16) -> String {
    format!("{}.{partition}.{}.*", E::STREAM.family(), E::FACT)
}

/// The subject an event was published under, from the one it is stored under: publishing to it again
/// puts it into the same stream and partition. `None` for what is not stored as an event of `stream`.
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
    fn a_stored_subject_tells_what_it_was_published_under() {
        let user = UserId::derived_from("ada");
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
