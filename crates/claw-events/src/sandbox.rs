use chrono::{DateTime, Utc};
use claw_domain::{FailureReason, MessageId, SandboxId, UserId, WakeReason};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use uuid::Uuid;

use crate::{Event, Stream};

/// A message waits for a user's assistant, which is not ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxRequested {
    /// The user who needs a sandbox.
    pub user: UserId,
    /// The message that waits for the sandbox.
    pub cause: MessageId,
    /// The number of earlier requests for the same message, which failed.
    pub attempt: u32,
}

impl Event for SandboxRequested {
    const STREAM: Stream = Stream::Sandbox;
    const FACT: &'static str = "requested";

    fn user(&self) -> UserId {
        self.user
    }

    fn dedup_key(&self) -> String {
        format!("sandbox-requested:{}:{}", self.cause, self.attempt)
    }
}

/// A user's assistant is ready. Its address and secrets are in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxReady {
    /// The user of the sandbox.
    pub user: UserId,
    /// The sandbox that is ready.
    pub sandbox: SandboxId,
    /// The number of the start that succeeded, from 1.
    pub start: u32,
}

impl Event for SandboxReady {
    const STREAM: Stream = Stream::Sandbox;
    const FACT: &'static str = "ready";

    fn user(&self) -> UserId {
        self.user
    }

    fn dedup_key(&self) -> String {
        format!("sandbox-ready:{}:{}", self.sandbox, self.start)
    }
}

/// A request has to wait, because all places for sandboxes are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxQueued {
    /// The user who waits for a place.
    pub user: UserId,
    /// The message that waits for the sandbox.
    pub cause: MessageId,
}

impl Event for SandboxQueued {
    const STREAM: Stream = Stream::Sandbox;
    const FACT: &'static str = "queued";

    fn user(&self) -> UserId {
        self.user
    }

    fn dedup_key(&self) -> String {
        format!("sandbox-queued:{}", self.cause)
    }
}

/// A sandbox was given up for now. No container and no model key are left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxFailed {
    /// The user of the sandbox.
    pub user: UserId,
    /// The sandbox that was given up.
    pub sandbox: SandboxId,
    /// Why it was given up.
    pub reason: FailureReason,
    /// The number of the start that was given up, from 1.
    pub start: u32,
}

impl Event for SandboxFailed {
    const STREAM: Stream = Stream::Sandbox;
    const FACT: &'static str = "failed";

    fn user(&self) -> UserId {
        self.user
    }

    fn dedup_key(&self) -> String {
        format!("sandbox-failed:{}:{}", self.sandbox, self.start)
    }
}

/// Nobody needs an assistant for now: nobody waits for it, no run is active and its transcript has been read. Its
/// sandbox may sleep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxIdle {
    /// The user of the sandbox.
    pub user: UserId,
    /// The sandbox that may sleep.
    pub sandbox: SandboxId,
    /// The start that the sandbox is in, from 1.
    pub start: u32,
    /// When it was seen to be idle.
    pub since: DateTime<Utc>,
    /// When it must be ready again without a request; `None` if nothing is planned.
    pub needed_at: Option<DateTime<Utc>>,
    /// What it is needed for then.
    pub needed_for: Option<WakeReason>,
}

impl Event for SandboxIdle {
    const STREAM: Stream = Stream::Sandbox;
    const FACT: &'static str = "idle";

    fn user(&self) -> UserId {
        self.user
    }

    fn dedup_key(&self) -> String {
        let since = self.since.timestamp_millis();
        format!("sandbox-idle:{}:{}:{since}", self.sandbox, self.start)
    }
}

/// A sandbox sleeps. Its row says when it wakes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxAsleep {
    /// The user of the sandbox.
    pub user: UserId,
    /// The sandbox that sleeps.
    pub sandbox: SandboxId,
    /// The start that has ended, from 1.
    pub start: u32,
}

impl Event for SandboxAsleep {
    const STREAM: Stream = Stream::Sandbox;
    const FACT: &'static str = "asleep";

    fn user(&self) -> UserId {
        self.user
    }

    fn dedup_key(&self) -> String {
        format!("sandbox-asleep:{}:{}", self.sandbox, self.start)
    }
}

/// An operator ordered something for a user's sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxOrdered {
    /// The user of the sandbox.
    pub user: UserId,
    /// What is to happen.
    pub order: SandboxOrder,
    /// The start that the sandbox was in when the order was given, from 1. An order that is delivered again, or replayed,
    /// starts nothing that has started since, and removes nothing that began after a removal.
    pub start: u32,
    /// The id of the order: a repeated order has the same.
    pub id: Uuid,
}

/// What an operator orders. The provisioner orders `Sleep`, too, when places are short.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SandboxOrder {
    /// Start it anew, with its volume. Also if it has failed.
    Restart,
    /// Let it sleep as soon as nobody needs it, without the usual delay.
    Sleep,
    /// Start it if it sleeps or has failed.
    Wake,
    /// Remove its container, its model key and its volume, and with that the assistant's memory.
    Remove,
}

impl SandboxOrder {
    /// The name on the command line, which is the same as on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Event for SandboxOrdered {
    const STREAM: Stream = Stream::Sandbox;
    const FACT: &'static str = "ordered";

    fn user(&self) -> UserId {
        self.user
    }

    fn dedup_key(&self) -> String {
        format!("sandbox-ordered:{}", self.id)
    }
}

/// A sandbox was removed on purpose. Its place is free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxRemoved {
    /// The user of the sandbox.
    pub user: UserId,
    /// The sandbox that was removed.
    pub sandbox: SandboxId,
}

impl Event for SandboxRemoved {
    const STREAM: Stream = Stream::Sandbox;
    const FACT: &'static str = "removed";

    fn user(&self) -> UserId {
        self.user
    }

    fn dedup_key(&self) -> String {
        format!("sandbox-removed:{}", self.sandbox)
    }
}

/// An assistant's model could not answer. The event is for the operator, who may have to refill a key or check the
/// provider; the user has been told by a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnFailed {
    /// The user of the assistant.
    pub user: UserId,
    /// The assistant's sandbox.
    pub sandbox: SandboxId,
    /// The first message of the turn.
    pub cause: MessageId,
    /// The kind of failure, from a closed set: `auth`, `billing`, `model_not_found`, `rate_limit`, `server_error`,
    /// `timeout`, `other`.
    pub failure: String,
}

impl Event for TurnFailed {
    const STREAM: Stream = Stream::Sandbox;
    const FACT: &'static str = "turn-failed";

    fn user(&self) -> UserId {
        self.user
    }

    fn dedup_key(&self) -> String {
        format!("turn-failed:{}", self.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_of_a_sandbox_keep_their_shapes() {
        let user = "usr_18acce9cb8d55882a19accce2dfb9f91".parse().unwrap();
        let sandbox = SandboxId::derived_from("s");
        let cause = MessageId::derived_from("wamid.A");

        insta::assert_json_snapshot!((
            SandboxRequested { user, cause, attempt: 0 },
            SandboxReady { user, sandbox, start: 1 },
            SandboxQueued { user, cause },
            SandboxFailed { user, sandbox, reason: FailureReason::StartTimeout, start: 1 },
            SandboxIdle {
                user,
                sandbox,
                start: 1,
                since: DateTime::UNIX_EPOCH,
                needed_at: Some(DateTime::UNIX_EPOCH),
                needed_for: Some(WakeReason::Job),
            },
            SandboxAsleep { user, sandbox, start: 1 },
            SandboxOrdered { user, order: SandboxOrder::Restart, start: 1, id: Uuid::nil() },
            SandboxRemoved { user, sandbox },
            TurnFailed { user, sandbox, cause, failure: "billing".into() },
        ), @r#"
        [
          {
            "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
            "cause": "msg_b770c499ef95559caa8b6be4ed65f7c8",
            "attempt": 0
          },
          {
            "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
            "sandbox": "sbx_51bf688409f758aba6e8b5050477c16d",
            "start": 1
          },
          {
            "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
            "cause": "msg_b770c499ef95559caa8b6be4ed65f7c8"
          },
          {
            "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
            "sandbox": "sbx_51bf688409f758aba6e8b5050477c16d",
            "reason": "start_timeout",
            "start": 1
          },
          {
            "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
            "sandbox": "sbx_51bf688409f758aba6e8b5050477c16d",
            "start": 1,
            "since": "1970-01-01T00:00:00Z",
            "needed_at": "1970-01-01T00:00:00Z",
            "needed_for": "job"
          },
          {
            "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
            "sandbox": "sbx_51bf688409f758aba6e8b5050477c16d",
            "start": 1
          },
          {
            "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
            "order": "restart",
            "start": 1,
            "id": "00000000-0000-0000-0000-000000000000"
          },
          {
            "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
            "sandbox": "sbx_51bf688409f758aba6e8b5050477c16d"
          },
          {
            "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
            "sandbox": "sbx_51bf688409f758aba6e8b5050477c16d",
            "cause": "msg_b770c499ef95559caa8b6be4ed65f7c8",
            "failure": "billing"
          }
        ]
        "#);
    }
}
