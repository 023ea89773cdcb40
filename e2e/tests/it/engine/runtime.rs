//! The simulated engine as the provisioner's adapter sees it. The expectations are those that `claw-docker` tests
//! against a real engine.

use claw_docker::{
    ContainerName, ContainerSpec, ContainerState, Docker, DockerConfig, Runtime, RuntimeError,
    VolumeName,
};
use claw_domain::SandboxId;
use sim_docker::{EngineAddress, EngineFaults, SimDocker, SimDockerConfig};
use tempfile::TempDir;

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
async fn a_container_is_created_once_and_removed_with_its_volume() {
    let engine = Engine::new().await;
    let spec = engine.spec("ada");

    let first = engine.docker.ensure(&spec).await.unwrap();
    let second = engine.docker.ensure(&spec).await.unwrap();

    assert_eq!(first, second);
    engine.assert_running(&spec).await;
    let listed = engine.docker.list_ours().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].name == spec.name && listed[0].is_running);
    assert_eq!(engine.sim.ports(), [spec.port]);
    for _ in 0..2 {
        engine.docker.remove(&spec.name).await.unwrap();
        let volume = VolumeName::of(spec.sandbox);
        engine.docker.remove_volume(&volume).await.unwrap();
    }
    engine.assert_absent(&spec).await;
    assert_eq!(engine.docker.list_ours().await.unwrap(), []);
    assert!(engine.sim.volumes().is_empty());
}

#[tokio::test]
async fn a_later_start_replaces_the_container_of_an_earlier_one_on_the_same_volume() {
    let engine = Engine::new().await;
    let first = engine.spec("ada");
    let second = ContainerSpec {
        name: ContainerName::of(first.sandbox, 2),
        ..first.clone()
    };

    engine.docker.ensure(&first).await.unwrap();
    engine.docker.ensure(&second).await.unwrap();

    engine.assert_absent(&first).await;
    engine.assert_running(&second).await;
    assert_eq!(
        engine.sim.starts_of(VolumeName::of(first.sandbox).as_str()),
        2
    );
    assert_eq!(engine.sim.stats().shared_volumes, []);
}

#[tokio::test]
async fn a_taken_port_and_a_phantom_port_are_reported_and_another_port_works() {
    let engine = Engine::new().await;
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = occupied.local_addr().unwrap().port();
    let spec = ContainerSpec {
        port: taken,
        ..engine.spec("ada")
    };
    let moved = ContainerSpec {
        port: free_port(),
        ..spec.clone()
    };
    let is_taken = async |spec: &ContainerSpec| {
        let refused = engine.docker.ensure(spec).await;
        matches!(refused, Err(RuntimeError::PortTaken { port }) if port == spec.port)
    };

    assert!(is_taken(&spec).await);
    engine.sim.set_faults(EngineFaults {
        phantom_ports: Some([moved.port].into()),
        ..EngineFaults::default()
    });
    assert!(is_taken(&moved).await);
    engine.sim.clear_faults();

    engine.docker.ensure(&moved).await.unwrap();
    engine.assert_running(&moved).await;
}

#[tokio::test]
async fn a_missing_image_is_reported_and_leaves_no_container() {
    let engine = Engine::new().await;
    let spec = engine.spec("ada");
    engine.sim.set_images(&[]);

    let error = engine.docker.ensure(&spec).await.unwrap_err();

    assert!(
        matches!(error, RuntimeError::ImageMissing { .. }),
        "{error}"
    );
    engine.assert_absent(&spec).await;
}

#[tokio::test]
async fn an_engine_that_is_down_fails_or_loses_its_answer_is_a_transient_error() {
    let engine = Engine::new().await;
    let spec = engine.spec("ada");

    engine.sim.go_down().await;
    assert!(!engine.docker.is_reachable().await);
    engine.assert_transient(&spec).await;
    engine.sim.come_up().await.unwrap();
    engine.sim.set_faults(EngineFaults {
        failing: Some(true),
        ..EngineFaults::default()
    });
    engine.assert_transient(&spec).await;
    // The first answer is that to the volume, the second that to the container, the third that to the start.
    engine.sim.clear_faults();
    for _ in 0..3 {
        engine.sim.set_faults(EngineFaults {
            lost_answers: Some(1),
            ..EngineFaults::default()
        });
        engine.assert_transient(&spec).await;
    }

    assert!(engine.docker.is_reachable().await);
    engine.docker.ensure(&spec).await.unwrap();
    let stats = engine.sim.stats();
    assert_eq!((stats.created, stats.starts), (1, 1));
}

#[tokio::test]
async fn a_container_that_exits_or_crashes_has_its_code_and_runs_again() {
    let engine = Engine::new().await;
    let spec = engine.spec("ada");
    engine.docker.ensure(&spec).await.unwrap();

    assert!(engine.sim.crash(spec.name.as_str(), 3).await);

    let state = engine.docker.state(&spec.name).await.unwrap();
    let exited = ContainerState::Exited {
        code: 3,
        out_of_memory: false,
    };
    assert_eq!(state, exited);
    engine.docker.ensure(&spec).await.unwrap();
    engine.assert_running(&spec).await;
}

/// A simulated engine on a Unix socket, and the adapter at it.
struct Engine {
    sim: SimDocker,
    docker: Docker,
    _directory: TempDir,
}

impl Engine {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let sim = SimDocker::start(SimDockerConfig {
            listen: EngineAddress::Unix(directory.path().join("docker.sock")),
            ..SimDockerConfig::default()
        });
        let sim = sim.await.unwrap();
        let docker = Docker::new(DockerConfig {
            engine: sim.docker_host(),
            ..DockerConfig::default()
        });
        Self {
            sim,
            docker,
            _directory: directory,
        }
    }

    fn spec(&self, sandbox: &str) -> ContainerSpec {
        let sandbox = SandboxId::derived_from(sandbox);
        ContainerSpec {
            sandbox,
            name: ContainerName::of(sandbox, 1),
            image: self.sim.image(),
            port: free_port(),
            environment: ENVIRONMENT.map(|(name, value)| (name, value.into())).into(),
        }
    }

    async fn assert_running(&self, spec: &ContainerSpec) {
        let state = self.docker.state(&spec.name).await.unwrap();
        assert_eq!(state, ContainerState::Running);
    }

    async fn assert_absent(&self, spec: &ContainerSpec) {
        let state = self.docker.state(&spec.name).await.unwrap();
        assert_eq!(state, ContainerState::Absent);
    }

    async fn assert_transient(&self, spec: &ContainerSpec) {
        let error = self.docker.ensure(spec).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
