use std::time::Duration;

use super::*;

#[tokio::test]
async fn a_failing_engine_refuses_every_request_and_recovers() {
    let world = World::new().await;
    let failing = |failing| EngineFaults {
        failing: Some(failing),
        ..EngineFaults::default()
    };

    world.sim.set_faults(failing(true));
    for path in ["/_ping", "/info", "/containers/json"] {
        assert_eq!(world.get(path).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    }
    world.sim.set_faults(failing(false));
    assert_eq!(world.get("/_ping").await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_engine_that_is_down_refuses_connections_and_keeps_its_containers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("docker.sock");
    let unix = SimDocker::start(SimDockerConfig {
        listen: EngineAddress::Unix(path.clone()),
        ..SimDockerConfig::default()
    });
    let unix = unix.await.unwrap();
    let is_refused = async || tokio::net::UnixStream::connect(&path).await.is_err();
    let tcp = World::new().await;
    let port = tcp.run("a", "home").await;

    assert!(!is_refused().await);
    unix.go_down().await;
    assert!(path.exists() && is_refused().await);
    unix.come_up().await.unwrap();
    assert!(!is_refused().await);

    tcp.sim.go_down().await;
    assert!(
        tcp.http
            .get(format!("{}/_ping", tcp.url))
            .send()
            .await
            .is_err()
    );
    assert_eq!(tcp.readyz(port).await.unwrap(), StatusCode::OK);
    tcp.sim.come_up().await.unwrap();
    assert_eq!(tcp.state("a").await["Running"], true);
}

#[tokio::test]
async fn a_lost_answer_leaves_its_effect() {
    let world = World::new().await;
    world.sim.set_faults(EngineFaults {
        lost_answers: Some(1),
        ..EngineFaults::default()
    });
    assert_eq!(world.get("/_ping").await.0, StatusCode::OK);

    let create = world
        .http
        .post(format!("{}/containers/create?name=a", world.url));
    let lost = create.json(&body("home", 0)).send().await;

    assert!(lost.is_err(), "{lost:?}");
    assert_eq!(world.state("a").await["Status"], "created");
    assert_eq!(
        world.delete("/containers/a").await.0,
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn a_start_on_a_phantom_port_is_refused_although_nothing_listens() {
    let world = World::new().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    world.create("a", "home", port).await;

    let (_, by_another_process) = world.post("/containers/a/start", Value::Null).await;
    drop(free);
    world.sim.set_faults(EngineFaults {
        phantom_ports: Some([port].into()),
        ..EngineFaults::default()
    });
    let (status, by_nobody) = world.post("/containers/a/start", Value::Null).await;

    let message = |answer: &Value| answer["message"].as_str().unwrap().to_owned();
    assert!(message(&by_another_process).ends_with("bind: address already in use"));
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(message(&by_nobody).ends_with("port is already allocated"));
    assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok());
    let state = world.state("a").await;
    assert_eq!(
        (&state["Status"], &state["ExitCode"]),
        (&json!("created"), &json!(128))
    );
    assert_eq!(
        (world.sim.stats().starts, world.sim.stats().ports_refused),
        (0, 2)
    );
}

#[tokio::test]
async fn a_container_can_exit_at_once_crash_and_run_again() {
    let world = World::new().await;
    world.sim.set_starts(None, Starts::Exit { code: 78 });
    world.create("a", "home", 0).await;
    let start = async || world.post("/containers/a/start", Value::Null).await.0;

    assert_eq!(start().await, StatusCode::NO_CONTENT);
    assert_eq!(world.state("a").await["ExitCode"], 78);
    world.sim.set_starts(None, Starts::default());
    assert_eq!(start().await, StatusCode::NO_CONTENT);
    assert_eq!(world.state("a").await["Status"], "running");
    assert!(world.sim.crash("home", 1).await);
    assert!(!world.sim.crash("home", 1).await);

    let state = world.state("a").await;
    assert_eq!(
        (&state["Status"], &state["ExitCode"]),
        (&json!("exited"), &json!(1))
    );
}

#[tokio::test]
async fn an_image_without_its_environment_exits_with_78() {
    let world = World::new().await;
    let mut body = body("home", 0);
    body["Env"] = json!(["OPENCLAW_GATEWAY_TOKEN=made-up"]);
    world.post("/containers/create?name=a", body).await;

    world.post("/containers/a/start", Value::Null).await;

    assert_eq!(world.state("a").await["ExitCode"], 78);
}

#[tokio::test]
async fn a_container_that_hangs_accepts_connections_and_is_killed_after_its_grace_period() {
    let world = World::new().await;
    world.sim.set_starts(Some("mute"), Starts::Hang);
    let from_the_start = world.run("a", "mute").await;
    let later = world.run("b", "home").await;
    assert_eq!(world.readyz(later).await.unwrap(), StatusCode::OK);

    assert!(world.sim.hang("b"));

    for port in [from_the_start, later] {
        let url = format!("http://127.0.0.1:{port}/readyz");
        let asked = world.http.get(url).timeout(Duration::from_millis(200));
        assert!(asked.send().await.unwrap_err().is_timeout());
    }
    let stopped = world.post("/containers/b/stop?t=0", Value::Null).await;
    assert_eq!(stopped.0, StatusCode::NO_CONTENT);
    assert_eq!(world.state("b").await["ExitCode"], 137);
}

#[tokio::test]
async fn the_control_api_works_while_the_engine_is_down() {
    let world = World::new().await;
    let control = world.sim.control_url();
    let post = async |path: &str, body: Value| {
        let request = world.http.post(format!("{control}{path}")).json(&body);
        request.send().await.unwrap().status()
    };
    world.run("a", "home").await;

    assert_eq!(post("/sim/down", Value::Null).await, StatusCode::NO_CONTENT);
    assert_eq!(
        post("/sim/crash", json!({ "container": "home" })).await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        post("/sim/hang", json!({ "container": "home" })).await,
        StatusCode::NOT_FOUND
    );
    let exit = json!({ "volume": "home", "starts": { "exit": { "code": 3 } } });
    assert_eq!(post("/sim/starts", exit).await, StatusCode::NO_CONTENT);
    assert_eq!(
        post("/sim/faults", json!({ "phantom_ports": [1] })).await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(post("/sim/images", json!([])).await, StatusCode::NO_CONTENT);
    assert_eq!(post("/sim/up", Value::Null).await, StatusCode::NO_CONTENT);

    assert_eq!(world.state("a").await["ExitCode"], 137);
    world.post("/containers/a/start", Value::Null).await;
    assert_eq!(world.state("a").await["ExitCode"], 3);
    let refused = world
        .post("/containers/create?name=b", body("other", 0))
        .await;
    assert_eq!(refused.0, StatusCode::NOT_FOUND);
}
