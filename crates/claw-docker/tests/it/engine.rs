use std::collections::HashMap;

use bollard::query_parameters::InspectContainerOptions;
use claw_docker::{
    ContainerName, ContainerSpec, ContainerState, Docker, DockerConfig, Runtime, RuntimeError,
    VolumeName,
};
use claw_domain::SandboxId;
use uuid::Uuid;

const IMAGE: &str = "clawkaka/sandbox:2026.9.6";

/// The variables without which the image exits at once.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("OPENCLAW_GATEWAY_TOKEN", "made-up"),
    ("OPENROUTER_API_KEY", "made-up"),
    ("OPENCLAW_MODEL", "made/up"),
    (
        "CLAWKAKA_DEVICE_ID",
        "fe812c12f3ab4ce6ac5db69ac352f906cb1b11ef43fb33e252ef7ff552263889",
    ),
    (
        "CLAWKAKA_DEVICE_PUBLIC_KEY",
        "6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw",
    ),
];

#[tokio::test]
async fn a_container_is_hardened_created_once_and_removed_with_its_volume() {
    let world = World::new().await;
    let spec = World::spec(free_port());

    let first = world.docker.ensure(&spec).await.unwrap();
    let second = world.docker.ensure(&spec).await.unwrap();

    assert_eq!(first, second);
    assert_eq!(
        world.docker.state(&spec.name).await.unwrap(),
        ContainerState::Running
    );
    let listed = world.docker.list_ours().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].name, spec.name);
    world.assert_hardened(&spec).await;

    for _ in 0..2 {
        world.docker.remove(&spec.name).await.unwrap();
        world
            .docker
            .remove_volume(&VolumeName::of(spec.sandbox))
            .await
            .unwrap();
    }
    assert_eq!(
        world.docker.state(&spec.name).await.unwrap(),
        ContainerState::Absent
    );
    assert_eq!(world.docker.list_ours().await.unwrap(), []);
}

#[tokio::test]
async fn a_later_start_replaces_the_container_of_an_earlier_one() {
    let world = World::new().await;
    let first = World::spec(free_port());
    let second = ContainerSpec {
        name: ContainerName::of(first.sandbox, 2),
        ..first.clone()
    };

    world.docker.ensure(&first).await.unwrap();
    world.docker.ensure(&second).await.unwrap();

    assert_eq!(
        world.docker.state(&first.name).await.unwrap(),
        ContainerState::Absent
    );
    assert_eq!(
        world.docker.state(&second.name).await.unwrap(),
        ContainerState::Running
    );
    world.clean(&second).await;
}

#[tokio::test]
async fn a_taken_port_is_reported_and_another_port_works() {
    let world = World::new().await;
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = occupied.local_addr().unwrap().port();
    let spec = World::spec(taken);

    let error = world.docker.ensure(&spec).await.unwrap_err();
    assert!(
        matches!(error, RuntimeError::PortTaken { port } if port == taken),
        "{error}"
    );

    let moved = ContainerSpec {
        port: free_port(),
        ..spec
    };
    world.docker.ensure(&moved).await.unwrap();
    assert_eq!(
        world.docker.state(&moved.name).await.unwrap(),
        ContainerState::Running
    );
    world.clean(&moved).await;
}

#[tokio::test]
async fn a_missing_image_is_reported_and_leaves_no_container() {
    let world = World::new().await;
    let spec = ContainerSpec {
        image: "clawkaka/no-such-image:1".to_owned(),
        ..World::spec(free_port())
    };

    let error = world.docker.ensure(&spec).await.unwrap_err();

    assert!(
        matches!(error, RuntimeError::ImageMissing { .. }),
        "{error}"
    );
    assert_eq!(
        world.docker.state(&spec.name).await.unwrap(),
        ContainerState::Absent
    );
    world.clean(&spec).await;
}

#[tokio::test]
async fn an_unreachable_engine_is_a_transient_error() {
    let config = DockerConfig {
        engine: "unix:///nowhere.sock".to_owned(),
        ..DockerConfig::default()
    };
    let docker = Docker::new(config);

    let error = docker.list_ours().await.unwrap_err();

    assert!(error.is_transient(), "{error}");
    assert!(!docker.is_reachable().await);
}

/// An engine with a new owner, so that no other container on it is listed or changed.
struct World {
    docker: Docker,
    engine: bollard::Docker,
}

impl World {
    async fn new() -> Self {
        let engine = engine_address();
        let owner = format!("test-{}", Uuid::new_v4().simple());
        let docker = Docker::new(DockerConfig {
            engine: engine.clone(),
            owner,
            ..DockerConfig::default()
        });
        assert!(
            docker.is_reachable().await,
            "no Docker engine answers at {engine}: run the tests through ./dev test, or set DOCKER_HOST"
        );
        Self {
            docker,
            engine: bollard::Docker::connect_with_host(&engine).unwrap(),
        }
    }

    fn spec(port: u16) -> ContainerSpec {
        let sandbox = SandboxId::derived_from(&Uuid::new_v4().to_string());
        let environment = ENVIRONMENT.map(|(name, value)| (name, value.into()));
        ContainerSpec {
            sandbox,
            name: ContainerName::of(sandbox, 1),
            image: IMAGE.to_owned(),
            port,
            environment: environment.into(),
        }
    }

    async fn assert_hardened(&self, spec: &ContainerSpec) {
        let options = None::<InspectContainerOptions>;
        let container = self
            .engine
            .inspect_container(spec.name.as_str(), options)
            .await
            .unwrap();
        let host = container.host_config.unwrap();
        let gib = 1024 * 1024 * 1024;
        assert_eq!(
            (host.memory, host.memory_swap),
            (Some(2 * gib), Some(2 * gib))
        );
        assert_eq!(host.pids_limit, Some(256));
        assert_eq!(
            (host.cpu_quota, host.cpu_period),
            (Some(200_000), Some(100_000))
        );
        assert_eq!(host.readonly_rootfs, Some(true));
        assert_eq!(host.cap_drop.as_deref(), Some(&["ALL".to_owned()][..]));
        assert_eq!(
            host.security_opt.as_deref(),
            Some(&["no-new-privileges:true".to_owned()][..])
        );
        assert_eq!(host.network_mode.as_deref(), Some("clawkaka"));
        assert_eq!(host.privileged, Some(false));
        assert_eq!(
            host.extra_hosts.unwrap(),
            ["host.docker.internal:172.30.0.1"]
        );
        let ports = container.network_settings.unwrap().ports.unwrap();
        let published: HashMap<_, _> = ports
            .into_iter()
            .filter_map(|(port, to)| Some((port, to?)))
            .collect();
        assert_eq!(published.len(), 1);
        let to = &published["18789/tcp"];
        assert_eq!(to.len(), 1);
        assert_eq!(to[0].host_ip.as_deref(), Some("127.0.0.1"));
        assert_eq!(to[0].host_port, Some(spec.port.to_string()));
        let labels = container.config.unwrap().labels.unwrap();
        assert_eq!(labels["clawkaka.sandbox"], spec.sandbox.to_string());
    }

    async fn clean(&self, spec: &ContainerSpec) {
        self.docker.remove(&spec.name).await.unwrap();
        self.docker
            .remove_volume(&VolumeName::of(spec.sandbox))
            .await
            .unwrap();
    }
}

fn engine_address() -> String {
    #[expect(clippy::disallowed_methods, reason = "tests have no Env")]
    let address = std::env::var("DOCKER_HOST");
    address.unwrap_or_else(|_| DockerConfig::default().engine)
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
