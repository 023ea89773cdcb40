use std::time::Duration;

use claw_bus::{Outgoing, PAYLOAD_LIMIT_BYTES, PublishError, Publisher};
use claw_domain::{MessageId, UserId};
use claw_events::{DeadLetter, DeadReason};
use claw_metrics::WHATSAPP_DEAD_LETTERS;
use claw_whatsapp::webhook::Lack;
use tokio::time::Instant;
use tracing::error;

use crate::{
    intake::{Fact, Intake},
    keys::without_digits_of_pins,
};

/// How long storing one webhook may take before Meta is asked to send it again. Meta would like an answer
/// within a second, but a restart of the NATS server is worth waiting for.
const STORE_TIMEOUT: Duration = Duration::from_secs(4);

/// Consumer and stream of our dead letters in `DEAD`.
const CONSUMER: &str = "ingress";
const STREAM: &str = "webhook";

/// Publishes the content of WhatsApp webhooks.
pub(crate) struct EventSink {
    publisher: Publisher,
}

impl EventSink {
    pub(crate) const fn new(publisher: Publisher) -> Self {
        Self { publisher }
    }

    pub(crate) const fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// Stores every fact of a webhook and dead-letters the rest. Fails unless all of it is on disk; repeating it
    /// is harmless.
    pub(crate) async fn store(
        &self,
        intake: &Intake,
        body_bytes: usize,
    ) -> Result<(), PublishError> {
        let deadline = Instant::now() + STORE_TIMEOUT;
        let mut messages = Vec::new();
        let mut statuses = Vec::new();
        let mut dead = Vec::new();
        for fact in &intake.facts {
            match oversized_json(fact, body_bytes) {
                Some(json) => {
                    report_too_large(user_of(fact), json.len());
                    dead.extend(dead_letters(&json, user_of(fact), &TOO_LARGE));
                }
                None => match fact {
                    Fact::Message(message) => messages.push(Outgoing::new(message.as_ref())?),
                    Fact::Status(report) => statuses.push(Outgoing::new(report.as_ref())?),
                },
            }
        }
        for (lack, raw) in &intake.unattributable {
            let json = raw.expose().to_string();
            dead.extend(dead_letters(
                &without_digits_of_pins(json.as_bytes()),
                UserId::UNKNOWN,
                &lacking(*lack),
            ));
        }
        self.store_all(&messages, deadline).await?;
        self.store_all(&statuses, deadline).await?;
        self.store_all(&dead, deadline).await
    }

    /// Dead-letters a body that Meta signed and we cannot read.
    pub(crate) async fn dead_letter(&self, body: &[u8]) -> Result<(), PublishError> {
        let body = without_digits_of_pins(body);
        let letters: Vec<_> = dead_letters(&body, UserId::UNKNOWN, &UNDECODABLE).collect();
        self.store_all(&letters, Instant::now() + STORE_TIMEOUT)
            .await
    }

    async fn store_all(&self, all: &[Outgoing], deadline: Instant) -> Result<(), PublishError> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.publisher.publish_all(all, left).await
    }
}

/// Why something becomes a dead letter.
struct Cause {
    reason: DeadReason,
    error: &'static str,
}

const UNDECODABLE: Cause = Cause {
    reason: DeadReason::Undecodable,
    error: "a signed webhook body is not a notification",
};
const TOO_LARGE: Cause = Cause {
    reason: DeadReason::Rejected,
    error: "it is too large for one event",
};

const fn lacking(lack: Lack) -> Cause {
    let error = match lack {
        Lack::Sender => "it names no sender",
        Lack::Id => "it has no usable id",
        Lack::Shape => "it does not have the expected form",
    };
    Cause {
        reason: DeadReason::Rejected,
        error,
    }
}

fn user_of(fact: &Fact) -> UserId {
    match fact {
        Fact::Message(message) => message.user,
        Fact::Status(report) => report.user,
    }
}

/// The fact's JSON if it is too large for the bus. An event is hardly larger than its webhook, so facts of small
/// webhooks are not measured.
fn oversized_json(fact: &Fact, body_bytes: usize) -> Option<Vec<u8>> {
    if body_bytes < PAYLOAD_LIMIT_BYTES / 2 {
        return None;
    }
    let json = match fact {
        Fact::Message(message) => serde_json::to_vec(message),
        Fact::Status(report) => serde_json::to_vec(report),
    };
    json.ok().filter(|json| json.len() > PAYLOAD_LIMIT_BYTES)
}

fn report_too_large(user: UserId, bytes: usize) {
    WHATSAPP_DEAD_LETTERS.increment(["size"]);
    error!(user.id = %user, event.bytes = bytes, "moved a message of {user} to DEAD: it is too large");
}

/// Letters for `DEAD`, each with a part of `whole` that is small enough for the bus. A letter's sequence is a
/// fingerprint of its part, by which repetitions are recognized; its error says how to join the parts.
fn dead_letters<'a>(
    whole: &'a [u8],
    user: UserId,
    cause: &'a Cause,
) -> impl Iterator<Item = Outgoing> + use<'a> {
    let id = fingerprint(whole);
    let count = whole.len().div_ceil(PAYLOAD_LIMIT_BYTES).max(1);
    (1..=count)
        .zip(whole.chunks(PAYLOAD_LIMIT_BYTES))
        .map(move |(number, part)| {
            let letter = DeadLetter {
                stream: STREAM.to_owned(),
                sequence: fingerprint(part).wrapping_add(number as u64),
                subject: "whatsapp.webhook".to_owned(),
                consumer: CONSUMER.to_owned(),
                attempts: 1,
                reason: cause.reason,
                error: format!("{} (part {number} of {count} of {id:016x})", cause.error),
            };
            Outgoing::dead(&letter, user, part.to_vec().into())
        })
}

/// A hash that is the same in every process: the first half of a name-based UUID (SHA-1).
fn fingerprint(bytes: &[u8]) -> u64 {
    MessageId::derived_from(&String::from_utf8_lossy(bytes))
        .as_uuid()
        .as_u64_pair()
        .0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_are_cut_to_the_limit_of_the_bus() {
        let count =
            |bytes: usize| dead_letters(&vec![b'x'; bytes], UserId::UNKNOWN, &UNDECODABLE).count();

        assert_eq!(count(1), 1);
        assert_eq!(count(PAYLOAD_LIMIT_BYTES), 1);
        assert_eq!(count(PAYLOAD_LIMIT_BYTES + 1), 2);
        assert_eq!(count(3 * 1024 * 1024), 4);
    }

    #[test]
    fn only_the_same_bytes_have_the_same_fingerprint() {
        assert_eq!(fingerprint(b"one"), fingerprint(b"one"));
        assert_ne!(fingerprint(b"one"), fingerprint(b"two"));
    }
}
