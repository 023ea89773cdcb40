use std::{collections::HashMap, net::IpAddr};

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, PortBinding,
    RestartPolicy, RestartPolicyNameEnum, VolumeCreateRequest,
};
use claw_domain::SandboxId;
use secrecy::ExposeSecret;

use crate::{DockerConfig, Spec, VolumeName};

/// On everything we make: which sandbox it belongs to.
pub const SANDBOX_LABEL: &str = "clawkaka.sandbox";

/// On everything we make: which installation made it. Several may share an engine.
pub(crate) const OWNER_LABEL: &str = "clawkaka.owner";

/// Where the gateway inside listens.
pub(crate) const GATEWAY_PORT: &str = "18789/tcp";

/// Where the volume stands inside.
const HOME: &str = "/home/claw";

/// What a container calls this host.
const HOST_NAME: &str = "host.docker.internal";

const MIB: i64 = 1024 * 1024;

/// One core for one period of the kernel's CPU accounting.
const CPU_PERIOD_MICROSECONDS: i64 = 100_000;

/// How long the engine waits, when it stops by itself, before it kills: longer than an idle gateway
/// takes, shorter than anybody waits for a host to shut down.
const STOP_SECONDS: i64 = 60;

/// The kernel takes a sandbox before it takes the database.
const OUT_OF_MEMORY_SCORE: i64 = 500;

/// The most a container may take of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory in MiB, swap included. With 1024 the first turn is killed.
    pub memory_mib: i64,
    /// Whole cores.
    pub cpus: i64,
    /// Processes and threads; a gateway at work has about 50.
    pub pids: i64,
    /// Size of `/tmp` in MiB, which counts as memory.
    pub tmp_mib: i64,
    /// Size of one log file in MiB; three are kept.
    pub log_mib: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_mib: 2048,
            cpus: 2,
            pids: 256,
            tmp_mib: 128,
            log_mib: 10,
        }
    }
}

/// The same in every life of every sandbox. A gateway that was killed leaves an owner lease on its
/// volume; the next one takes it over only on what it believes to be the same host, and otherwise
/// refuses to start (OpenClaw 2026.9.6, seen).
const HOSTNAME: &str = "assistant";

pub(crate) fn volume_body(config: &DockerConfig, sandbox: SandboxId) -> VolumeCreateRequest {
    VolumeCreateRequest {
        name: Some(VolumeName::of(sandbox).as_str().to_owned()),
        labels: Some(labels(config, sandbox)),
        ..VolumeCreateRequest::default()
    }
}

pub(crate) fn container_body(config: &DockerConfig, spec: &Spec) -> ContainerCreateBody {
    let environment = spec.environment.iter();
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        env: Some(
            environment
                .map(|(name, value)| format!("{name}={}", value.expose_secret()))
                .collect(),
        ),
        labels: Some(labels(config, spec.sandbox)),
        exposed_ports: Some(vec![GATEWAY_PORT.to_owned()]),
        hostname: Some(HOSTNAME.to_owned()),
        stop_timeout: Some(STOP_SECONDS),
        host_config: Some(host_config(config, spec)),
        ..ContainerCreateBody::default()
    }
}

/// Everything a sandbox may do to its host, and nothing more.
fn host_config(config: &DockerConfig, spec: &Spec) -> HostConfig {
    let limits = config.limits;
    HostConfig {
        memory: Some(limits.memory_mib * MIB),
        memory_swap: Some(limits.memory_mib * MIB),
        cpu_period: Some(CPU_PERIOD_MICROSECONDS),
        cpu_quota: Some(limits.cpus * CPU_PERIOD_MICROSECONDS),
        pids_limit: Some(limits.pids),
        oom_score_adj: Some(OUT_OF_MEMORY_SCORE),
        readonly_rootfs: Some(true),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        tmpfs: Some(HashMap::from([(
            "/tmp".to_owned(),
            format!("rw,nosuid,nodev,mode=1777,size={}m", limits.tmp_mib),
        )])),
        mounts: Some(vec![Mount {
            typ: Some(MountType::VOLUME),
            source: Some(VolumeName::of(spec.sandbox).as_str().to_owned()),
            target: Some(HOME.to_owned()),
            ..Mount::default()
        }]),
        network_mode: Some(config.network.clone()),
        port_bindings: Some(HashMap::from([(
            GATEWAY_PORT.to_owned(),
            Some(vec![published(config.published_on, spec.port)]),
        )])),
        // Docker's own `host-gateway` is another bridge's address, which a sandbox does not reach.
        extra_hosts: Some(vec![format!("{HOST_NAME}:{}", config.host_address)]),
        // Starts cost 15 s of CPU each: who is started again, and when, is the provisioner's decision.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            ..RestartPolicy::default()
        }),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), format!("{}m", limits.log_mib)),
                ("max-file".to_owned(), "3".to_owned()),
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
    fn a_container_is_published_on_its_one_address_and_nowhere_else() {
        let sandbox = SandboxId::derived_from("s");
        let spec = Spec {
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
        assert_eq!(ports, HashMap::from([(GATEWAY_PORT.to_owned(), only)]));
        assert_eq!(
            (host.publish_all_ports, host.privileged, host.cap_add),
            (None, None, None)
        );
        assert_eq!(host.binds, None);
        assert_eq!(body.env.unwrap(), ["TOKEN=secret"]);
    }
}
