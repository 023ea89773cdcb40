//! What docker-compose.yml gives to each container.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    assert_none,
    compose::{self, Container},
    programs,
};

/// The only container that others outside this host may reach.
const PUBLIC: &str = "caddy";

#[test]
fn a_container_is_given_only_settings_that_its_program_reads() {
    let programs = programs::all();
    let mut problems = Vec::new();
    for container in compose::containers() {
        let Some(program) = container.program() else {
            continue;
        };
        let settings = &programs[program];
        for name in container.environment().keys() {
            let is_secret_file = name
                .strip_suffix("_FILE")
                .is_some_and(|secret| settings.secrets.contains(secret));
            if settings.secrets.contains(name) {
                problems.push(format!(
                    "{}: {name} is a secret: set {name}_FILE",
                    container.name
                ));
            } else if !is_secret_file && !settings.plain.contains(name) {
                problems.push(format!(
                    "{}: {program} does not read {name}",
                    container.name
                ));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn a_container_gets_every_secret_of_its_program_as_a_file() {
    let programs = programs::all();
    let mut problems = Vec::new();
    for container in compose::containers() {
        let Some(program) = container.program() else {
            continue;
        };
        let (name, environment) = (&container.name, container.environment());
        let mut unused = container.secrets();
        for secret in &programs[program].secrets {
            let Some(path) = environment.get(&format!("{secret}_FILE")) else {
                if !container.has_subcommand() {
                    problems.push(format!("{name}: {secret}_FILE is not set"));
                }
                continue;
            };
            let file = path.strip_prefix("/run/secrets/").unwrap_or_default();
            if !file.starts_with(&secret.to_lowercase()) {
                problems.push(format!("{name}: {secret}_FILE: {path} is not its secret"));
            }
            if !unused.remove(file) {
                problems.push(format!(
                    "{name}: {path} of {secret}_FILE is not in `secrets`"
                ));
            }
        }
        problems.extend(
            unused
                .iter()
                .map(|secret| format!("{name}: no setting uses {secret}")),
        );
    }
    assert_none(&problems);
}

#[test]
fn every_secret_has_a_file_and_every_file_a_container() {
    let files = compose::secrets();
    let containers = compose::containers();
    let mounted: BTreeSet<String> = containers.iter().flat_map(Container::secrets).collect();
    let mut problems = Vec::new();
    for name in &mounted {
        if !files.contains_key(name) {
            problems.push(format!(
                "the secret {name} is not in `secrets:` at the end of the file"
            ));
        }
    }
    for (name, file) in files {
        if !mounted.contains(&name) {
            problems.push(format!("no container gets the secret {name}"));
        }
        if !file.ends_with(&format!("}}/{name}")) {
            problems.push(format!(
                "the file of the secret {name} has another name: {file}"
            ));
        }
    }
    assert_none(&problems);
}

#[test]
fn every_container_is_confined_and_limited() {
    let problems: Vec<String> = compose::containers()
        .iter()
        .flat_map(missing_limits)
        .collect();

    assert_none(&problems);
}

#[test]
fn only_one_container_publishes_ports() {
    let containers = compose::containers();
    let public = containers.iter().filter(|container| {
        !container.body["ports"].is_null() || container.body["network_mode"] == "host"
    });

    let public: Vec<&str> = public.map(|container| container.name.as_str()).collect();

    assert_eq!(public, [PUBLIC], "containers with `ports`");
}

fn missing_limits(container: &Container) -> Vec<String> {
    let body = &container.body;
    let is_set = |value: &Value| !value.is_null();
    let has_check = body["healthcheck"]["test"].is_array();
    let restarts = body["restart"] == "unless-stopped";
    let options = &body["logging"]["options"];
    let checks = [
        (body["cap_drop"] == json!(["ALL"]), "cap_drop: [ALL]"),
        (
            body["security_opt"] == json!(["no-new-privileges:true"]),
            "security_opt: [\"no-new-privileges:true\"]",
        ),
        (body["read_only"] == true, "read_only: true"),
        (is_set(&body["mem_limit"]), "mem_limit"),
        (is_set(&body["cpus"]), "cpus"),
        (is_set(&body["pids_limit"]), "pids_limit"),
        (
            is_set(&options["max-size"]) && is_set(&options["max-file"]),
            "logging: max-size and max-file",
        ),
        (
            restarts || container.is_job(),
            "restart: unless-stopped, or \"no\" for a job",
        ),
        (has_check || container.is_job(), "healthcheck"),
    ];
    let missing = checks.iter().filter(|(is_there, _)| !is_there);
    missing
        .map(|(_, what)| format!("{}: expected {what}", container.name))
        .collect()
}
