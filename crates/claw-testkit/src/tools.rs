use std::{net::TcpListener, path::PathBuf};

use anyhow::{Context, Result};

/// The path in environment variable `name`, which `./dev test` sets.
pub(crate) fn tool(name: &str) -> Result<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests have no Env of their own")]
    let path = std::env::var_os(name);
    path.map(PathBuf::from).with_context(|| {
        format!(
            "{name} is not set: run the tests through ./dev test, or eval \"$(./dev env)\" first"
        )
    })
}

/// A port nobody listens on at this moment.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
