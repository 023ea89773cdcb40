//! A migrated database and the data that the tests put into it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use claw_domain::{
    Address, CallId, MessageId, PhoneNumber, ReplyId, ReplySource, SandboxId, UserId, VoiceKind,
    Wamid,
};
use claw_store::{
    Caller, Disposition, Entrance, Host, InboundMessage, Keyring, NewReply, NewSandbox, Newcomer,
    Received, Sandbox, SandboxRequest, Settled, Settlement, Store, VoiceMessage,
};
use claw_testkit::{TestPostgres, user_of};
use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult};
use secrecy::{SecretBox, SecretString};

pub const OLD_KEY: &str = "old:0101010101010101010101010101010101010101010101010101010101010101";
pub const NEW_KEY: &str = "new:0202020202020202020202020202020202020202020202020202020202020202";

/// The language model of the tests' sandboxes.
pub const MODEL: &str = "openrouter/auto";

/// More connections than any test has tasks, so that the pool serialises nothing.
const CONNECTIONS: u32 = 60;

pub struct World {
    pub server: TestPostgres,
    pub store: Store,
}

impl World {
    pub async fn new() -> Self {
        Self::with_connections(CONNECTIONS).await
    }

    pub async fn with_connections(connections: u32) -> Self {
        let server = TestPostgres::start().await.unwrap();
        claw_store::migrate(&url(&server), &[], Duration::ZERO)
            .await
            .unwrap();
        let store = Store::connect(&url(&server), connections).await.unwrap();
        Self { server, store }
    }

    pub async fn migrate(&self) {
        claw_store::migrate(&url(&self.server), &[], Duration::ZERO)
            .await
            .unwrap();
    }

    /// A user who has written once.
    pub async fn user(&self, number: u32) -> UserId {
        let message = message(number, 0);
        self.receive(&message).await;
        message.user
    }

    /// Receives a message of somebody who may come in.
    pub async fn receive(&self, message: &InboundMessage) -> Received {
        receive(&self.store, message).await
    }

    /// A user with a sandbox.
    pub async fn user_with_sandbox(&self, number: u32) -> Sandbox {
        let user = self.user(number).await;
        self.request(request(user, "first", 100)).await
    }

    pub async fn request(&self, request: SandboxRequest) -> Sandbox {
        let new = new_sandbox(request.user);
        self.store
            .sandboxes()
            .request(&request, &new, &keyring(OLD_KEY))
            .await
            .unwrap()
    }

    pub async fn sandbox_of(&self, user: UserId) -> Sandbox {
        self.store.sandboxes().of_user(user).await.unwrap().unwrap()
    }

    /// Settles one message with one reply.
    pub async fn answer(&self, asked: &InboundMessage, reply: NewReply) -> Settled {
        self.settle(&settlement(asked.user, &[asked.id], &[reply]))
            .await
    }

    pub async fn settle(&self, settlement: &Settlement) -> Settled {
        self.store.messages().settle(settlement).await.unwrap()
    }

    /// The texts published to a user, in order.
    pub async fn published_to(&self, user: UserId) -> Vec<String> {
        let sql = format!(
            "SELECT content FROM message WHERE user_id = '{}' AND role = 'assistant' \
             AND status = 'complete' ORDER BY position",
            user.as_uuid()
        );
        let rows = self.sql(&sql).await;
        rows.iter()
            .map(|row| row.try_get("", "content").unwrap())
            .collect()
    }

    /// Runs a statement directly, without the repositories.
    pub async fn sql(&self, sql: &str) -> Vec<QueryResult> {
        let database: DatabaseConnection =
            sea_orm::Database::connect(self.server.url()).await.unwrap();
        let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, sql);
        database.query_all_raw(statement).await.unwrap()
    }

    pub async fn count(&self, of: &str) -> i64 {
        let rows = self.sql(&format!("SELECT count(*) AS n FROM {of}")).await;
        rows[0].try_get("", "n").unwrap()
    }
}

/// Receives a message of somebody who may come in.
pub async fn receive(store: &Store, message: &InboundMessage) -> Received {
    let newcomer = newcomer_of(message);
    let newcomers = store.newcomers();
    let admitted = newcomers.admit(&newcomer, Entrance::Listed, message.now);
    assert!(admitted.await.unwrap());
    let receipt = store.messages().receive(message).await.unwrap();
    receipt.stored().unwrap()
}

/// The sender of a message, before it is received.
pub fn newcomer_of(message: &InboundMessage) -> Newcomer {
    Newcomer {
        user: message.user,
        address: message.address.clone(),
        wa_user_id: message.wa_user_id.clone(),
    }
}

pub fn url(server: &TestPostgres) -> SecretString {
    server.url().into()
}

pub fn address(number: u32) -> Address {
    Address::Phone(phone(number))
}

pub fn phone(number: u32) -> PhoneNumber {
    PhoneNumber::try_from(format!("1555{number:07}")).unwrap()
}

/// The `n`th message of a user.
pub fn message(number: u32, n: u32) -> InboundMessage {
    let wamid = Wamid::new(format!("wamid.{number}.{n}"));
    InboundMessage {
        id: MessageId::derived_from(wamid.as_str()),
        user: user_of(&address(number)),
        address: address(number),
        wa_user_id: None,
        name: Some("Ada".into()),
        wamid,
        content_kind: "text".into(),
        content: format!("message {n} of {number}").into(),
        sent_at: at(n.into()),
        now: at(n.into()),
        sequence: u64::from(n) + 1,
        needs_answer: true,
        is_replay: false,
    }
}

/// The `n`th utterance of a welcomed caller in the user's only call.
pub fn speech(number: u32, n: u32) -> VoiceMessage {
    let call = call(number);
    VoiceMessage {
        id: MessageId::of_utterance(call, n),
        user: user_of(&address(number)),
        caller: Caller::Welcomed {
            phone: phone(number),
            wants_template: false,
        },
        call,
        turn: n,
        kind: VoiceKind::Speech,
        content: format!("word {n} of {number}").into(),
        sent_at: at(n.into()),
        now: at(n.into()),
        sequence: u64::from(n) + 1,
        needs_answer: true,
        is_replay: false,
    }
}

/// The only call of a user.
pub fn call(number: u32) -> CallId {
    CallId::derived_from(&format!("CA{number}"))
}

/// A settlement that answers these messages with these replies.
pub fn settlement(user: UserId, answered: &[MessageId], replies: &[NewReply]) -> Settlement {
    Settlement {
        user,
        answered: answered.to_vec(),
        replies: replies.to_vec(),
        transcript: None,
        now: at(1),
    }
}

pub fn reply(name: &str) -> NewReply {
    NewReply {
        id: ReplyId::derived_from(name),
        text: name.into(),
        source: ReplySource::Chat,
        run_id: Some(format!("run of {name}")),
        cause: None,
        disposition: Disposition::Published,
    }
}

pub fn request(user: UserId, cause: &str, cap: u32) -> SandboxRequest {
    SandboxRequest {
        user,
        cause: MessageId::derived_from(cause),
        attempt: 0,
        cap,
        now: at(1),
    }
}

pub fn new_sandbox(user: UserId) -> NewSandbox {
    let id = SandboxId::derived_from(&user.to_string());
    NewSandbox {
        id,
        host: host("host-a"),
        container_name: format!("clawkaka-{id}"),
        model: MODEL.into(),
        gateway_token: "the gateway token".into(),
        device_seed: SecretBox::new(Box::new(*b"thirty-two bytes of device seed!")),
    }
}

/// A host whose engine has told no id.
pub fn host(name: &str) -> Host {
    Host {
        name: name.into(),
        engine: None,
    }
}

/// The host `host-a` with this engine.
pub fn host_with(engine: &str) -> Host {
    Host {
        engine: Some(engine.into()),
        ..host("host-a")
    }
}

pub fn keyring(keys: &str) -> Keyring {
    Keyring::parse(&keys.into()).unwrap()
}

pub fn at(second: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000 + second)
}
