use claw_domain::{FailureReason, MessageId, SandboxId, UserId};
use serde::{Deserialize, Serialize};

use crate::{Event, Stream};

/// A person wrote and has no assistant that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxRequested {
    /// Who needs one.
    pub user: UserId,
    /// The message that waits for it.
    pub cause: MessageId,
    /// 0 at first; one more each time the wait went on after a failure.
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

/// A person's assistant answers. Where and with which secrets stands in its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxReady {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub sandbox: SandboxId,
    /// Which start of this sandbox, counted from 1.
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

/// Every place is taken; the person waits for room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxQueued {
    /// Who waits.
    pub user: UserId,
    /// The message that waits with them.
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

/// An assistant could not be made; nothing of it is left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxFailed {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub sandbox: SandboxId,
    /// Why.
    pub reason: FailureReason,
    /// Which start of this sandbox failed, counted from 1.
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

/// An assistant was taken down on purpose; its place is free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxRemoved {
    /// Whose it was.
    pub user: UserId,
    /// Which.
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

/// An assistant's model could not answer: for the operator, who may have a key to refill or a provider to
/// look at. The person has been told in a line of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnFailed {
    /// Whose assistant.
    pub user: UserId,
    /// Which.
    pub sandbox: SandboxId,
    /// The first message of the turn.
    pub cause: MessageId,
    /// Why, from a closed set: `auth`, `billing`, `model_not_found`, `rate_limit`, `server_error`,
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
    fn the_facts_of_a_sandbox_keep_their_shapes() {
        let user = UserId::derived_from("+15551234567");
        let sandbox = SandboxId::derived_from("s");
        let cause = MessageId::derived_from("wamid.A");

        insta::assert_json_snapshot!((
            SandboxRequested { user, cause, attempt: 0 },
            SandboxReady { user, sandbox, start: 1 },
            SandboxQueued { user, cause },
            SandboxFailed { user, sandbox, reason: FailureReason::StartTimeout, start: 1 },
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
