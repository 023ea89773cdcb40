//! The files that `./dev secrets` creates.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::Command,
};

use serde_json::json;
use tempfile::TempDir;

use crate::{assert_none, compose, root, text_of};

#[test]
fn dev_creates_exactly_the_secrets_that_compose_mounts() {
    let files = SecretFiles::new();
    files.run("command_secrets");

    let created: BTreeSet<String> = files.contents().into_keys().collect();

    let mounted: BTreeSet<String> = compose::secrets().into_keys().collect();
    let not_created = mounted.difference(&created);
    let not_mounted = created.difference(&mounted);
    let not_created =
        not_created.map(|name| format!("deploy/dev/secrets.sh does not create {name}"));
    let not_mounted = not_mounted.map(|name| format!("docker-compose.yml does not know {name}"));
    assert_none(&not_created.chain(not_mounted).collect::<Vec<_>>());
}

#[test]
fn the_group_of_the_files_is_that_of_the_image_and_of_every_server_that_reads_one() {
    let script = text_of("deploy/dev/secrets.sh");
    let group = script
        .lines()
        .find_map(|line| line.strip_prefix("SECRETS_GROUP="));
    let group = group.expect("SECRETS_GROUP in deploy/dev/secrets.sh");

    let dockerfile = text_of("deploy/Dockerfile");
    assert!(
        dockerfile.contains(&format!("groupadd -g {group} clawkaka")),
        "deploy/Dockerfile gives the group `clawkaka` another number than {group}"
    );
    let containers = compose::containers();
    let servers = containers
        .iter()
        .filter(|container| container.program().is_none() && !container.secrets().is_empty());
    for server in servers {
        assert_eq!(
            server.body["group_add"],
            json!([group]),
            "group_add of {}",
            server.name
        );
    }
}

#[test]
fn only_the_owner_enters_the_directory_and_only_the_group_reads_the_files() {
    let files = SecretFiles::new();

    files.run("command_secrets");

    assert_eq!(files.mode(""), 0o700);
    for name in files.contents().keys() {
        assert_eq!(files.mode(name), 0o440, "{name}");
    }
}

#[test]
fn existing_secrets_are_kept_and_their_modes_are_mended() {
    let files = SecretFiles::new();
    files.run("command_secrets");
    let before = files.contents();
    files.set_mode("", 0o755);
    files.set_mode("nats_url_admin", 0o644);

    let said = files.run("POSTGRES_PASSWORD=other; command_secrets");

    assert_eq!(files.contents(), before);
    assert_eq!(
        (files.mode(""), files.mode("nats_url_admin")),
        (0o700, 0o440)
    );
    let mended = said.lines().filter(|line| line.starts_with("mended: "));
    assert_eq!(mended.count(), 2, "{said}");
    assert!(said.contains("nats_url_admin had mode 644"), "{said}");
    for name in before.keys() {
        let is_told = said.contains(&format!("/{name}\n"));
        assert_eq!(is_told, before[name].is_empty(), "{name}: {said}");
    }
}

#[test]
fn a_secret_in_a_variable_replaces_the_file_and_the_addresses_that_contain_it() {
    let files = SecretFiles::new();
    files.run("POSTGRES_PASSWORD=old; secret_files \"$directory\"");

    files.run("POSTGRES_PASSWORD=new; TWILIO_AUTH_TOKEN=token; secret_files \"$directory\"");

    let contents = files.contents();
    assert_eq!(contents["postgres_password"], "new");
    assert_eq!(
        contents["database_url"],
        "postgres://clawkaka:new@postgres:5432/clawkaka"
    );
    assert_eq!(contents["twilio_auth_token"], "token");
    assert_eq!(files.mode("database_url"), 0o440);
}

/// A directory for secret files, removed with the value.
struct SecretFiles {
    parent: TempDir,
}

impl SecretFiles {
    fn new() -> Self {
        Self {
            parent: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    /// Runs a line of shell with the functions of `./dev`; returns what it prints. The files get the caller's own
    /// group, which needs no rights.
    fn run(&self, line: &str) -> String {
        let script = format!(
            "ROOT=$PWD directory=$1
             for part in say settings engine secrets; do . deploy/dev/$part.sh; done
             SECRETS_GROUP=$(id -g)
             {}",
            line.replace("command_secrets", "command_secrets \"$directory\"")
        );
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &script, "bash"])
            .arg(self.path(""))
            .current_dir(root())
            .env_clear()
            .env("HOME", self.parent.path())
            .output()
            .expect("bash can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// The files by name, without `.gitignore`.
    fn contents(&self) -> BTreeMap<String, String> {
        let entries = fs::read_dir(self.path("")).expect("the directory exists");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let names = names.map(|name| name.into_string().expect("a name in ASCII"));
        names
            .filter(|name| name != ".gitignore")
            .map(|name| {
                let text = fs::read_to_string(self.path(&name)).expect("a secret file");
                (name, text)
            })
            .collect()
    }

    fn mode(&self, name: &str) -> u32 {
        let metadata = fs::metadata(self.path(name)).expect("a secret file");
        metadata.mode() & 0o777
    }

    fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode))
            .expect("a secret file");
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.parent.path().join("secrets").join(name)
    }
}
