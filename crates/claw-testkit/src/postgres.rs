use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{port::ReservedPort, tools::tool};

/// The role that owns everything on the test server.
const ROLE: &str = "clawkaka";
/// Longest a server takes to answer, crash recovery included.
const START_LIMIT_SECONDS: &str = "20";

/// A Postgres server with one empty database, on the loopback interface and for one test, which may stop and start
/// it. Stopped when dropped, and its files are deleted.
pub struct TestPostgres {
    programs: Programs,
    directory: TempDir,
    port: ReservedPort,
}

impl TestPostgres {
    /// Creates a data directory and starts a server on it, which takes about half a second.
    ///
    /// `CLAWKAKA_PG_BIN` is the directory of Postgres' programs. Postgres refuses to run as root, so a test run as
    /// root starts it as the account named in `CLAWKAKA_PG_USER`.
    pub async fn start() -> Result<Self> {
        let programs = Programs::find()?;
        let directory = tempfile::tempdir().context("making a directory")?;
        programs.hand_over(directory.path())?;
        let server = Self {
            programs,
            directory,
            port: ReservedPort::new()?,
        };
        server.initialise().await?;
        server.start_again().await?;
        Ok(server)
    }

    /// The database's URL for its owner.
    pub fn url(&self) -> String {
        self.url_of(ROLE)
    }

    /// The database's URL for a role. It contains no password, because the server trusts the loopback interface.
    pub fn url_of(&self, role: &str) -> String {
        format!(
            "postgres://{role}@127.0.0.1:{}/postgres",
            self.port.number()
        )
    }

    /// Stops the server as a crash does: clients are not notified, and the next start recovers the database.
    pub async fn stop(&self) -> Result<()> {
        self.run(self.stopping()).await.context("pg_ctl stop")
    }

    /// Starts the stopped server again, with the same files and port, and waits until it answers.
    pub async fn start_again(&self) -> Result<()> {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories=",
            self.port.number()
        );
        let mut start = self.programs.command("pg_ctl");
        start
            .args([
                "start",
                "--wait",
                "--timeout",
                START_LIMIT_SECONDS,
                "--pgdata",
            ])
            .arg(self.data());
        start.arg("--options").arg(options);
        self.run(start).await.context("pg_ctl start")
    }

    /// The rows of all tables as SQL, for searching.
    pub async fn dump(&self) -> Result<String> {
        let mut dump = self.programs.command("pg_dump");
        dump.args(["--data-only", "--inserts", "--dbname"])
            .arg(self.url());
        let output = tokio::process::Command::from(dump).output().await?;
        ensure!(output.status.success(), "pg_dump: {}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn initialise(&self) -> Result<()> {
        let mut initdb = self.programs.command("initdb");
        initdb
            .arg("--pgdata")
            .arg(self.data())
            .args(["--username", ROLE, "--auth=trust"]);
        initdb.args([
            "--locale=C.UTF-8",
            "--encoding=UTF8",
            "--no-sync",
            "--no-instructions",
        ]);
        self.run(initdb).await.context("initdb")
    }

    fn stopping(&self) -> Command {
        let mut stop = self.programs.command("pg_ctl");
        stop.args(["stop", "--mode=immediate", "--pgdata"])
            .arg(self.data());
        stop
    }

    /// Runs a program and waits for its end. A server that it started keeps writing to the same log.
    async fn run(&self, mut command: Command) -> Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let status = tokio::process::Command::from(command).status().await?;
        ensure!(
            status.success(),
            "{status}:\n{}",
            fs::read_to_string(self.log_path())?
        );
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

impl Drop for TestPostgres {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() {
            // A drop cannot fail, and the files of a server that does not stop are deleted anyway.
            let _ = self
                .stopping()
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// Postgres' own programs, run as a user that Postgres accepts.
struct Programs {
    directory: PathBuf,
    /// The account that runs the programs if the test runs as root.
    instead_of_root: Option<Account>,
}

struct Account {
    user: u32,
    group: u32,
}

impl Programs {
    fn find() -> Result<Self> {
        let directory = tool("CLAWKAKA_PG_BIN")?;
        let is_root = fs::metadata("/proc/self")
            .context("reading /proc/self")?
            .uid()
            == 0;
        let instead_of_root = if is_root {
            Some(Account::named(tool("CLAWKAKA_PG_USER")?.as_os_str())?)
        } else {
            None
        };
        Ok(Self {
            directory,
            instead_of_root,
        })
    }

    /// Gives `path` to the account that runs the programs.
    fn hand_over(&self, path: &Path) -> Result<()> {
        match &self.instead_of_root {
            Some(account) => chown(path, Some(account.user), Some(account.group)).context("chown"),
            None => Ok(()),
        }
    }

    fn command(&self, program: &str) -> Command {
        let path = self.directory.join(program);
        let mut command = match &self.instead_of_root {
            Some(account) => {
                let mut setpriv = Command::new("setpriv");
                setpriv.arg(format!("--reuid={}", account.user));
                setpriv.arg(format!("--regid={}", account.group));
                setpriv.arg("--clear-groups").arg(path);
                setpriv
            }
            None => Command::new(path),
        };
        // The caller's PGPORT or PGOPTIONS would lead to another server.
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8");
        command.current_dir("/");
        command
    }
}

impl Account {
    fn named(name: &OsStr) -> Result<Self> {
        Ok(Self {
            user: id("-u", name)?,
            group: id("-g", name)?,
        })
    }
}

fn id(which: &str, name: &OsStr) -> Result<u32> {
    let output = Command::new("id")
        .arg(which)
        .arg(name)
        .output()
        .context("running id")?;
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .with_context(|| format!("CLAWKAKA_PG_USER names no account: {}", name.display()))
}
