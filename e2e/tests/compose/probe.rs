//! Looks at containers from outside, and at the network from inside a container.

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::Value;

/// Tries to connect to each argument, `address:port`, and prints those that accept.
const CONNECT: &str = r#"
for target; do
  (timeout 3 bash -c "exec 3<>/dev/tcp/${target%:*}/${target##*:}" 2>/dev/null && echo "$target") &
done
wait
"#;

/// The output of a program, which must succeed.
pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let is_success = output.status.success();
    assert!(is_success, "{program} {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The output of `docker inspect` for a container.
pub(crate) fn inspect(container: &str) -> Value {
    let text = output("docker", &["inspect", container]);
    let mut inspected: Vec<Value> = serde_json::from_str(&text).unwrap();
    inspected.remove(0)
}

/// The addresses of an inspected container, on all its networks.
pub(crate) fn addresses(container: &Value) -> Vec<String> {
    let networks = container["NetworkSettings"]["Networks"].as_object();
    let addresses = networks.unwrap().values().map(|network| {
        let address = network["IPAddress"].as_str();
        address.unwrap().to_owned()
    });
    addresses.collect()
}

/// Those of the targets, `address:port`, that accept connections from the container's network namespace.
pub(crate) fn reachable(container: &Value, targets: &[String]) -> BTreeSet<String> {
    let process = process(container);
    let mut arguments = vec!["--target", &process, "--net", "bash", "-c", CONNECT, "bash"];
    arguments.extend(targets.iter().map(String::as_str));
    let accepted = output("nsenter", &arguments);
    accepted.lines().map(str::to_owned).collect()
}

/// Whether the container has a default route.
pub(crate) fn has_default_route(container: &Value) -> bool {
    let routes = std::fs::read_to_string(format!("/proc/{}/net/route", process(container)));
    let routes = routes.unwrap();
    let mut destinations = routes.lines().map(|line| line.split_whitespace().nth(1));
    destinations.any(|destination| destination == Some("00000000"))
}

/// Whether a path without symbolic links exists in the container.
pub(crate) fn has_file(container: &Value, path: &str) -> bool {
    let root = format!("/proc/{}/root{path}", process(container));
    Path::new(&root).exists()
}

fn process(container: &Value) -> String {
    container["State"]["Pid"].to_string()
}
