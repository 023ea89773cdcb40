//! The two servers of a world, which tests kill and start again.

use anyhow::Result;
use claw_testkit::{TestNats, TestPostgres, dump_streams};

use super::{
    compose::{Container, Passwords},
    docker,
};

/// The NATS server of a world.
pub struct Nats(Server<TestNats>);

/// The Postgres server of a world.
pub struct Postgres(Server<TestPostgres>);

enum Server<Process> {
    Process(Process),
    Container(Container, Passwords),
}

impl Nats {
    pub(super) const fn of_process(server: TestNats) -> Self {
        Self(Server::Process(server))
    }

    pub(super) const fn of_container(container: Container, passwords: Passwords) -> Self {
        Self(Server::Container(container, passwords))
    }

    /// The URL at which `user` (`ingress`, `gateway`, …, or `admin`) connects from this machine, password included.
    /// A container has another address after its restart.
    ///
    /// # Panics
    ///
    /// If the server is a container that is not running.
    pub fn url(&self, user: &str) -> String {
        match &self.0 {
            Server::Process(server) => server.url(user),
            Server::Container(container, passwords) => {
                let address = container.address_on("bus");
                passwords.nats_url(user, &address.expect("NATS is running").to_string())
            }
        }
    }

    /// All stored messages of all streams as text; see [`dump_streams`].
    pub async fn dump(&self) -> Result<String> {
        dump_streams(&self.url("admin")).await
    }

    /// Kills the server as a power failure does: nothing is flushed.
    pub async fn kill(&mut self) -> Result<()> {
        match &mut self.0 {
            Server::Process(server) => server.kill().await,
            Server::Container(container, _) => container.kill().await,
        }
    }

    /// Starts the server again on the same files, and waits until it answers.
    pub async fn start_again(&mut self) -> Result<()> {
        match &mut self.0 {
            Server::Process(server) => server.start_again().await,
            Server::Container(container, _) => container.start_and_wait().await,
        }
    }
}

impl Postgres {
    pub(super) const fn of_process(server: TestPostgres) -> Self {
        Self(Server::Process(server))
    }

    pub(super) const fn of_container(container: Container, passwords: Passwords) -> Self {
        Self(Server::Container(container, passwords))
    }

    /// The database's URL for this machine. A container has another address after its restart.
    ///
    /// # Panics
    ///
    /// If the server is a container that is not running.
    pub fn url(&self) -> String {
        match &self.0 {
            Server::Process(server) => server.url(),
            Server::Container(container, passwords) => {
                let address = container.address_on("data");
                passwords.database_url(&address.expect("Postgres is running").to_string())
            }
        }
    }

    /// The rows of all tables as SQL, for searching.
    pub async fn dump(&self) -> Result<String> {
        match &self.0 {
            Server::Process(server) => server.dump().await,
            Server::Container(container, _) => {
                // The server trusts the loopback interface of its container.
                let dump =
                    "exec pg_dump --host=127.0.0.1 --username=clawkaka --data-only --inserts";
                docker::run(&["exec", container.name(), "sh", "-c", dump]).await
            }
        }
    }

    /// Stops the server as a crash does: clients are not notified, and the next start recovers the database.
    pub async fn stop(&self) -> Result<()> {
        match &self.0 {
            Server::Process(server) => server.stop().await,
            Server::Container(container, _) => container.kill().await,
        }
    }

    /// Starts the stopped server again, with the same files, and waits until it answers.
    pub async fn start_again(&self) -> Result<()> {
        match &self.0 {
            Server::Process(server) => server.start_again().await,
            Server::Container(container, _) => container.start_and_wait().await,
        }
    }
}
