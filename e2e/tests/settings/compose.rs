//! docker-compose.yml, with its anchors and merge keys resolved.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{is_part_of_name, text_of};

const FILE: &str = "docker-compose.yml";

/// A service of the file.
pub struct Container {
    pub name: String,
    pub body: Value,
}

pub fn containers() -> Vec<Container> {
    let containers = file()["services"].as_object().expect("services").clone();
    containers
        .into_iter()
        .map(|(name, body)| Container { name, body })
        .collect()
}

/// The secrets of the whole file, with the path of each.
pub fn secrets() -> BTreeMap<String, String> {
    let secrets = file()["secrets"].as_object().expect("secrets").clone();
    let path = |secret: Value| {
        secret["file"]
            .as_str()
            .expect("the file of a secret")
            .to_owned()
    };
    secrets
        .into_iter()
        .map(|(name, secret)| (name, path(secret)))
        .collect()
}

/// The variables that the file reads, with the default of each; `None` if the variable must be set.
pub fn variables() -> BTreeMap<String, Option<String>> {
    // Two dollar signs stand for one in a command of the container.
    let text = text_of(FILE).replace("$$", "");
    let variables = text.split("${").skip(1).map(|rest| {
        let (name, rest) = rest.split_at(rest.find(|c| !is_part_of_name(c)).expect("an end"));
        let default = rest
            .strip_prefix(":-")
            .and_then(|rest| rest.split_once('}'));
        (
            name.to_owned(),
            default.map(|(default, _)| default.to_owned()),
        )
    });
    variables.collect()
}

impl Container {
    /// The program in services/ that it runs; `None` for a server that others make.
    pub fn program(&self) -> Option<&str> {
        self.body.get("build")?;
        let first = |key: &str| self.body[key][0].as_str();
        first("entrypoint").or_else(|| first("command"))
    }

    /// Whether it runs to its end and is not started again.
    pub fn is_job(&self) -> bool {
        self.body["restart"] == "no"
    }

    /// Whether its program has a subcommand, for which it needs only a part of its settings.
    pub fn has_subcommand(&self) -> bool {
        self.body["command"]
            .as_array()
            .is_some_and(|words| words.len() > 1)
    }

    pub fn environment(&self) -> BTreeMap<String, String> {
        let environment = self.body["environment"].as_object();
        let variables = environment.into_iter().flatten().map(|(name, value)| {
            let value = value
                .as_str()
                .unwrap_or_else(|| panic!("{}: quote {name}", self.name));
            (name.clone(), value.to_owned())
        });
        variables.collect()
    }

    pub fn secrets(&self) -> BTreeSet<String> {
        let secrets = self.body["secrets"].as_array();
        let names = secrets.into_iter().flatten();
        names
            .map(|name| name.as_str().expect("a name").to_owned())
            .collect()
    }
}

fn file() -> Value {
    serde_saphyr::from_str(&text_of(FILE)).unwrap_or_else(|error| panic!("{FILE}: {error}"))
}
