//! The allowed dependencies between our packages. A dependency that is not in the table fails the test; discuss it
//! before you add it.

use std::process::Command;

use serde_json::Value;

/// Each of our packages with those of our packages that it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    // Values and facts, which every package may use.
    ("claw-domain", &[]),
    ("claw-events", &["claw-domain"]),
    // Seals texts for the gateway.
    ("claw-seal", &["claw-domain"]),
    // Pure rules of the chat: the user's commands, the host's notices, and the times of proactive messages.
    ("claw-chat", &["claw-domain"]),
    // The catalogue of metrics.
    ("claw-metrics", &[]),
    // Plumbing, without terms of our domain.
    ("claw-runtime", &["claw-metrics"]),
    // The trait of providers of model keys.
    ("claw-model-keys", &[]),
    // Adapters, one per outside system; they never use one another.
    ("claw-agent", &["claw-domain"]),
    ("claw-bus", &["claw-domain", "claw-events", "claw-metrics"]),
    ("claw-docker", &["claw-domain"]),
    ("claw-openrouter", &["claw-model-keys"]),
    ("claw-store", &["claw-domain"]),
    ("claw-twilio", &["claw-domain"]),
    ("claw-whatsapp", &["claw-domain"]),
    // The state of live calls, which three services share over the bus.
    ("claw-calls", &["claw-bus", "claw-domain", "claw-events"]),
    // Who is suspended, which three services read from the store when the bus tells of a change.
    (
        "claw-suspensions",
        &[
            "claw-bus",
            "claw-domain",
            "claw-events",
            "claw-metrics",
            "claw-store",
        ],
    ),
    // Services; they never use one another.
    (
        "ingress",
        &[
            "claw-bus",
            "claw-calls",
            // Only to recognize PINs, and for the language of a caller's country.
            "claw-chat",
            "claw-domain",
            "claw-events",
            "claw-metrics",
            "claw-runtime",
            "claw-seal",
            "claw-twilio",
            "claw-whatsapp",
        ],
    ),
    (
        "provisioner",
        &[
            // Only to probe whether a starting assistant answers.
            "claw-agent",
            "claw-bus",
            "claw-docker",
            "claw-domain",
            "claw-events",
            "claw-metrics",
            "claw-model-keys",
            "claw-openrouter",
            "claw-runtime",
            "claw-store",
            "claw-suspensions",
        ],
    ),
    (
        "gateway",
        &[
            "claw-agent",
            "claw-bus",
            "claw-calls",
            "claw-chat",
            "claw-domain",
            "claw-events",
            "claw-metrics",
            "claw-runtime",
            "claw-seal",
            "claw-store",
            "claw-suspensions",
        ],
    ),
    (
        "outbound",
        &[
            "claw-bus",
            "claw-calls",
            "claw-domain",
            "claw-events",
            "claw-metrics",
            "claw-runtime",
            "claw-store",
            "claw-suspensions",
            "claw-twilio",
            "claw-whatsapp",
        ],
    ),
    // The operator's command.
    (
        "clawkaka",
        &[
            "claw-bus",
            "claw-domain",
            "claw-events",
            "claw-metrics",
            "claw-runtime",
            "claw-store",
        ],
    ),
    // Simulators have their own code for the outside APIs, so that they cannot repeat our mistakes.
    ("sim-kit", &["claw-runtime"]),
    // Its containers are simulated OpenClaws.
    ("sim-docker", &["claw-runtime", "sim-kit", "sim-openclaw"]),
    ("sim-meta", &["claw-runtime", "sim-kit"]),
    ("sim-openclaw", &["claw-runtime", "sim-kit"]),
    ("sim-openrouter", &["claw-runtime", "sim-kit"]),
    ("sim-twilio", &["claw-runtime", "sim-kit"]),
];

/// Allowed as a dev-dependency everywhere, and as a normal dependency only of the system tests.
const TESTKIT: &str = "claw-testkit";

/// Allowed as a dev-dependency everywhere.
const PLUMBING: &str = "claw-runtime";

/// The system tests may use any crate and any simulator, but no service.
const SYSTEM_TESTS: &str = "e2e";

#[test]
fn packages_use_only_what_the_table_allows() {
    let edges = edges_between(&packages());

    let violations: Vec<String> = edges
        .iter()
        .filter(|edge| !is_allowed(edge))
        .map(Edge::to_string)
        .collect();

    assert!(violations.is_empty(), "not in the table: {violations:#?}");
    assert!(
        edges.len() > MAY_USE.len(),
        "cargo metadata shows hardly any edges: {edges:#?}"
    );
}

#[test]
fn the_table_lists_exactly_the_packages_of_the_workspace() {
    let mut packages = names(&packages());
    packages.retain(|name| name != TESTKIT && name != SYSTEM_TESTS);
    packages.sort_unstable();

    let mut allowed: Vec<&str> = MAY_USE.iter().map(|(user, _)| *user).collect();
    allowed.sort_unstable();

    assert_eq!(packages, allowed);
}

/// A dependency of one of our packages on another.
#[derive(Debug)]
struct Edge {
    origin: String,
    target: String,
    is_for_tests: bool,
}

impl std::fmt::Display for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let purpose = if self.is_for_tests {
            " in its tests"
        } else {
            ""
        };
        write!(f, "{} uses {}{purpose}", self.origin, self.target)
    }
}

fn is_allowed(edge: &Edge) -> bool {
    match (edge.origin.as_str(), edge.target.as_str()) {
        (SYSTEM_TESTS, target) => is_crate(target) || is_simulator(target),
        (TESTKIT, target) => is_crate(target) && !edge.is_for_tests,
        (_, TESTKIT) => edge.is_for_tests,
        // Tests of an adapter build their HTTP client as services do.
        (_, PLUMBING) if edge.is_for_tests => true,
        (origin, target) => MAY_USE
            .iter()
            .any(|(name, allowed)| *name == origin && allowed.contains(&target)),
    }
}

/// Crates and simulators have a prefix; services have none.
fn is_crate(name: &str) -> bool {
    name.starts_with("claw-")
}

fn is_simulator(name: &str) -> bool {
    name.starts_with("sim-")
}

fn edges_between(packages: &[Value]) -> Vec<Edge> {
    let ours = names(packages);
    packages
        .iter()
        .flat_map(|package| {
            let dependencies = package["dependencies"]
                .as_array()
                .expect("a list of dependencies");
            dependencies.iter().map(|dependency| Edge {
                origin: text(&package["name"]),
                target: text(&dependency["name"]),
                is_for_tests: dependency["kind"] == "dev",
            })
        })
        .filter(|edge| ours.contains(&edge.target))
        .collect()
}

fn names(packages: &[Value]) -> Vec<String> {
    packages
        .iter()
        .map(|package| text(&package["name"]))
        .collect()
}

/// The workspace's members from `cargo metadata`, which resolves no dependencies and needs no network.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    metadata["packages"]
        .as_array()
        .expect("a list of packages")
        .clone()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
