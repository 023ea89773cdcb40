//! Who may use whom. An edge that is not in the table fails: adding it is the moment to talk.

use std::process::Command;

use serde_json::Value;

/// What each package of ours may use of ours.
const MAY_USE: &[(&str, &[&str])] = &[
    // Values and facts: used by everyone, using nobody.
    ("claw-domain", &[]),
    ("claw-events", &["claw-domain"]),
    // Pure rules of the chat: what a user can ask of the host, what the host says, and when.
    ("claw-chat", &["claw-domain"]),
    // The catalogue of metrics.
    ("claw-metrics", &[]),
    // Plumbing: knows none of our words.
    ("claw-runtime", &["claw-metrics"]),
    // What every provider of model keys implements.
    ("claw-model-keys", &[]),
    // Adapters, one per outside thing: never one another.
    ("claw-agent", &["claw-domain"]),
    ("claw-bus", &["claw-domain", "claw-events", "claw-metrics"]),
    ("claw-docker", &["claw-domain"]),
    ("claw-openrouter", &["claw-model-keys"]),
    ("claw-store", &["claw-domain"]),
    ("claw-twilio", &["claw-domain"]),
    ("claw-whatsapp", &["claw-domain"]),
    // The state of live calls, which three services share over the bus.
    ("claw-calls", &["claw-bus", "claw-domain", "claw-events"]),
    // Services: each the adapters of its work, never one another.
    (
        "ingress",
        &[
            "claw-bus",
            "claw-calls",
            // Only for the language of a caller's country.
            "claw-chat",
            "claw-domain",
            "claw-events",
            "claw-metrics",
            "claw-runtime",
            "claw-twilio",
            "claw-whatsapp",
        ],
    ),
    (
        "provisioner",
        &[
            // Only to ask a starting assistant whether it answers.
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
            "claw-store",
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
    // Simulators: they speak the outside APIs by their own means, so that they share no mistake of ours.
    ("sim-kit", &["claw-runtime"]),
    ("sim-meta", &["claw-runtime", "sim-kit"]),
    ("sim-openclaw", &["claw-runtime", "sim-kit"]),
    ("sim-openrouter", &["claw-runtime", "sim-kit"]),
    ("sim-twilio", &["claw-runtime", "sim-kit"]),
];

/// Only tests name it; the system's tests, which are tests themselves, are the exception.
const TESTKIT: &str = "claw-testkit";

/// Knows none of our words.
const PLUMBING: &str = "claw-runtime";

/// The whole system seen from outside: may use any crate and any simulator, and no service.
const SYSTEM_TESTS: &str = "e2e";

#[test]
fn packages_use_only_what_the_table_allows() {
    let edges = edges_between(&packages());

    let trespasses: Vec<String> = edges
        .iter()
        .filter(|edge| !is_granted(edge))
        .map(Edge::to_string)
        .collect();

    assert!(trespasses.is_empty(), "not in the table: {trespasses:#?}");
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

    let mut granted: Vec<&str> = MAY_USE.iter().map(|(user, _)| *user).collect();
    granted.sort_unstable();

    assert_eq!(packages, granted);
}

/// One package of ours naming another in its manifest.
#[derive(Debug)]
struct Edge {
    user: String,
    used: String,
    is_for_tests: bool,
}

impl std::fmt::Display for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let purpose = if self.is_for_tests {
            " in its tests"
        } else {
            ""
        };
        write!(f, "{} uses {}{purpose}", self.user, self.used)
    }
}

fn is_granted(edge: &Edge) -> bool {
    match (edge.user.as_str(), edge.used.as_str()) {
        (SYSTEM_TESTS, target) => is_crate(target) || is_simulator(target),
        (TESTKIT, target) => is_crate(target) && !edge.is_for_tests,
        (_, TESTKIT) => edge.is_for_tests,
        // Plumbing: tests of an adapter make their HTTP client as services do.
        (_, PLUMBING) if edge.is_for_tests => true,
        (origin, target) => MAY_USE
            .iter()
            .any(|(name, granted)| *name == origin && granted.contains(&target)),
    }
}

/// By our naming: services have plain names; crates and simulators each have their prefix.
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
                user: text(&package["name"]),
                used: text(&dependency["name"]),
                is_for_tests: dependency["kind"] == "dev",
            })
        })
        .filter(|edge| ours.contains(&edge.used))
        .collect()
}

fn names(packages: &[Value]) -> Vec<String> {
    packages
        .iter()
        .map(|package| text(&package["name"]))
        .collect()
}

/// The workspace's members as cargo sees them; no dependency is looked up for it.
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
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    metadata["packages"]
        .as_array()
        .expect("a list of packages")
        .clone()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
