//! The commands of the operator's manual, run in a copy of the repository as an operator runs them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use claw_runtime::{HttpTimeouts, http};
use claw_testkit::ReservedPort;
use tempfile::TempDir;

use crate::{is_compose, variable};

/// The sections of `docs/operations.md` whose commands are run, in this order.
const SECTIONS: [&str; 5] = [
    "From nothing",
    "Scale",
    "Change Caddy's configuration",
    "Upgrade",
    "Roll back",
];

/// Where this machine differs from the manual's: its images, and the place of the engine's socket.
const OF_MACHINE: [&str; 6] = [
    "CLAWKAKA_IMAGE",
    "POSTGRES_IMAGE",
    "NATS_IMAGE",
    "CADDY_IMAGE",
    "DOCKER_SOCKET",
    "DOCKER_GID",
];

/// The secrets that others issue, which an operator fills in.
const ISSUED: [&str; 3] = [
    "whatsapp_app_secret",
    "whatsapp_access_token",
    "openrouter_provisioning_key",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_manual_deploy_scale_upgrade_and_roll_back() {
    if !is_compose() {
        eprintln!("not run: CLAWKAKA_WORLD is not compose");
        return;
    }
    let server = Server::new();
    let manual = fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    for section in SECTIONS {
        let commands = commands_of(&manual, section);
        assert!(
            !commands.is_empty(),
            "the section {section} has no commands"
        );
        for block in commands {
            server.run(&block);
            server.fill_in();
        }
        server.assert_verifies_the_webhook().await;
    }
}

/// A copy of the repository, with an installation of its own.
struct Server {
    directory: TempDir,
    project: String,
    http: ReservedPort,
    https: ReservedPort,
}

impl Server {
    fn new() -> Self {
        let server = Self {
            directory: tempfile::tempdir().unwrap(),
            // The harness removes the projects with such names that aborted tests leave behind.
            project: format!("clawkaka-e2e-{}-manual", std::process::id()),
            http: ReservedPort::new().unwrap(),
            https: ReservedPort::new().unwrap(),
        };
        let copy = format!(
            "cd {} && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t {}",
            repository().display(),
            server.path("").display()
        );
        assert!(
            Command::new("bash")
                .args(["-c", &copy])
                .status()
                .unwrap()
                .success()
        );
        server
    }

    /// Runs a block of commands; fails with its output if one of them fails.
    fn run(&self, block: &str) {
        let output = self.bash(block).output().unwrap();
        let (stdout, stderr) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        eprintln!("{block}\n{stdout}");
        assert!(
            output.status.success(),
            "{block}\nfailed:\n{stdout}\n{stderr}"
        );
    }

    /// A shell in the copy. It has no settings but those of `.env`.
    fn bash(&self, commands: &str) -> Command {
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", commands])
            .current_dir(self.directory.path())
            .env("COMPOSE_PROJECT_NAME", &self.project);
        for name in OF_MACHINE {
            bash.env_remove(name);
        }
        bash
    }

    /// Fills in the settings and secrets after the commands that create their files.
    fn fill_in(&self) {
        let env_file = self.path(".env");
        let settings = fs::read_to_string(&env_file).unwrap();
        if settings.contains("# of this test") {
            return;
        }
        let mut own = format!(
            "{settings}\n# of this test\nWHATSAPP_SENDER_PHONE_NUMBER_ID=1\nAPI_SITE=http://\n\
             CONSOLE_SITE=http://console.localhost\nHTTP_LISTEN=127.0.0.1:{}\nHTTPS_LISTEN=127.0.0.2:{}\n\
             HEALTH_INTERVAL=2s\nBRIDGE_TAG={:04x}\n",
            self.http.number(),
            self.https.number(),
            self.http.number()
        );
        for name in OF_MACHINE {
            own.extend([name, "=", &variable(name), "\n"]);
        }
        fs::write(env_file, own).unwrap();
        for name in ISSUED {
            let file = self.path("secrets").join(name);
            let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode, 0o440, "the mode of {name}");
            fs::write(file, "issued-by-someone").unwrap();
        }
    }

    /// Sends the request with which Meta verifies the webhook.
    async fn assert_verifies_the_webhook(&self) {
        let token = fs::read_to_string(self.path("secrets/whatsapp_verification_token")).unwrap();
        let url = format!(
            "http://127.0.0.1:{}/whatsapp/webhook?hub.mode=subscribe&hub.challenge=42&hub.verify_token={token}",
            self.http.number()
        );
        let answer = http::client(HttpTimeouts::default()).get(url).send().await;
        assert_eq!(answer.unwrap().text().await.unwrap(), "42");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self
            .bash("docker compose kill; docker compose down --volumes")
            .output();
    }
}

/// The shell blocks of a section, without those marked as run by hand.
fn commands_of(manual: &str, section: &str) -> Vec<String> {
    let heading = format!("### {section}\n");
    let (_, rest) = manual.split_once(&heading).unwrap();
    let text = rest
        .split("\n## ")
        .next()
        .unwrap()
        .split("\n### ")
        .next()
        .unwrap();
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines().map(str::trim) {
        match (line, &mut block) {
            ("```sh", None) => block = Some(String::new()),
            ("```", Some(_)) => blocks.extend(block.take()),
            (command, Some(block)) => block.extend([command, "\n"]),
            _ => {}
        }
    }
    blocks
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
