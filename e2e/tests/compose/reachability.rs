//! Each container reaches what its work needs, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    net::{TcpListener, TcpStream},
    time::Duration,
};

use e2e::harness::{Options, Sandboxes, VoiceMode, World};
use serde_json::Value;
use sim_meta::SimMetaConfig;
use sim_twilio::SimTwilioConfig;

use crate::{
    is_compose,
    probe::{addresses, has_default_route, has_file, inspect, output, reachable},
    variable,
};

/// A sandbox's published port.
const DOOR: &str = "published port of a sandbox";
/// A sandbox's own address and port.
const SANDBOX: &str = "address of a sandbox";
/// A port on which the host listens on all its addresses. What has a way to the internet reaches it, too.
const HOST: &str = "port of the host";
/// A public address; if the host itself does not reach it, a default route counts.
const INTERNET: &str = "internet";
/// The Docker engine's socket, which is a file.
const ENGINE: &str = "Docker socket";

/// What each container reaches of [`services`] and of the above; it reaches nothing else of them.
const REACHED: [(&str, &[&str]); 8] = [
    ("caddy", &["caddy:80", "ingress:3001", HOST, INTERNET]),
    (
        "ingress",
        &[
            "nats:4222",
            "caddy:80",
            "ingress:3001",
            "provisioner:3102",
            "gateway:3103",
            "outbound:3104",
        ],
    ),
    (
        "gateway",
        &[
            "nats:4222",
            "postgres:5432",
            "ingress:3001",
            "provisioner:3102",
            "gateway:3103",
            "outbound:3104",
            DOOR,
        ],
    ),
    (
        "provisioner",
        &[
            "nats:4222",
            "postgres:5432",
            "ingress:3001",
            "provisioner:3102",
            "gateway:3103",
            "outbound:3104",
            DOOR,
            HOST,
            INTERNET,
            ENGINE,
        ],
    ),
    (
        "outbound",
        &[
            "nats:4222",
            "postgres:5432",
            "ingress:3001",
            "provisioner:3102",
            "gateway:3103",
            "outbound:3104",
            HOST,
            INTERNET,
        ],
    ),
    (
        "nats",
        &[
            "nats:4222",
            "ingress:3001",
            "provisioner:3102",
            "gateway:3103",
            "outbound:3104",
        ],
    ),
    (
        "postgres",
        &[
            "postgres:5432",
            "provisioner:3102",
            "gateway:3103",
            "outbound:3104",
        ],
    ),
    ("sandbox", &[SANDBOX, INTERNET]),
];

/// The ports that are published on the host, by container.
const PUBLISHED: [(&str, &str); 3] = [
    ("caddy", "443/tcp"),
    ("caddy", "443/udp"),
    ("caddy", "80/tcp"),
];

/// The host's address at which sandboxes publish their ports, and a port of their range.
const DOOR_ADDRESS: &str = "172.29.255.1:34999";

/// The port of OpenClaw, the only one in a sandbox that the firewall lets others reach.
const SANDBOX_PORT: u16 = 18789;

/// An address outside this machine that listens on a known port.
const PUBLIC_ADDRESS: &str = "1.1.1.1:443";

#[tokio::test(flavor = "multi_thread")]
async fn containers_reach_only_what_they_need_and_only_caddys_ports_are_published() {
    if !is_compose() {
        eprintln!("not run: CLAWKAKA_WORLD is not compose");
        return;
    }
    let world = World::start(Options {
        sandboxes: Sandboxes::Containers,
        cap: 1,
        meta: SimMetaConfig::default(),
        twilio: SimTwilioConfig::default(),
        voice: VoiceMode::default(),
        replicas: Vec::new(),
        variables: Vec::new(),
    })
    .await
    .unwrap();
    let project = world.project().unwrap();
    start_sandbox(project);
    let containers = Containers::of_project(project);

    assert_eq!(containers.published(), PUBLISHED.into());
    containers.assert_reached();
}

/// The first container of each service, as inspected, by the service's name.
struct Containers(BTreeMap<&'static str, Value>);

impl Containers {
    fn of_project(project: &str) -> Self {
        let inspected = REACHED.map(|(name, _)| {
            let container = inspect(&format!("{project}-{name}-1"));
            (name, container)
        });
        Self(inspected.into())
    }

    /// The ports published on the host. A container in the host's own network would need none.
    fn published(&self) -> BTreeSet<(&str, &str)> {
        let mut published = BTreeSet::new();
        for (name, container) in self.0.iter().filter(|(name, _)| **name != "sandbox") {
            assert_ne!(container["HostConfig"]["NetworkMode"], "host", "{name}");
            let ports = container["NetworkSettings"]["Ports"].as_object().unwrap();
            let bound = ports.iter().filter(|(_, bindings)| !bindings.is_null());
            published.extend(bound.map(|(port, _)| (*name, port.as_str())));
        }
        published
    }

    fn assert_reached(&self) {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let targets = self.targets(listener.local_addr().unwrap().port());
        let mut differences = String::new();
        for (name, expected) in REACHED {
            let reached = self.reached(name, &targets);
            let expected: BTreeSet<&str> = expected.iter().copied().collect();
            for target in reached.difference(&expected) {
                writeln!(differences, "{name} reaches {target}").unwrap();
            }
            for target in expected.difference(&reached) {
                writeln!(differences, "{name} does not reach {target}").unwrap();
            }
        }
        assert!(differences.is_empty(), "unexpected:\n{differences}");
    }

    /// The names of all that this container reaches.
    fn reached(&self, name: &str, targets: &[Target]) -> BTreeSet<&'static str> {
        let container = &self.0[name];
        let addresses: Vec<String> = targets.iter().flat_map(|of| of.addresses.clone()).collect();
        let accepted = reachable(container, &addresses);
        let is_reached = |target: &&Target| target.addresses.iter().any(|of| accepted.contains(of));
        let mut reached: BTreeSet<&str> = targets
            .iter()
            .filter(is_reached)
            .map(|of| of.name)
            .collect();
        if !host_has_internet() && has_default_route(container) {
            reached.insert(INTERNET);
        }
        if has_file(container, "/run/docker.sock") {
            reached.insert(ENGINE);
        }
        reached
    }

    fn targets(&self, port_of_host: u16) -> Vec<Target> {
        let of_services = [
            ("nats:4222", "nats", 4222),
            ("nats:8222", "nats", 8222),
            ("postgres:5432", "postgres", 5432),
            ("ingress:3001", "ingress", 3001),
            ("gateway:3103", "gateway", 3103),
            ("provisioner:3102", "provisioner", 3102),
            ("outbound:3104", "outbound", 3104),
            ("caddy:80", "caddy", 80),
            (SANDBOX, "sandbox", SANDBOX_PORT),
        ]
        .map(|(name, of, port)| Target::at(name, addresses(&self.0[of]), port));
        let of_host = output("hostname", &["--all-ip-addresses"]);
        let of_host = of_host.split_whitespace().filter(|of| !of.contains(':'));
        let of_host = Target::at(HOST, of_host.map(str::to_owned).collect(), port_of_host);
        let others =
            [(DOOR, DOOR_ADDRESS), (INTERNET, PUBLIC_ADDRESS)].map(|(name, address)| Target {
                name,
                addresses: vec![address.to_owned()],
            });
        let mut targets = vec![of_host];
        targets.extend(of_services.into_iter().chain(others));
        targets
    }
}

/// Something to reach, at any of its addresses.
struct Target {
    name: &'static str,
    /// Each as `address:port`.
    addresses: Vec<String>,
}

impl Target {
    fn at(name: &'static str, addresses: Vec<String>, port: u16) -> Self {
        let addresses = addresses.into_iter().map(|of| format!("{of}:{port}"));
        Self {
            name,
            addresses: addresses.collect(),
        }
    }
}

/// Starts a container that is attached and published like a sandbox. The world removes it with the project.
fn start_sandbox(project: &str) {
    let (name, label) = (
        format!("--name={project}-sandbox-1"),
        format!("--label=com.docker.compose.project={project}"),
    );
    let network = format!("--network={}", variable("SANDBOX_NETWORK"));
    let publish = format!("--publish={DOOR_ADDRESS}:{SANDBOX_PORT}");
    let listen = format!(":{SANDBOX_PORT}");
    let image = variable("CADDY_IMAGE");
    let run = ["run", "--detach", &name, &label, &network, &publish, &image];
    output(
        "docker",
        &[&run[..], &["caddy", "respond", "--listen", &listen]].concat(),
    );
}

fn host_has_internet() -> bool {
    let address = PUBLIC_ADDRESS.parse().unwrap();
    TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok()
}
