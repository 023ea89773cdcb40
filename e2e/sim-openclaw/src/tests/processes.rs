use super::{
    client::{Closed, device_id},
    *,
};

const TOKEN: &str = "token-of-one-sandbox";

/// A grace period that no test reaches.
const LONG: Duration = Duration::from_mins(10);

#[tokio::test]
async fn only_the_token_and_the_device_of_its_environment_are_admitted() {
    let sim = plain().await;
    let (_ours, url) = launched(&sim, "alice", device_id()).await;
    let (_theirs, other_url) = launched(&sim, "bob", "00".to_owned()).await;

    let mut usual_token = Client::challenged_at(&url).await;
    let refused = usual_token.connect(|_| {}).await;
    let admitted = connected(&url).await.hello["type"].clone();
    let mut unknown_device = Client::challenged_at(&other_url).await;
    let unpaired = unknown_device.connect(with_token).await;

    assert_eq!(refused["error"]["details"]["code"], "AUTH_TOKEN_MISMATCH");
    assert_eq!(admitted, "hello-ok");
    assert_eq!(unpaired["error"]["code"], "NOT_PAIRED");
}

#[tokio::test]
async fn a_stop_closes_the_sockets_and_the_next_process_has_the_same_transcript() {
    let sim = plain().await;
    let (process, url) = launched(&sim, "alice", device_id()).await;
    let mut client = connected(&url).await;
    client.call("chat.send", send("k1", "hi")).await;
    client.end_of("k1").await;

    let code = process.stop(LONG).await;
    let closed = client.closed().await;
    let is_refused = tokio_tungstenite::connect_async(&url).await.is_err();
    let (_next, url) = launched(&sim, "alice", "00".to_owned()).await;
    // The approval of the device is on the volume.
    let mut client = connected(&url).await;
    client.call("chat.send", send("k2", "again")).await;
    client.end_of("k2").await;

    assert_eq!((code, is_refused), (0, true));
    assert_eq!(closed, Closed::With(1012, "service restart".to_owned()));
    assert_eq!(
        roles_and_texts(&sim.transcript("alice")),
        [
            ("user", "hi"),
            ("assistant", "echo: hi"),
            ("user", "again"),
            ("assistant", "echo: again")
        ]
    );
    assert_eq!(sim.stats_of("alice").boots, 2);
    sim.forget("alice");
    assert_eq!(sim.transcript("alice"), []);
}

#[tokio::test]
async fn a_stop_waits_for_the_turn_and_kills_it_after_the_grace_period() {
    let sim = plain().await;
    let (process, url) = launched(&sim, "alice", device_id()).await;
    let mut client = connected(&url).await;
    client.call("chat.send", send("k1", "[[SLOW 50]]")).await;
    let (code, end) = tokio::join!(process.stop(LONG), client.end_of("k1"));
    assert_eq!((code, &end["state"]), (0, &json!("final")));

    let (process, url) = launched(&sim, "alice", device_id()).await;
    let mut client = connected(&url).await;
    client
        .call("chat.send", send("k2", "[[SLOW 600000]]"))
        .await;
    client.event("agent").await;
    assert_eq!(process.stop(Duration::ZERO).await, 137);
    assert_eq!(client.closed().await, Closed::Dropped);

    let (_next, url) = launched(&sim, "alice", device_id()).await;
    connected(&url).await;
    assert_eq!(sim.stats_of("alice").resumed, 1);
}

#[tokio::test]
async fn a_process_that_hangs_answers_nothing_and_continues_its_turn_after_its_death() {
    let sim = plain().await;
    let (process, url) = launched(&sim, "alice", device_id()).await;
    let mut client = connected(&url).await;
    client
        .call("chat.send", send("k1", "hi [[SLOW 100]]"))
        .await;
    client.event("agent").await;

    process.hang();
    client.ask("health", json!({})).await;
    assert_eq!(process.kill().await, 137);
    assert_eq!(client.closed().await, Closed::Dropped);

    let is_answer = |frame: &&Value| frame["type"] == "res" && frame["id"] == "3";
    assert_eq!(client.all.iter().find(is_answer), None);
    let (_next, url) = launched(&sim, "alice", device_id()).await;
    let end = connected(&url).await.next_end().await;
    assert_eq!(end["state"], "final");
}

/// Starts a process that is ready at once; returns it with its URL.
async fn launched(sim: &SimOpenClaw, sandbox: &str, device_id: String) -> (Process, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let launch = Launch {
        access: Access {
            token: TOKEN.into(),
            device_id,
        },
        listen_ms: 0,
        ready_ms: 0,
        hangs: false,
    };
    (sim.launch(sandbox, listener, launch), url)
}

async fn connected(url: &str) -> Client {
    let mut client = Client::challenged_at(url).await;
    let answer = client.connect(with_token).await;
    assert_eq!(answer["ok"], true, "{answer}");
    client
}

fn with_token(params: &mut Value) {
    params["auth"]["token"] = json!(TOKEN);
}
