//! The settings that each program reads, found in its source code as calls of the getters of `Env`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::{is_name, root};

const GETTERS_OF_SETTINGS: [&str; 4] = ["required", "required_as", "optional", "or"];
const GETTERS_OF_SECRETS: [&str; 2] = ["secret", "optional_secret"];

/// Reads the port of the setting named by its second argument, with a getter.
const GETTER_OF_ADDRESS: &str = "health::address(env,";
const FILE_OF_ADDRESS: &str = "crates/claw-runtime/src/health.rs";

/// The settings that a program reads.
#[derive(Debug, Default, Clone)]
pub struct Settings {
    pub plain: BTreeSet<String>,
    pub secrets: BTreeSet<String>,
    /// Whether it is a service, which also reads the settings of logs, health and shutdown.
    pub is_service: bool,
}

impl Settings {
    pub fn reads(&self, name: &str) -> bool {
        self.plain.contains(name) || self.secrets.contains(name)
    }

    fn add(&mut self, other: Self) {
        self.plain.extend(other.plain);
        self.secrets.extend(other.secrets);
    }
}

/// The programs in services/ with their settings.
pub fn all() -> BTreeMap<String, Settings> {
    let of_every_service = settings_below("crates/claw-runtime/src");
    let programs = fs::read_dir(root().join("services")).expect("services/ can be listed");
    let programs = programs.map(|entry| {
        let name = entry.expect("an entry of services/").file_name();
        let name = name.into_string().expect("a name in ASCII");
        let mut settings = settings_below(&format!("services/{name}/src"));
        let main = root().join(format!("services/{name}/src/main.rs"));
        let main = fs::read_to_string(main).expect("a program has a main.rs");
        settings.is_service = main.contains("process::run(");
        if settings.is_service {
            settings.add(of_every_service.clone());
        }
        (name, settings)
    });
    programs.collect()
}

/// OpenTelemetry's library reads variables of its own, which the source code does not name.
pub fn is_read_by_opentelemetry(name: &str) -> bool {
    name.starts_with("OTEL_")
}

#[test]
fn settings_are_found_in_the_source_code() {
    let programs = all();

    let ingress = &programs["ingress"];
    assert!(ingress.plain.contains("BASE_URL") && ingress.plain.contains("PORT"));
    assert!(ingress.plain.contains("LISTEN_HOST") && ingress.plain.contains("LOG_FORMAT"));
    assert!(ingress.secrets.contains("TWILIO_AUTH_TOKEN"));
    assert!(!programs["clawkaka"].reads("LOG_FORMAT"));
    assert!(programs["clawkaka"].secrets.contains("NATS_URL"));
}

fn settings_below(directory: &str) -> Settings {
    let mut settings = Settings::default();
    for path in rust_files(&root().join(directory)) {
        let text = fs::read_to_string(&path).expect("a source file can be read");
        settings.add(settings_in(&path, &code_of(&text)));
    }
    settings
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory of source files");
    let paths = entries.map(|entry| entry.expect("a source file").path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                rust_files(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The text of a source file without its tests, comments and white space.
fn code_of(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or("");
    let lines = code.lines().map(str::trim);
    let lines = lines.filter(|line| !line.starts_with("//"));
    lines
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .collect()
}

fn settings_in(path: &Path, code: &str) -> Settings {
    let path = path.strip_prefix(root()).unwrap_or(path);
    let path = path.display().to_string();
    assert!(
        !code.contains("env::var(") && !code.contains("env::var_os("),
        "{path}: read the environment through claw_runtime::Env"
    );
    let of = |getters: &[&str]| {
        let names = getters
            .iter()
            .flat_map(|getter| names_read_by(getter, &path, code));
        names.collect::<BTreeSet<_>>()
    };
    let mut settings = Settings {
        plain: of(&GETTERS_OF_SETTINGS),
        secrets: of(&GETTERS_OF_SECRETS),
        is_service: false,
    };
    for (at, _) in code.match_indices(GETTER_OF_ADDRESS) {
        let name = literal_at(&code[at + GETTER_OF_ADDRESS.len()..]);
        settings.plain.extend(name);
    }
    settings
}

/// The names in the calls of a getter. A name that is not a literal would be missed, so it is refused.
fn names_read_by(getter: &str, path: &str, code: &str) -> Vec<String> {
    let call = format!(".{getter}");
    let calls = code.match_indices(&call).filter_map(|(at, _)| {
        let (receiver, rest) = (&code[..at], &code[at + call.len()..]);
        let name = literal_at(first_argument(rest)?);
        assert!(
            name.is_some() || !receiver.ends_with("env") || path.ends_with(FILE_OF_ADDRESS),
            "{path}: write the name of the setting as a literal: env.{getter}(\"NAME\""
        );
        name
    });
    calls.collect()
}

/// What follows the opening parenthesis of a call, after a type in angle brackets if there is one.
fn first_argument(rest: &str) -> Option<&str> {
    match rest.strip_prefix("::<") {
        Some(generic) => generic.split_once(">(").map(|(_, arguments)| arguments),
        None => rest.strip_prefix('('),
    }
}

fn literal_at(code: &str) -> Option<String> {
    let (name, _) = code.strip_prefix('"')?.split_once('"')?;
    is_name(name).then(|| name.to_owned())
}
