//! .env.example, which an operator copies.

use std::collections::{BTreeMap, BTreeSet};

use crate::{assert_none, compose, is_name, is_part_of_name, manual, programs, root, text_of};

const FILE: &str = ".env.example";
const PART_OF_DEV: &str = "# --- ./dev only";

/// A line of the file.
#[derive(Debug)]
struct Line {
    name: String,
    value: String,
    /// Whether copying the file sets the variable. Otherwise the line shows the default.
    is_active: bool,
}

#[test]
fn the_example_lists_every_setting_that_compose_does_not_fix() {
    let listed = names();
    let (fixed, mut problems) = (fixed_by_compose(), Vec::new());
    for (program, settings) in programs::all() {
        for name in settings.plain {
            let is_fixed = fixed.contains(&(program.clone(), name.clone()));
            if !is_fixed && !listed.contains(&name) {
                problems.push(format!("{name}, which {program} reads, is not in {FILE}"));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn every_variable_of_the_example_has_an_effect() {
    let (programs, variables, fixed) = (programs::all(), compose::variables(), fixed_by_compose());
    let has_effect = |name: &str| {
        let is_set_for = programs.iter().any(|(program, settings)| {
            settings.plain.contains(name) && !fixed.contains(&(program.clone(), name.to_owned()))
        });
        is_set_for
            || variables.contains_key(name)
            || programs::is_read_by_opentelemetry(name)
            // Docker Compose reads these itself.
            || name.starts_with("COMPOSE_")
    };

    let problems = names().into_iter().filter(|name| !has_effect(name));
    let problems = problems.map(|name| format!("{name} in {FILE} has no effect with Compose"));

    assert_none(&problems.collect::<Vec<_>>());
}

#[test]
fn the_example_lists_no_secret_and_no_variable_twice() {
    let secrets: BTreeSet<String> = programs::all()
        .into_values()
        .flat_map(|settings| settings.secrets)
        .collect();
    let (mut listed, mut problems) = (BTreeSet::new(), Vec::new());
    for line in lines() {
        let is_secret =
            |secret: &String| line.name == *secret || line.name == format!("{secret}_FILE");
        if secrets.iter().any(is_secret) {
            problems.push(format!(
                "{} in {FILE} is a secret, which is a file",
                line.name
            ));
        }
        if !listed.insert(line.name.clone()) {
            problems.push(format!("{} is twice in {FILE}", line.name));
        }
    }
    assert_none(&problems);
}

#[test]
fn the_example_lists_every_variable_of_compose_with_its_default() {
    let lines: BTreeMap<String, Line> = lines()
        .into_iter()
        .map(|line| (line.name.clone(), line))
        .collect();
    let mut problems = Vec::new();
    for (name, default) in compose::variables() {
        match (lines.get(&name), default) {
            (None, _) => problems.push(format!("{name} of docker-compose.yml is not in {FILE}")),
            (Some(line), None) if !line.is_active => {
                problems.push(format!("{name} in {FILE} must be set: remove the #"));
            }
            (Some(line), Some(default)) if line.value != default => {
                problems.push(format!(
                    "{name} in {FILE}: docker-compose.yml says {default}"
                ));
            }
            (Some(_), _) => {}
        }
    }
    assert_none(&problems);
}

#[test]
fn the_example_shows_the_defaults_and_sets_what_is_required() {
    let rows: BTreeMap<String, manual::Row> = manual::rows()
        .into_iter()
        .map(|row| (row.name.clone(), row))
        .collect();
    let mut problems = Vec::new();
    for line in lines() {
        let Some(row) = rows.get(&line.name) else {
            continue;
        };
        if row.default == "required" && !line.is_active {
            problems.push(format!("{} in {FILE} is required: remove the #", line.name));
        }
        if !row.default.starts_with("required") && line.is_active {
            problems.push(format!(
                "{} in {FILE} has a default: put a # before it",
                line.name
            ));
        }
        if !line.is_active && !row.default.contains(&line.value) {
            problems.push(format!(
                "{} in {FILE}: {} says {}",
                line.name,
                manual::FILE,
                row.default
            ));
        }
    }
    assert_none(&problems);
}

#[test]
fn dev_reads_every_variable_of_its_part() {
    let scripts = std::fs::read_dir(root().join("deploy/dev")).expect("deploy/dev can be listed");
    let scripts = scripts.map(|script| script.expect("a script").path());
    let scripts: String = scripts
        .map(|path| std::fs::read_to_string(path).expect("a script"))
        .collect();
    let text = text_of(FILE);
    let (_, part) = text.split_once(PART_OF_DEV).expect("the part of ./dev");

    let words = part.split(|c: char| c.is_whitespace() || c == '(');
    let names = words
        .filter_map(|word| word.split_once('='))
        .map(|(name, _)| name);
    let problems = names.filter(|name| is_name(name) && !scripts.contains(*name));
    let problems = problems.map(|name| format!("no script in deploy/dev reads {name}"));

    assert_none(&problems.collect::<Vec<_>>());
}

#[test]
fn dev_passes_every_setting_to_the_services() {
    let script = text_of("deploy/dev/services.sh");
    let words: BTreeSet<&str> = script.split(|c| !is_part_of_name(c)).collect();
    let services = programs::all()
        .into_iter()
        .filter(|(_, settings)| settings.is_service);
    let mut problems = Vec::new();
    for (program, settings) in services {
        for name in settings.plain.union(&settings.secrets) {
            if !words.contains(name.as_str()) {
                problems.push(format!(
                    "deploy/dev/services.sh does not pass {name} to {program}"
                ));
            }
        }
    }
    assert_none(&problems);
}

/// The settings of programs that docker-compose.yml sets in every container of the program.
fn fixed_by_compose() -> BTreeSet<(String, String)> {
    let mut fixed = BTreeMap::<String, BTreeSet<String>>::new();
    for container in compose::containers() {
        let Some(program) = container.program() else {
            continue;
        };
        let names: BTreeSet<String> = container.environment().into_keys().collect();
        fixed
            .entry(program.to_owned())
            .and_modify(|fixed| fixed.retain(|name| names.contains(name)))
            .or_insert(names);
    }
    let pairs = fixed
        .into_iter()
        .flat_map(|(program, names)| names.into_iter().map(move |name| (program.clone(), name)));
    pairs.collect()
}

fn names() -> BTreeSet<String> {
    lines().into_iter().map(|line| line.name).collect()
}

/// The lines above the part of `./dev`.
fn lines() -> Vec<Line> {
    let text = text_of(FILE);
    let (part, _) = text.split_once(PART_OF_DEV).expect("the part of ./dev");
    let lines = part.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("# ").unwrap_or(line).split_once('=')?;
        is_name(name).then(|| Line {
            name: name.to_owned(),
            value: value.to_owned(),
            is_active: !line.starts_with('#'),
        })
    });
    lines.collect()
}
