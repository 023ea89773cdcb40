use super::*;

/// A request, and the status and the words of the message that Docker 20.10 answers with.
struct Exchange(&'static str, &'static str, u16, &'static str);

#[tokio::test]
async fn every_request_has_dockers_status_and_message() {
    let world = World::new().await;
    world.create("a", "home", 0).await;
    let exchanges = [
        Exchange("GET", "/v1.41/_ping", 200, "OK"),
        Exchange("GET", "/containers/b/json", 404, "No such container: b"),
        Exchange("POST", "/containers/b/start", 404, "No such container: b"),
        Exchange("POST", "/containers/a/stop", 304, ""),
        Exchange("POST", "/containers/a/kill", 409, "is not running"),
        Exchange("POST", "/containers/a/start", 204, ""),
        Exchange("POST", "/v1.41/containers/a/start", 304, ""),
        Exchange(
            "DELETE",
            "/containers/a",
            409,
            "You cannot remove a running container",
        ),
        Exchange("POST", "/containers/a/stop?t=1", 204, ""),
        Exchange("POST", "/containers/a/stop?t=1", 304, ""),
        Exchange(
            "DELETE",
            "/volumes/home",
            409,
            "remove home: volume is in use - [",
        ),
        Exchange("POST", "/containers/a/start", 204, ""),
        Exchange("POST", "/containers/a/kill?signal=SIGKILL", 204, ""),
        Exchange("DELETE", "/containers/a", 204, ""),
        Exchange(
            "DELETE",
            "/containers/a?force=true",
            404,
            "No such container: a",
        ),
        Exchange("GET", "/volumes/home", 200, "home"),
        Exchange("DELETE", "/volumes/home", 204, ""),
        Exchange("DELETE", "/volumes/home", 404, "get home: no such volume"),
        Exchange("DELETE", "/volumes/home?force=true", 204, ""),
        Exchange(
            "GET",
            "/containers/json?filters={\"colour\":[\"red\"]}",
            400,
            "Invalid filter",
        ),
        Exchange("GET", "/swarm", 404, "page not found"),
    ];
    for Exchange(method, path, expected, words) in exchanges {
        let (status, answer) = match method {
            "GET" => world.get(path).await,
            "POST" => world.post(path, Value::Null).await,
            _ => world.delete(path).await,
        };
        assert_eq!(status.as_u16(), expected, "{method} {path}: {answer}");
        assert!(
            answer.to_string().contains(words),
            "{method} {path}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_container_that_cannot_be_created_is_refused_as_by_docker() {
    let world = World::new().await;
    world.create("a", "home", 0).await;
    let mut unknown = body("other", 0);
    unknown["Image"] = json!("no-such-image:1");

    let taken = world
        .post("/containers/create?name=a", body("other", 0))
        .await;
    let missing = world.post("/containers/create?name=b", unknown).await;

    assert_eq!(taken.0, StatusCode::CONFLICT);
    let message = taken.1["message"].as_str().unwrap();
    assert!(message.starts_with("Conflict. The container name \"/a\" is already in use by"));
    assert_eq!(missing.0, StatusCode::NOT_FOUND);
    assert_eq!(missing.1["message"], "No such image: no-such-image:1");
    assert_eq!(world.sim.volumes(), ["home"]);
}

#[tokio::test]
async fn lists_are_filtered_by_label_status_and_use() {
    let world = World::new().await;
    world.run("runs", "one").await;
    world.create("waits", "two", 0).await;
    world
        .post(
            "/volumes/create",
            json!({ "Name": "three", "Labels": { "owner": "b" } }),
        )
        .await;
    let names = async |query: &str| -> Vec<Value> {
        let (_, listed) = world.get(&format!("/containers/json?{query}")).await;
        let listed = listed.as_array().unwrap().iter();
        let mut names: Vec<Value> = listed
            .map(|container| container["Names"][0].clone())
            .collect();
        names.sort_by_key(ToString::to_string);
        names
    };
    let volumes = async |filters: &str| -> Vec<Value> {
        let (_, listed) = world.get(&format!("/volumes?filters={filters}")).await;
        let listed = listed["Volumes"].as_array().unwrap().iter();
        listed.map(|volume| volume["Name"].clone()).collect()
    };

    assert_eq!(names("").await, ["/runs"]);
    assert_eq!(names("all=true").await, ["/runs", "/waits"]);
    assert_eq!(
        names(r#"all=1&filters={"label":["owner=a","of=two"]}"#).await,
        ["/waits"]
    );
    assert_eq!(names(r#"filters={"status":["created"]}"#).await, ["/waits"]);
    assert_eq!(volumes(r#"{"label":["owner=b"]}"#).await, ["three"]);
    assert_eq!(volumes(r#"{"dangling":{"true":true}}"#).await, ["three"]);
    let (_, info) = world.get("/info").await;
    assert_eq!(
        (&info["Containers"], &info["ContainersRunning"]),
        (&json!(2), &json!(1))
    );
}

#[tokio::test]
async fn a_container_is_ready_after_its_time_and_its_port_is_free_when_it_has_ended() {
    let world = World::new().await;
    let port = world.run("a", "home").await;
    assert_eq!(world.readyz(port).await.unwrap(), StatusCode::OK);
    assert_eq!(world.sim.ports(), [port]);

    world.post("/containers/a/stop", Value::Null).await;
    assert!(world.readyz(port).await.is_err());
    assert_eq!(world.state("a").await["ExitCode"], 0);
    assert!(world.sim.ports().is_empty());

    let never = Starts::Run {
        listen_ms: 0,
        ready_ms: 600_000,
    };
    world.sim.set_starts(Some("slow"), never);
    let port = world.run("b", "slow").await;
    assert_eq!(
        world.readyz(port).await.unwrap(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    world.sim.set_starts(
        Some("later"),
        Starts::Run {
            listen_ms: 600_000,
            ready_ms: 0,
        },
    );
    let port = world.run("c", "later").await;
    assert!(world.readyz(port).await.is_err());
    assert_eq!(world.sim.stats().most_starting, 2);
}

#[tokio::test]
async fn starts_and_containers_that_share_a_volume_are_counted() {
    let world = World::new().await;
    world.run("a", "home").await;
    world.run("b", "other").await;
    assert_eq!(world.sim.stats().shared_volumes, []);

    world.run("c", "home").await;
    world.sim.crash_all(1).await;
    world.post("/containers/a/start", Value::Null).await;

    let stats = world.sim.stats();
    let shared = SharedVolume {
        volume: "home".to_owned(),
        running: "a".to_owned(),
        started: "c".to_owned(),
    };
    assert_eq!(stats.shared_volumes, [shared]);
    assert_eq!((stats.starts, stats.most_running, stats.running), (4, 3, 1));
    assert_eq!(
        (world.sim.starts_of("home"), world.sim.starts_of("other")),
        (3, 1)
    );
}
