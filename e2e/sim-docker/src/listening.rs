//! The listener of a container's published port, with Docker's errors.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use serde_json::Value;
use tokio::net::TcpListener;

use super::error::ApiError;

/// The port on which OpenClaw listens inside a container.
pub(crate) const OPENCLAW_PORT: &str = "18789/tcp";

/// The address that `PortBindings` publishes OpenClaw's port on; `None` if it is not published.
pub(crate) fn published(host_config: &Value) -> Result<Option<SocketAddr>, ApiError> {
    let binding = &host_config["PortBindings"][OPENCLAW_PORT][0];
    if binding.is_null() {
        return Ok(None);
    }
    let text = |name: &str| binding[name].as_str().unwrap_or_default();
    let address = match text("HostIp") {
        "" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        address => address
            .parse()
            .map_err(|_| ApiError::bad_request(format!("Invalid ip address: {address}")))?,
    };
    let port = match text("HostPort") {
        "" => 0,
        port => port.parse().map_err(|_| {
            ApiError::bad_request(format!("Invalid port specification: \"{port}\""))
        })?,
    };
    Ok(Some(SocketAddr::new(address, port)))
}

/// Listens for a container whose id and name are in the error.
pub(crate) fn listen(addr: SocketAddr, name: &str, id: &str) -> Result<TcpListener, ApiError> {
    let bound = std::net::TcpListener::bind(addr)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .and_then(TcpListener::from_std);
    bound.map_err(|error| {
        let reason = if error.kind() == ErrorKind::AddrInUse {
            "address already in use".to_owned()
        } else {
            error.to_string()
        };
        refusal(
            name,
            id,
            &format!("Error starting userland proxy: listen tcp4 {addr}: bind: {reason}"),
        )
    })
}

/// The refusal of a port that another container has, or that the engine only believes to be in use.
pub(crate) fn allocated(addr: SocketAddr, name: &str, id: &str) -> ApiError {
    refusal(
        name,
        id,
        &format!("Bind for {addr} failed: port is already allocated"),
    )
}

fn refusal(name: &str, id: &str, reason: &str) -> ApiError {
    ApiError::internal(format!(
        "driver failed programming external connectivity on endpoint {name} ({id}): {reason}"
    ))
}
