//! Secrets, PINs and numbers are nowhere but where they belong.

use std::sync::Arc;

use axum::{Router, body::Bytes};
use base64::{Engine, prelude::BASE64_STANDARD};
use claw_testkit::eventually;
use claw_whatsapp::signature;
use e2e::harness::{Options, Service, VoiceMode, World};
use parking_lot::Mutex;
use sim_meta::SimMetaConfig;
use sim_twilio::CallerIdentity;
use tokio::net::TcpListener;

use crate::{
    calls::{ADA, PHRASES, all_answered, chat_has, hang_up, hears, say, write},
    crowd::Crowd,
};

/// Two users, whose words may be only in payloads and tables.
const CROWD: Crowd = Crowd {
    users: 2,
    messages_each: 2,
    per_second: 10,
    copies: 1,
};

/// The PIN of Ada as she writes, keys and says it, a wrong one, and one that is too long.
const PINS: [&str; 5] = [
    "86041725",
    "8604 1725",
    "8 6 0 4 1 7 2 5",
    "27591348",
    "860417259",
];

#[tokio::test(flavor = "multi_thread")]
async fn secrets_pins_and_numbers_are_nowhere_but_where_they_belong() {
    let traces = Traces::collect().await;
    let options = Crowd::options();
    let mut variables = options.variables;
    variables.push(("OTEL_EXPORTER_OTLP_ENDPOINT", traces.endpoint.clone()));
    let mut world = World::start(Options {
        voice: VoiceMode::Relay,
        variables,
        ..options
    })
    .await
    .unwrap();
    CROWD.write(&world.meta).await;
    CROWD.verify(&world).await;
    set_pins(&world).await;
    call_with_pins(&world).await;
    post_unreadable(&world).await;

    let metrics = metrics(&world).await;
    let tables = world.postgres.dump().await.unwrap();
    let events = world.nats.dump().await.unwrap();
    for service in Service::ALL {
        // A stopping service exports its last traces.
        assert!(world.stop(service).await.unwrap());
    }
    let logs = Service::ALL.map(|service| world.log_of(service)).concat() + &world.log_of_caddy();
    let traces = traces.text();
    let openclaw = world.openclaw.as_ref().unwrap();
    let transcript = openclaw.transcript(&world.assistant_of(ADA).unwrap());
    let transcript = format!("{transcript:?}");

    let places = [
        ("log", logs.as_str()),
        ("table", &tables),
        ("event", &events),
        ("metric", &metrics),
        ("trace", &traces),
        ("transcript", &transcript),
    ];
    let is_process = world.project().is_none();
    for (place, text) in places {
        // Containers do not reach the collector.
        assert!(
            text.len() > 500 || (place == "trace" && !is_process),
            "there is no {place} to search"
        );
        for (name, secret) in world.secrets() {
            assert!(!text.contains(&secret), "{name} is in a {place}");
        }
        for pin in PINS {
            assert!(!has_word(text, pin), "the PIN {pin} is in a {place}");
        }
    }
    let personal = [
        ADA.to_owned(),
        // An id of WhatsApp's contains the number.
        BASE64_STANDARD.encode(ADA),
        "user 0 says".to_owned(),
    ];
    for (place, text) in [("log", logs), ("metric", metrics), ("trace", traces)] {
        for personal in &personal {
            assert!(!text.contains(personal), "{personal:?} is in a {place}");
        }
    }
    for personal in &personal {
        assert_only_in_payloads(&events, personal);
    }
    assert_only_in_addresses(&events, ADA);
    assert_only_in_columns(&tables, ADA);
}

/// Sets a PIN in the chat, and tries to set one that is too long.
async fn set_pins(world: &World) {
    write(world, ADA, "hello", "echo: hello").await;
    write(world, ADA, "pin 860417259", "A PIN has 4 to 8 digits").await;
    write(
        world,
        ADA,
        "Set my PIN to: 8604 1725!",
        "know you by this PIN",
    )
    .await;
}

/// Keys a wrong PIN and says the right one, and in another call says it after a silence, after which what is said is
/// streamed.
async fn call_with_pins(world: &World) {
    let forged = || CallerIdentity {
        stir: Some("TN-Validation-Failed-C".to_owned()),
        ..CallerIdentity::from(format!("+{ADA}").as_str())
    };
    let call = world.twilio.call(forged());
    hears(&call, PHRASES.ask_pin).await;
    call.key("27591348#").await.unwrap();
    hears(&call, PHRASES.wrong_pin).await;
    call.say("8 6 0 4 1 7 2 5").await.unwrap();
    hears(&call, PHRASES.greeting).await;
    say(&call, "it is me", "echo: it is me").await;
    hang_up(&call).await;

    let call = world.twilio.call(forged());
    hears(&call, PHRASES.ask_pin).await;
    call.silent().await.unwrap();
    call.say("86041725").await.unwrap();
    say(&call, "me again", "echo: me again").await;
    hang_up(&call).await;
    chat_has(world, ADA, "The phone call is over").await;
    all_answered(world, ADA).await;
}

/// Posts a body that is signed by Meta and cannot be read.
async fn post_unreadable(world: &World) {
    let body = format!(r#"{{"from": "{ADA}", "text": {{"body": "pin 86041725"}}"#);
    let secret = SimMetaConfig::default().app_secret;
    let signature = signature::sign(&secret, body.as_bytes());
    let request = reqwest::Client::new().post(world.webhook_url()).body(body);
    let request = request.header(signature::HEADER, signature);
    assert_eq!(request.send().await.unwrap().status(), 200);
    let log = || world.log_of(Service::Ingress);
    let is_dead = || async { log().contains("moved a webhook of Meta's to DEAD") };
    eventually("the body is a dead letter", is_dead).await;
}

async fn metrics(world: &World) -> String {
    let mut texts = String::new();
    for service in Service::ALL {
        texts += &world.metrics_of(service).await.unwrap();
    }
    texts
}

/// Whether `text` contains `word` and not as a part of a longer number or id.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        [before, after]
            .iter()
            .flatten()
            .all(|beside| !beside.is_ascii_alphanumeric())
    })
}

/// Neither subjects nor headers have `personal`.
fn assert_only_in_payloads(events: &str, personal: &str) {
    let mut lines = events.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("subject ") {
            let headers = lines.next().unwrap_or_default();
            let found = line.contains(personal) || headers.contains(personal);
            assert!(!found, "{personal:?} is in {line} {headers}");
        }
    }
}

/// In events a number is only an address, except that the operator keeps a body whole that cannot be read.
fn assert_only_in_addresses(events: &str, number: &str) {
    let address = format!(r#""phone":"+{number}""#);
    assert!(events.contains(&address), "the searched events lack Ada's");
    let mut of_webhooks = 0;
    for event in events.split("subject ") {
        let is_found = event.replace(&address, "").contains(number);
        let is_of_webhook = event.starts_with("dead.ingress.");
        assert!(!is_found || is_of_webhook, "a number is in {event}");
        of_webhooks += usize::from(is_found && is_of_webhook);
    }
    assert_eq!(of_webhooks, 1, "the searched events lack the dead letter");
}

/// In the tables a number is only in `user.phone`, and in the ids that WhatsApp gives to messages.
fn assert_only_in_columns(tables: &str, number: &str) {
    let phone = format!("'+{number}'");
    let wamid = BASE64_STANDARD.encode(number);
    let (mut phones, mut wamids) = (0, 0);
    for line in tables.lines() {
        if line.contains(number) {
            assert!(line.starts_with(r#"INSERT INTO public."user" "#), "{line}");
            assert_eq!(line.matches(number).count(), 1, "{line}");
            phones += line.matches(&phone).count();
        }
        if line.contains(&wamid) {
            let of = ["message", "delivery"].map(|table| format!("INSERT INTO public.{table} "));
            assert!(of.iter().any(|of| line.starts_with(of)), "{line}");
            let prefix = format!("'wamid.HBgM{wamid}");
            wamids += line.matches(&prefix).count();
            assert_eq!(line.matches(&wamid).count(), line.matches(&prefix).count());
        }
    }
    assert_eq!(phones, 1, "the searched tables lack Ada");
    assert!(wamids > 5, "the searched tables lack ids of WhatsApp");
}

/// The traces that all services have exported, as they were sent.
struct Traces {
    endpoint: String,
    received: Arc<Mutex<Vec<u8>>>,
}

impl Traces {
    /// Collects traces until the test ends.
    async fn collect() -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let keep = {
            let received = Arc::clone(&received);
            move |body: Bytes| {
                received.lock().extend_from_slice(&body);
                std::future::ready("")
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().fallback(keep);
        tokio::spawn(async { axum::serve(listener, routes).await });
        Self { endpoint, received }
    }

    /// The names, texts and attributes are plain text between the bytes of Protocol Buffers.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.received.lock()).into_owned()
    }
}
