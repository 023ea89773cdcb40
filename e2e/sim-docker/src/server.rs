use std::{fs, os::unix::fs::FileTypeExt, path::Path};

use anyhow::Context;
use axum::Router;
use sim_kit::server::{HttpServer, UnixHttpServer};
use tokio::sync::Mutex;

use super::EngineAddress;

/// The server of the engine's API, which a test can stop and start again.
#[derive(Debug)]
pub(crate) struct EngineServer {
    address: EngineAddress,
    server: Mutex<Option<Bound>>,
}

#[derive(Debug)]
enum Bound {
    Tcp(HttpServer),
    Unix(UnixHttpServer),
}

impl EngineServer {
    pub(crate) async fn start(listen: &EngineAddress, router: Router) -> anyhow::Result<Self> {
        let server = bind(listen, router).await?;
        let address = match &server {
            Bound::Tcp(server) => EngineAddress::Tcp(server.addr()),
            Bound::Unix(_) => listen.clone(),
        };
        Ok(Self {
            address,
            server: Mutex::new(Some(server)),
        })
    }

    /// The address, with the port that was picked.
    pub(crate) fn address(&self) -> &EngineAddress {
        &self.address
    }

    /// Cuts every connection; later ones are refused.
    pub(crate) async fn stop(&self) {
        match self.server.lock().await.take() {
            Some(Bound::Tcp(server)) => server.stop().await,
            Some(Bound::Unix(server)) => server.stop().await,
            None => {}
        }
    }

    pub(crate) async fn start_again(&self, router: Router) -> anyhow::Result<()> {
        let mut server = self.server.lock().await;
        if server.is_none() {
            *server = Some(bind(&self.address, router).await?);
        }
        Ok(())
    }
}

async fn bind(address: &EngineAddress, router: Router) -> anyhow::Result<Bound> {
    let started = match address {
        EngineAddress::Tcp(addr) => HttpServer::start(*addr, router).await.map(Bound::Tcp),
        EngineAddress::Unix(path) => {
            remove_socket(path);
            UnixHttpServer::start(path, router).map(Bound::Unix)
        }
    };
    started.with_context(|| format!("listening on {address}"))
}

/// Removes the socket that an earlier engine left, and no other file.
fn remove_socket(path: &Path) {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket {
        // If it cannot be removed, listening fails with the reason.
        fs::remove_file(path).ok();
    }
}
