use std::{collections::HashMap, net::IpAddr};

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, PortBinding,
    RestartPolicy, RestartPolicyNameEnum, VolumeCreateRequest,
};
use claw_domain::SandboxId;
use secrecy::ExposeSecret;

use crate::{ContainerSpec, DockerConfig, VolumeName};

/// The label with the sandbox's id, on every container and volume.
pub(crate) const SANDBOX_LABEL: &str = "clawkaka.sandbox";

/// The label with the installation's name, on every container and volume. Several installations may
/// share an engine.
pub(crate) const OWNER_LABEL: &str = "clawkaka.owner";

/// The port on which OpenClaw listens inside the container.
pub(crate) const OPENCLAW_PORT: &str = "18789/tcp";

/// The mount point of the volume inside the container.
const HOME: &str = "/home/claw";

/// The name of this host inside the container.
const HOST_NAME: &str = "host.docker.internal";

/// Memory limit, swap included. With 1 GiB the first turn is killed.
const MEMORY_BYTES: i64 = 2048 * 1024 * 1024;

/// CPU limit, in whole cores.
const CPUS: i64 = 2;

/// One period of the kernel's CPU accounting.
const CPU_PERIOD_MICROSECONDS: i64 = 100_000;

/// Processes and threads. OpenClaw has about 50 during a turn.
const PIDS_LIMIT: i64 = 256;

/// Mount options of `/tmp`. Its contents count as memory.
const TMP_OPTIONS: &str = "rw,nosuid,nodev,mode=1777,size=128m";

/// Size of one log file.
const LOG_FILE_SIZE: &str = "10m";

/// Number of log files kept.
const LOG_FILES: &str = "3";

/// How long the engine waits before it kills the container when the engine itself stops: longer than
/// an idle OpenClaw takes to stop, shorter than a host's shutdown may take.
const STOP_SECONDS: i64 = 60;

/// High enough that the kernel, when memory runs out, kills a sandbox before it kills the database.
const OUT_OF_MEMORY_SCORE: i64 = 500;

/// The host name inside every container. An OpenClaw that was killed leaves an owner lease on its
/// volume; the next one takes the lease over only under the same host name, and otherwise refuses to
/// start (observed with OpenClaw 2026.9.6).
const HOSTNAME: &str = "assistant";

pub(crate) fn volume_body(config: &DockerConfig, sandbox: SandboxId) -> VolumeCreateRequest {
    VolumeCreateRequest {
        name: Some(VolumeName::of(sandbox).as_str().to_owned()),
        labels: Some(labels(config, sandbox)),
        ..VolumeCreateRequest::default()
    }
}

pub(crate) fn container_body(config: &DockerConfig, spec: &ContainerSpec) -> ContainerCreateBody {
    let environment = spec.environment.iter();
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        env: Some(
            environment
                .map(|(name, value)| format!("{name}={}", value.expose_secret()))
                .collect(),
        ),
        labels: Some(labels(config, spec.sandbox)),
        exposed_ports: Some(vec![OPENCLAW_PORT.to_owned()]),
        hostname: Some(HOSTNAME.to_owned()),
        stop_timeout: Some(STOP_SECONDS),
        host_config: Some(host_config(config, spec)),
        ..ContainerCreateBody::default()
    }
}

/// Everything a sandbox may use of its host.
fn host_config(config: &DockerConfig, spec: &ContainerSpec) -> HostConfig {
    HostConfig {
        memory: Some(MEMORY_BYTES),
        memory_swap: Some(MEMORY_BYTES),
        cpu_period: Some(CPU_PERIOD_MICROSECONDS),
        cpu_quota: Some(CPUS * CPU_PERIOD_MICROSECONDS),
        pids_limit: Some(PIDS_LIMIT),
        oom_score_adj: Some(OUT_OF_MEMORY_SCORE),
        readonly_rootfs: Some(true),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        tmpfs: Some(HashMap::from([("/tmp".to_owned(), TMP_OPTIONS.to_owned())])),
        mounts: Some(vec![Mount {
            typ: Some(MountType::VOLUME),
            source: Some(VolumeName::of(spec.sandbox).as_str().to_owned()),
            target: Some(HOME.to_owned()),
            ..Mount::default()
        }]),
        network_mode: Some(config.network.clone()),
        port_bindings: Some(HashMap::from([(
            OPENCLAW_PORT.to_owned(),
            Some(vec![published(config.published_on, spec.port)]),
        )])),
        // Docker's own `host-gateway` is the address of another bridge, which a sandbox cannot reach.
        extra_hosts: Some(vec![format!("{HOST_NAME}:{}", config.host_address)]),
        // A start costs 8 to 10 s of CPU, so the provisioner decides which container to restart, and when.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            ..RestartPolicy::default()
        }),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), LOG_FILE_SIZE.to_owned()),
                ("max-file".to_owned(), LOG_FILES.to_owned()),
            ])),
        }),
        ..HostConfig::default()
    }
}

pub(crate) fn published(address: IpAddr, port: u16) -> PortBinding {
    PortBinding {
        host_ip: Some(address.to_string()),
        host_port: Some(port.to_string()),
    }
}

fn labels(config: &DockerConfig, sandbox: SandboxId) -> HashMap<String, String> {
    HashMap::from([
        (SANDBOX_LABEL.to_owned(), sandbox.to_string()),
        (OWNER_LABEL.to_owned(), config.owner.clone()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ContainerName;

    #[test]
    fn a_container_is_published_only_on_its_one_address() {
        let sandbox = SandboxId::derived_from("s");
        let spec = ContainerSpec {
            sandbox,
            name: ContainerName::of(sandbox, 1),
            image: "image".to_owned(),
            port: 30_007,
            environment: vec![("TOKEN", "secret".into())],
        };

        let body = container_body(&DockerConfig::default(), &spec);

        let host = body.host_config.unwrap();
        let ports = host.port_bindings.unwrap();
        let only = Some(vec![published([127, 0, 0, 1].into(), 30_007)]);
        assert_eq!(ports, HashMap::from([(OPENCLAW_PORT.to_owned(), only)]));
        assert_eq!(
            (host.publish_all_ports, host.privileged, host.cap_add),
            (None, None, None)
        );
        assert_eq!(host.binds, None);
        assert_eq!(body.env.unwrap(), ["TOKEN=secret"]);
    }
}
