//! A service whose process was taken over, on a server with the project's `nats.conf`: it connects as its own user and sends
//! what it likes.

use std::time::Duration;

use async_nats::{Client, Message, Subscriber};
use claw_domain::UserId;
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::world::{DEADLINE, World};

/// A service with a stream and a bucket key of its own, which it uses for attacks.
struct Captured {
    user: &'static str,
    /// A stream in its account of which it may create consumers, and a subject of it that it may publish.
    stream: &'static str,
    writes: &'static str,
    /// A stored value that it may read by this subject.
    key: &'static str,
    reads: &'static str,
}

const CAPTURED: [Captured; 4] = [
    Captured {
        user: "ingress",
        stream: "KV_CALLS",
        writes: "$KV.CALLS.x",
        key: "$KV.CALLS.x",
        reads: "$JS.API.DIRECT.GET.KV_CALLS.$KV.CALLS.x",
    },
    Captured {
        user: "gateway",
        stream: "INBOUND",
        writes: "in.call.usr_own",
        key: "$KV.OWN.gateway.x",
        reads: "$JS.API.DIRECT.GET.KV_OWN.$KV.OWN.gateway.x",
    },
    Captured {
        user: "provisioner",
        stream: "SANDBOX",
        writes: "sandbox.ready.usr_own",
        key: "$KV.OWN.provisioner.x",
        reads: "$JS.API.DIRECT.GET.KV_OWN.$KV.OWN.provisioner.x",
    },
    Captured {
        user: "outbound",
        stream: "KV_OWN",
        writes: "$KV.OWN.outbound.x",
        key: "$KV.OWN.outbound.x",
        reads: "$JS.API.DIRECT.GET.KV_OWN.$KV.OWN.outbound.x",
    },
];

/// Who may publish what. Admin may publish everything.
const MAY_PUBLISH: [(&str, &[&str]); 23] = [
    ("in.message.USER", &["ingress"]),
    ("in.call.USER", &["ingress", "gateway"]),
    ("status.reported.USER", &["ingress"]),
    ("out.reply.USER", &["gateway"]),
    ("sandbox.requested.USER", &["gateway", "provisioner"]),
    ("sandbox.turn-failed.USER", &["gateway", "provisioner"]),
    ("sandbox.ready.USER", &["provisioner"]),
    ("receipt.delivered.USER", &["outbound"]),
    ("dead.ingress.USER", &["ingress"]),
    ("dead.gateway-messages.USER", &["gateway"]),
    ("dead.gateway-calls.USER", &["gateway"]),
    ("dead.gateway-turns.USER", &["gateway"]),
    ("dead.provisioner-requests.USER", &["provisioner"]),
    ("dead.provisioner-sleep.USER", &["provisioner"]),
    ("dead.provisioner-orders.USER", &["provisioner"]),
    ("dead.outbound-replies.USER", &["outbound"]),
    ("dead.outbound-reports.USER", &["outbound"]),
    ("operator.ingress.kind", &["ingress"]),
    ("operator.gateway.kind", &["gateway"]),
    ("operator.provisioner.kind", &["provisioner"]),
    ("operator.outbound.kind", &["outbound"]),
    ("signal.speech.call_1", &["gateway"]),
    ("signal.interrupt.USER", &["ingress"]),
];

/// Each stream with the account that holds it.
const STREAMS: [(&str, &str); 14] = [
    ("gateway", "INBOUND"),
    ("outbound", "STATUS"),
    ("outbound", "OUTBOUND"),
    ("provisioner", "SANDBOX"),
    ("admin", "RECEIPTS"),
    ("admin", "DEAD"),
    ("admin", "OPERATOR"),
    ("ingress", "KV_CALLS"),
    ("gateway", "KV_OWN"),
    ("gateway", "KV_FLOORS"),
    ("provisioner", "KV_OWN"),
    ("provisioner", "KV_FLOORS"),
    ("outbound", "KV_OWN"),
    ("outbound", "KV_FLOORS"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_service_can_publish_its_own_events_and_dead_letters() {
    let world = World::new().await;
    for (subject, publishers) in MAY_PUBLISH {
        for publisher in publishers {
            if subject.starts_with("signal.") {
                continue;
            }
            let client = world.client(publisher).await;
            let subject = subject.replace("USER", "usr_own");
            let stored = client.request(subject.clone(), "{}".into()).await;
            let stored: Value = serde_json::from_slice(&stored.unwrap().payload).unwrap();
            assert!(stored["seq"].is_u64(), "{publisher}: {subject}: {stored}");
        }
    }
}

/// Subscriptions that would hear events, answers and requests of others.
const WIRETAPS: [&str; 8] = [
    ">",
    "*.*.*",
    "in.>",
    "out.>",
    "_INBOX_admin.>",
    "_R_.>",
    "$JS.>",
    "$KV.>",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_service_changes_nothing_outside_its_account_except_by_its_own_events() {
    let world = World::new().await;
    let victim = Victim::new(&world).await;
    for captured in &CAPTURED {
        let attacker = Attacker::connect(&world, captured).await;
        let before = world.state_outside(captured.user).await;
        let signals = victim.listen().await;

        for target in victim.targets(captured.user) {
            attacker.publish(&target).await;
            attacker.choose_as_reply(&target).await;
            attacker.deliver_to(&target).await;
        }
        attacker.until_all_is_done().await;

        let after = world.state_outside(captured.user).await;
        assert_eq!(after, before, "{} changed something", captured.user);
        for (user, mut signals) in signals {
            let heard = timeout(Duration::ZERO, signals.next()).await;
            let is_own = user == captured.user;
            assert!(is_own || heard.is_err(), "{}: {heard:?}", captured.user);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_service_reads_and_lists_nothing_of_other_accounts() {
    let world = World::new().await;
    let _victim = Victim::new(&world).await;
    for captured in &CAPTURED {
        let attacker = Attacker::connect(&world, captured).await;
        let inbox = format!("_INBOX_{}.loot", captured.user);
        let mut loot = attacker.client.subscribe(inbox.clone()).await.unwrap();
        let mut wiretaps = Vec::new();
        for subject in WIRETAPS {
            wiretaps.push(attacker.client.subscribe(subject).await.unwrap());
        }

        for (account, stream) in STREAMS {
            for prefix in ["$JS.API".to_owned(), format!("js.{account}")] {
                let is_own =
                    account == captured.user || prefix == "$JS.API" && stream.starts_with("KV_");
                for (request, body) in reads_of(&prefix, stream) {
                    let is_shared = request.starts_with("js.ingress.STREAM.INFO.KV_CALLS")
                        && matches!(captured.user, "gateway" | "outbound");
                    if !is_own && !is_shared {
                        attacker.send(&request, &inbox, &body).await;
                    }
                }
            }
        }
        world.publish(1, 0).await;
        attacker.until_all_is_done().await;

        for wiretap in &mut wiretaps {
            let heard = timeout(Duration::ZERO, wiretap.next()).await;
            assert!(heard.is_err(), "{}: {heard:?}", captured.user);
        }
        while let Ok(Some(answer)) = timeout(Duration::ZERO, loot.next()).await {
            assert!(is_refusal(&answer), "{}: {answer:?}", captured.user);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_service_may_purge_change_or_delete_even_its_own_streams() {
    let world = World::new().await;
    let _victim = Victim::new(&world).await;
    for captured in &CAPTURED {
        let attacker = Attacker::connect(&world, captured).await;
        let before = world.state_of(captured.user).await;

        for (account, stream) in STREAMS {
            if account == captured.user {
                for request in changes_of("$JS.API", stream) {
                    attacker.send(&request, "", "").await;
                }
            }
        }
        // The server handles the requests that it accepts in their order.
        let inbox = attacker.client.new_inbox();
        attacker.create_consumer(&inbox, false).await;

        let after = world.state_of(captured.user).await;
        let without_consumers = |state: Vec<Value>| -> Vec<Value> {
            let streams = state.into_iter();
            streams
                .map(|of| json!([of["stream"], of["held"]]))
                .collect()
        };
        assert_eq!(without_consumers(after), without_consumers(before));
    }
}

/// What the attacks aim at: a user's streams and buckets, and a delivery of a consumer of the gateway.
struct Victim {
    user: UserId,
    delivery: String,
    listeners: Vec<(&'static str, Client)>,
}

impl Victim {
    /// Stores an event in every stream, and an undecided delivery.
    async fn new(world: &World) -> Self {
        let admin = world.admin().await;
        let user = claw_testkit::user("victim");
        for (subject, _) in MAY_PUBLISH {
            if !subject.starts_with("signal.") {
                let subject = subject.replace("USER", &user.to_string());
                admin.request(subject, "{}".into()).await.unwrap();
            }
        }
        for service in ["gateway", "provisioner", "outbound"] {
            let client = world.client(service).await;
            let key = format!("$KV.OWN.{service}.u.0");
            client.request(key, "holder".into()).await.unwrap();
        }
        let gateway = world.client("gateway").await;
        let create = "$JS.API.CONSUMER.CREATE.INBOUND.gateway-messages-p0-e1";
        let config = json!({"stream_name": "INBOUND", "config": {
            "name": "gateway-messages-p0-e1", "durable_name": "gateway-messages-p0-e1", "ack_policy": "explicit",
            "ack_wait": 600_000_000_000_u64, "deliver_policy": "all", "mem_storage": true}});
        (gateway.request(create, config.to_string().into()).await).unwrap();
        let next = "$JS.API.CONSUMER.MSG.NEXT.INBOUND.gateway-messages-p0-e1";
        // A delivery keeps the subject of its event, so it is no answer to `Client::request`.
        let inbox = gateway.new_inbox();
        let mut deliveries = gateway.subscribe(inbox.clone()).await.unwrap();
        (gateway.publish_with_reply(next, inbox, "1".into()).await).unwrap();
        let delivered = deliveries.next().await.unwrap();
        Self {
            user,
            delivery: delivered.reply.unwrap().to_string(),
            listeners: vec![
                ("gateway", world.client("gateway").await),
                ("ingress", world.client("ingress").await),
            ],
        }
    }

    /// The signals that reach gateway and ingress from now on.
    async fn listen(&self) -> Vec<(&'static str, Subscriber)> {
        let mut signals = Vec::new();
        for (user, client) in &self.listeners {
            let subject = match *user {
                "gateway" => "signal.interrupt.*",
                _ => "signal.speech.*",
            };
            signals.push((*user, client.subscribe(subject).await.unwrap()));
            // After a round trip the server knows the subscription.
            client.request("$JS.API.INFO", "".into()).await.unwrap();
        }
        signals
    }

    /// Every subject that `attacker` must not reach.
    fn targets(&self, attacker: &str) -> Vec<String> {
        let events = MAY_PUBLISH
            .iter()
            .filter(|(_, publishers)| !publishers.contains(&attacker))
            .map(|(subject, _)| subject.replace("USER", &self.user.to_string()));
        let foreign = || STREAMS.iter().filter(|(account, _)| *account != attacker);
        let changes = foreign().flat_map(|(account, stream)| {
            let mut changes = changes_of(&format!("js.{account}"), stream);
            // In the attacker's own account these would name its own streams.
            if !stream.starts_with("KV_") {
                changes.extend(changes_of("$JS.API", stream));
            }
            changes
        });
        let leases = ["gateway", "provisioner", "outbound"]
            .into_iter()
            .filter(|service| *service != attacker)
            .flat_map(|service| {
                let key = format!("$KV.OWN.{service}.u.0");
                [format!("js.{service}.{key}"), key]
            });
        let acknowledged = (attacker != "gateway").then(|| self.delivery.clone());
        events
            .chain(changes)
            .chain(leases)
            .chain(acknowledged)
            .collect()
    }
}

/// Requests that change or end a stream or a consumer of it.
fn changes_of(prefix: &str, stream: &str) -> Vec<String> {
    let consumer = format!("{stream}.gateway-messages-p0-e1");
    [
        format!("STREAM.DELETE.{stream}"),
        format!("STREAM.PURGE.{stream}"),
        format!("STREAM.UPDATE.{stream}"),
        format!("STREAM.MSG.DELETE.{stream}"),
        format!("CONSUMER.DELETE.{consumer}"),
        format!("CONSUMER.CREATE.{stream}.stolen"),
        format!("CONSUMER.PAUSE.{consumer}"),
        format!("CONSUMER.MSG.NEXT.{consumer}"),
    ]
    .map(|request| format!("{prefix}.{request}"))
    .into()
}

/// Requests whose answers show events, users or consumers of a stream.
fn reads_of(prefix: &str, stream: &str) -> Vec<(String, String)> {
    let config = json!({"stream_name": stream, "config": {"name": "stolen", "ack_policy": "none"}});
    [
        (
            format!("STREAM.INFO.{stream}"),
            r#"{"subjects_filter":">"}"#.to_owned(),
        ),
        (
            format!("STREAM.MSG.GET.{stream}"),
            r#"{"seq":1}"#.to_owned(),
        ),
        (format!("DIRECT.GET.{stream}"), r#"{"seq":1}"#.to_owned()),
        (format!("CONSUMER.NAMES.{stream}"), String::new()),
        (format!("CONSUMER.LIST.{stream}"), String::new()),
        (
            format!("CONSUMER.CREATE.{stream}.stolen"),
            config.to_string(),
        ),
        (format!("CONSUMER.MSG.NEXT.{stream}.stolen"), "1".to_owned()),
        (
            format!("CONSUMER.INFO.{stream}.gateway-messages-p0-e1"),
            String::new(),
        ),
        (
            format!("CONSUMER.MSG.NEXT.{stream}.gateway-messages-p0-e1"),
            "1".to_owned(),
        ),
    ]
    .map(|(request, body)| (format!("{prefix}.{request}"), body))
    .into()
}

/// Whether an answer says that nobody or nothing is there.
fn is_refusal(answer: &Message) -> bool {
    let has_error =
        serde_json::from_slice::<Value>(&answer.payload).is_ok_and(|body| !body["error"].is_null());
    has_error || answer.status == Some(async_nats::StatusCode::NO_RESPONDERS)
}

struct Attacker {
    captured: &'static Captured,
    client: Client,
}

impl Attacker {
    async fn connect(world: &World, captured: &'static Captured) -> Self {
        let client = world.client(captured.user).await;
        // What the server will answer to reads: an acknowledgement that is an attack of its own.
        client.request(captured.key, "+TERM".into()).await.unwrap();
        Self { captured, client }
    }

    async fn send(&self, subject: &str, reply: &str, body: &str) {
        let (subject, body) = (subject.to_owned(), body.to_owned().into());
        match reply {
            "" => self.client.publish(subject, body).await.unwrap(),
            reply => (self.client)
                .publish_with_reply(subject, reply.to_owned(), body)
                .await
                .unwrap(),
        }
    }

    /// Publishes to the target itself.
    async fn publish(&self, target: &str) {
        for body in ["", "{}", "+TERM"] {
            self.send(target, "", body).await;
        }
    }

    /// Lets the server answer requests at the target.
    async fn choose_as_reply(&self, target: &str) {
        let captured = self.captured;
        self.send(captured.reads, target, "").await;
        self.send(captured.writes, target, "{}").await;
        self.send("$JS.API.INFO", target, "").await;
    }

    /// Lets a consumer deliver to the target, with and without payloads; compare nats-server#8274.
    async fn deliver_to(&self, target: &str) {
        for headers_only in [false, true] {
            let _refused_or_not = self.create_consumer(target, headers_only).await;
        }
    }

    async fn create_consumer(&self, target: &str, headers_only: bool) -> Value {
        let stream = self.captured.stream;
        let name = self.client.new_inbox().replace('.', "-");
        let config = json!({"stream_name": stream, "config": {
            "name": name, "deliver_subject": target, "deliver_policy": "all", "ack_policy": "none",
            "headers_only": headers_only, "mem_storage": true, "inactive_threshold": 5_000_000_000_u64}});
        let create = format!("$JS.API.CONSUMER.CREATE.{stream}.{name}");
        let created = (self.client.request(create, config.to_string().into()).await).unwrap();
        serde_json::from_slice(&created.payload).unwrap()
    }

    /// Waits until the server has done what was asked before: the same ways lead to an inbox of the attacker.
    async fn until_all_is_done(&self) {
        let inbox = self.client.new_inbox();
        let mut arrived = self.client.subscribe(inbox.clone()).await.unwrap();
        self.choose_as_reply(&inbox).await;
        for _ in 0..3 {
            timeout(DEADLINE, arrived.next()).await.unwrap().unwrap();
        }
        self.send(self.captured.writes, "", "{}").await;
        let created = self.create_consumer(&inbox, false).await;
        assert!(created["error"].is_null(), "{created}");
        timeout(DEADLINE, arrived.next()).await.unwrap().unwrap();
    }
}

impl World {
    /// Streams with their settings, contents and consumers, in every account but that of `attacker`.
    async fn state_outside(&self, attacker: &str) -> Vec<Value> {
        let mut state = Vec::new();
        for account in ["admin", "ingress", "gateway", "provisioner", "outbound"] {
            if account != attacker {
                state.extend(self.state_of(account).await);
            }
        }
        state
    }

    async fn state_of(&self, account: &str) -> Vec<Value> {
        let jetstream = self.nats.jetstream_of(account).await.unwrap();
        let mut state = Vec::new();
        let streams: Vec<_> = jetstream.streams().try_collect().await.unwrap();
        for info in streams {
            let stream = jetstream.get_stream(&info.config.name).await.unwrap();
            let consumers: Vec<_> = stream.consumers().try_collect().await.unwrap();
            let consumers: Vec<_> = consumers
                .iter()
                .map(|of| json!([of.name, of.num_ack_pending, of.delivered.stream_sequence]))
                .collect();
            let held = [
                info.state.messages,
                info.state.first_sequence,
                info.state.last_sequence,
            ];
            let account = format!("{account}'s account");
            state.push(
                json!({"in": account, "stream": info.config, "held": held, "consumers": consumers}),
            );
        }
        state
    }
}
