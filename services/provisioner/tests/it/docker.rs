use std::{process::Output, sync::Arc, time::Duration};

use claw_docker::{ContainerName, Docker, DockerConfig, Runtime, VolumeName};
use claw_domain::SandboxStatus;
use claw_runtime::{HttpTimeouts, http};
use provisioner::{
    AgentProbe, Backend, ContainerSettings, Containers, Learned, Provisioner, Step, Timeouts,
};
use tokio::process::Command;
use uuid::Uuid;

use crate::world::{World, drive};

/// The `docker inspect` template that prints a container's restrictions in one line.
const HARDENING: &str = "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} \
     {{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.PortBindings}} {{.HostConfig.NetworkMode}}";

#[tokio::test(flavor = "multi_thread")]
async fn a_real_openclaw_starts_accepts_our_connection_and_is_removed() {
    let mut world = World::new().await;
    world.settings.timeouts = Timeouts {
        start_limit: Duration::from_mins(3),
        poll_pause: Duration::from_millis(500),
    };
    let engine = Engine::of_environment().await;
    let provisioner = Arc::new(engine.provisioner(&world));
    let requested = world.message_from(1).await;

    assert!(drive(&provisioner, &requested).await.unwrap());

    let sandbox = world.row(requested.user).await;
    let name = ContainerName::of(sandbox.id, 1);
    let hardening = engine
        .ask(&["inspect", "--format", HARDENING, name.as_str()])
        .await;
    let inside = engine
        .ask(&["exec", name.as_str(), "sh", "-c", "touch /probe; id -u"])
        .await;
    provisioner
        .act(
            &sandbox.clone().into(),
            Step::GiveUp(claw_domain::FailureReason::Engine),
        )
        .await
        .unwrap();

    assert_eq!(
        (sandbox.status, sandbox.failure),
        (SandboxStatus::Ready, None)
    );
    let port = sandbox.port.unwrap();
    assert_eq!(
        hardening,
        format!(
            "true [ALL] [no-new-privileges:true] 2147483648 256 \
             map[18789/tcp:[{{127.0.0.1 {port}}}]] {}\n",
            engine.docker.network
        )
    );
    assert_eq!(inside, "10001\n");
    assert_eq!(
        Docker::new(engine.docker.clone())
            .list_ours()
            .await
            .unwrap(),
        []
    );
    let volume = VolumeName::of(sandbox.id).to_string();
    let volumes = engine
        .ask(&[
            "volume",
            "ls",
            "--quiet",
            "--filter",
            &format!("name={volume}"),
        ])
        .await;
    assert_eq!(volumes, "");
    assert!(world.keys.names().is_empty());
}

/// The Docker engine that `./dev test` starts, and the sandbox image that it builds.
struct Engine {
    docker: DockerConfig,
    image: String,
}

impl Engine {
    async fn of_environment() -> Self {
        let defaults = DockerConfig::default();
        let docker = DockerConfig {
            engine: variable("DOCKER_HOST", &defaults.engine),
            network: variable("SANDBOX_NETWORK", &defaults.network),
            owner: format!("test-{}", Uuid::new_v4().simple()),
            ..defaults
        };
        assert!(
            Docker::new(docker.clone()).is_reachable().await,
            "no Docker engine answers at {}: run the tests through ./dev test, or set DOCKER_HOST",
            docker.engine
        );
        let image = variable("OPENCLAW_SANDBOX_IMAGE", "clawkaka/sandbox:2026.9.6");
        Self { docker, image }
    }

    fn provisioner(&self, world: &World) -> Provisioner {
        let http = http::client(HttpTimeouts::default());
        let containers = Containers {
            settings: ContainerSettings {
                image: self.image.clone(),
                ..world.container_settings.clone()
            },
            runtime: Arc::new(Docker::new(self.docker.clone())),
            keys: world.keys.clone(),
            probe: Arc::new(AgentProbe::new(http)),
            sandboxes: world.store.sandboxes(),
            keyring: world.keyring.clone(),
            clock: world.clock.clone(),
            learned: Learned::default(),
        };
        world.provisioner_with(Backend::Containers(Box::new(containers)))
    }

    /// The output of a `docker` command.
    async fn ask(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("docker");
        command
            .args(["--host", &self.docker.engine])
            .args(arguments);
        let Output { stdout, .. } = command.output().await.unwrap();
        String::from_utf8(stdout).unwrap()
    }
}

fn variable(name: &str, default: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "tests have no Env of their own")]
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}
