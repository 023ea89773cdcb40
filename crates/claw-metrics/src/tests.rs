use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{ALL, MARKDOWN_HEAD, PIN_ATTEMPTS, Type, catalogue::CONSTANTS};

/// The labels, whose values are closed sets. An id, an address or a text must not become a label.
const LABELS: [&str; 16] = [
    "cause", "consumer", "field", "form", "group", "kind", "notice", "outcome", "reason", "scope",
    "source", "state", "status", "step", "wait", "webhook",
];

#[test]
fn every_metric_is_named_as_prometheus_wants_it_and_has_a_help_text() {
    let mut names = HashSet::new();
    for metric in &ALL {
        let name = metric.name;
        assert!(names.insert(name), "{name} is in the catalogue twice");
        assert!(name.starts_with("clawkaka_"), "{name}");
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{name}"
        );
        assert_eq!(
            name.ends_with("_total"),
            metric.r#type == Type::Counter,
            "{name}"
        );
        assert_eq!(
            name.ends_with("_seconds"),
            metric.r#type == Type::Histogram,
            "{name}"
        );
        let is_sentence = metric.help.starts_with(|first: char| first.is_uppercase())
            && metric.help.ends_with('.')
            && !metric.help.contains("  ");
        assert!(is_sentence, "{name}: {}", metric.help);
    }
}

#[test]
fn every_label_has_a_closed_set_of_values_and_every_such_label_is_used() {
    let used: HashSet<&str> = ALL
        .iter()
        .flat_map(|metric| metric.labels)
        .copied()
        .collect();

    assert_eq!(used, HashSet::from(LABELS));
}

#[test]
fn a_description_is_a_row_of_the_table() {
    let metric = ALL.iter().find(|metric| metric.name == PIN_ATTEMPTS.name());

    assert_eq!(
        metric.unwrap().to_string(),
        "| `clawkaka_pin_attempts_total` | counter | outcome | PINs that callers have given, by outcome: \
         `right`, `wrong` or `refused`. |"
    );
    let columns = |row: &str| row.matches('|').count();
    assert!(MARKDOWN_HEAD.lines().all(|row| columns(row) == 5));
    assert!(ALL.iter().all(|metric| columns(&metric.to_string()) == 5));
}

#[test]
fn every_metric_is_used_and_no_source_spells_a_name() {
    let sources = sources();
    for (path, text) in &sources {
        assert!(
            !text.contains("\"clawkaka_"),
            "{}: use the constant of claw-metrics",
            path.display()
        );
    }
    let is_used = |constant: &str| sources.iter().any(|(_, text)| text.contains(constant));
    let unused: Vec<_> = CONSTANTS.iter().filter(|name| !is_used(name)).collect();
    assert!(unused.is_empty(), "nothing counts with {unused:?}");
}

/// Every Rust source of the workspace outside this crate.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut directories = ["crates", "services", "e2e"]
        .map(|name| root.join(name))
        .to_vec();
    let mut sources = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("claw-metrics") && !path.ends_with("target") {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                sources.push((path, text));
            }
        }
    }
    sources
}
