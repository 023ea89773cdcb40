//! The tables of settings in docs/operations.md.

use std::collections::{BTreeMap, BTreeSet};

use crate::{assert_none, is_name, programs, text_of};

pub const FILE: &str = "docs/operations.md";

/// A setting in a table.
#[derive(Debug)]
pub struct Row {
    pub name: String,
    pub is_secret: bool,
    /// `None` if the table has no such column.
    readers: Option<String>,
    pub default: String,
}

#[test]
fn every_setting_is_in_a_table() {
    let listed: BTreeSet<String> = rows().into_iter().map(|row| row.name).collect();
    let mut problems = Vec::new();
    for (program, settings) in programs::all() {
        for name in settings.plain.union(&settings.secrets) {
            if !listed.contains(name) {
                problems.push(format!(
                    "{name}, which {program} reads, is in no table of {FILE}"
                ));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn every_name_in_a_table_is_read_by_the_programs_that_the_table_names() {
    let programs = programs::all();
    let services = programs.iter().filter(|(_, settings)| settings.is_service);
    let services: BTreeSet<&str> = services.map(|(name, _)| name.as_str()).collect();
    let mut problems = Vec::new();
    for row in rows() {
        let reads = programs
            .iter()
            .filter(|(_, settings)| settings.reads(&row.name));
        let readers: BTreeSet<&str> = reads.map(|(program, _)| program.as_str()).collect();
        if readers.is_empty() && programs::is_read_by_opentelemetry(&row.name) {
            continue;
        }
        if readers.is_empty() {
            problems.push(format!("{} in {FILE} is read by no program", row.name));
        } else if let Some(said) = row.readers
            && programs_of(&said, &services) != readers
        {
            problems.push(format!(
                "{} in {FILE} is read by {readers:?}, not by {said}",
                row.name
            ));
        }
    }
    assert_none(&problems);
}

#[test]
fn the_tables_mark_the_secrets_and_name_no_setting_twice() {
    let secrets: BTreeSet<String> = programs::all()
        .into_values()
        .flat_map(|settings| settings.secrets)
        .collect();
    let (mut rows_of, mut problems) = (BTreeMap::<String, usize>::new(), Vec::new());
    for row in rows() {
        if row.is_secret != secrets.contains(&row.name) {
            problems.push(format!(
                "{} in {FILE}: mark secrets, and only those, with (secret)",
                row.name
            ));
        }
        *rows_of.entry(row.name).or_default() += 1;
    }
    let twice = rows_of.into_iter().filter(|(_, count)| *count > 1);
    problems.extend(twice.map(|(name, _)| format!("{name} is in two rows of {FILE}")));
    assert_none(&problems);
}

/// The settings in the tables of the section "Settings". A row may name several.
pub fn rows() -> Vec<Row> {
    let text = text_of(FILE);
    let (_, section) = text
        .split_once("\n## Settings\n")
        .expect("a section Settings");
    let section = section.split("\n## ").next().unwrap_or(section);
    let (mut rows, mut has_readers) = (Vec::new(), false);
    for line in section.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if cells[1] == "name" {
            has_readers = cells[2] == "read by";
            continue;
        }
        let names = cells[1].split('`').filter(|name| is_name(name));
        rows.extend(names.map(|name| Row {
            name: name.to_owned(),
            is_secret: cells[1].contains("(secret)"),
            readers: has_readers.then(|| cells[2].to_owned()),
            default: cells[2 + usize::from(has_readers)].replace('`', ""),
        }));
    }
    assert!(
        rows.len() > 20,
        "{FILE}: hardly any settings in tables: {rows:#?}"
    );
    rows
}

/// The programs in a cell: names with commas between, where "all" is every service.
fn programs_of<'a>(cell: &'a str, services: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    let words = cell.split(", ").map(|word| word.trim_matches('`'));
    words
        .flat_map(|word| match word {
            "all" => services.iter().copied().collect(),
            program => vec![program],
        })
        .collect()
}
