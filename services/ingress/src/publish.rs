use std::time::Duration;

use claw_bus::{Outgoing, PublishError, Publisher};
use claw_domain::{MessageId, UserId};
use claw_events::{DeadLetter, DeadReason};
use claw_whatsapp::webhook::Lack;
use serde_json::Value;
use tokio::time::Instant;
use tracing::error;

use crate::intake::{Fact, Intake};

/// How long everything in one webhook may take to be stored. Meta wishes for an answer within a second;
/// this is how long it is worth waiting for a server that restarts before Meta is asked to try again.
const PATIENCE: Duration = Duration::from_secs(4);

/// Largest payload put on the bus: its limit is 1 MiB, headers included.
const PAYLOAD_LIMIT_BYTES: usize = 1_000 * 1_024;

/// Who sets things aside, and where they came from, as `DEAD` has it.
const CONSUMER: &str = "ingress";
const ORIGIN: &str = "webhook";

/// Puts what came in on the bus: all of it, or it says that not.
pub(crate) struct Door {
    publisher: Publisher,
}

impl Door {
    pub(crate) const fn new(publisher: Publisher) -> Self {
        Self { publisher }
    }

    /// Stores every fact of a webhook, and sets aside what has no sender. Repeating it is harmless.
    pub(crate) async fn store(
        &self,
        intake: &Intake,
        body_bytes: usize,
    ) -> Result<(), PublishError> {
        let deadline = Instant::now() + PATIENCE;
        let mut inbound = Vec::with_capacity(intake.facts.len());
        let mut aside = Vec::new();
        for fact in &intake.facts {
            match too_large(fact, body_bytes) {
                Some(json) => {
                    tell_too_large(user_of(fact), json.len());
                    aside.extend(parts(&json, user_of(fact), &TOO_LARGE));
                }
                None => inbound.push(outgoing(fact)?),
            }
        }
        for (lack, raw) in &intake.unattributable {
            aside.extend(parts(&json_of(raw.expose()), nobody(), &without(*lack)));
        }
        self.store_all(&inbound, deadline).await?;
        self.store_all(&aside, deadline).await
    }

    /// Sets a body aside that is Meta's and cannot be read.
    pub(crate) async fn set_aside(&self, body: &[u8]) -> Result<(), PublishError> {
        let undecodable = parts(body, nobody(), &UNDECODABLE).collect::<Vec<_>>();
        self.store_all(&undecodable, Instant::now() + PATIENCE)
            .await
    }

    async fn store_all(&self, all: &[Outgoing], deadline: Instant) -> Result<(), PublishError> {
        let patience = deadline.saturating_duration_since(Instant::now());
        self.publisher.publish_all(all, patience).await
    }
}

/// Why something is set aside.
struct Aside {
    reason: DeadReason,
    error: &'static str,
}

const UNDECODABLE: Aside = Aside {
    reason: DeadReason::Undecodable,
    error: "a signed webhook body is no notification",
};
const TOO_LARGE: Aside = Aside {
    reason: DeadReason::Rejected,
    error: "too large for one event",
};

const fn without(lack: Lack) -> Aside {
    let error = match lack {
        Lack::Sender => "nobody is named as its sender",
        Lack::Id => "it has no usable id",
        Lack::Shape => "it is not of the expected shape",
    };
    Aside {
        reason: DeadReason::Rejected,
        error,
    }
}

fn outgoing(fact: &Fact) -> Result<Outgoing, PublishError> {
    match fact {
        Fact::Message(message) => Outgoing::new(message.as_ref()),
        Fact::Status(report) => Outgoing::new(report.as_ref()),
    }
}

fn user_of(fact: &Fact) -> UserId {
    match fact {
        Fact::Message(message) => message.user,
        Fact::Status(report) => report.user,
    }
}

/// The fact's JSON when the bus would refuse it. An event is hardly larger than the webhook it came in,
/// so only large webhooks are looked at.
fn too_large(fact: &Fact, body_bytes: usize) -> Option<Vec<u8>> {
    if body_bytes < PAYLOAD_LIMIT_BYTES / 2 {
        return None;
    }
    let json = match fact {
        Fact::Message(message) => serde_json::to_vec(message),
        Fact::Status(report) => serde_json::to_vec(report),
    };
    json.ok().filter(|json| json.len() > PAYLOAD_LIMIT_BYTES)
}

fn tell_too_large(user: UserId, bytes: usize) {
    metrics::counter!("ingress_set_aside_total", "lack" => "size").increment(1);
    error!(user.id = %user, event.bytes = bytes, "a message of {user} is kept in DEAD: it is too large");
}

fn json_of(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// Whose it is when nobody can tell.
fn nobody() -> UserId {
    UserId::derived_from("whatsapp-webhook")
}

/// What goes to `DEAD`, cut to the bus's limit. The sequence is a fingerprint of the part, so that a
/// repetition is known; the error says how to put the parts together.
fn parts<'a>(
    whole: &'a [u8],
    user: UserId,
    aside: &'a Aside,
) -> impl Iterator<Item = Outgoing> + use<'a> {
    let id = fingerprint(whole);
    let count = whole.len().div_ceil(PAYLOAD_LIMIT_BYTES).max(1);
    (1..=count)
        .zip(whole.chunks(PAYLOAD_LIMIT_BYTES))
        .map(move |(number, part)| {
            let letter = DeadLetter {
                stream: ORIGIN.to_owned(),
                sequence: fingerprint(part).wrapping_add(number as u64),
                subject: "whatsapp.webhook".to_owned(),
                consumer: CONSUMER.to_owned(),
                attempts: 1,
                reason: aside.reason,
                error: format!("{} (part {number} of {count} of {id:016x})", aside.error),
            };
            Outgoing::dead(&letter, user, part.to_vec().into())
        })
}

/// Tells bytes apart, the same in every process: the first half of a name-based UUID (SHA-1).
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
    fn what_is_set_aside_is_cut_to_the_limit_of_the_bus() {
        let count = |bytes: usize| parts(&vec![b'x'; bytes], nobody(), &UNDECODABLE).count();

        assert_eq!(count(1), 1);
        assert_eq!(count(PAYLOAD_LIMIT_BYTES), 1);
        assert_eq!(count(PAYLOAD_LIMIT_BYTES + 1), 2);
        assert_eq!(count(3 * 1024 * 1024), 4);
    }

    #[test]
    fn the_same_bytes_have_the_same_fingerprint() {
        assert_eq!(fingerprint(b"one"), fingerprint(b"one"));
        assert_ne!(fingerprint(b"one"), fingerprint(b"two"));
    }
}
