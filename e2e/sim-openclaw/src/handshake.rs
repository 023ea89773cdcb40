use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sim_kit::clock;

use super::{
    Pairing,
    connect::Connect,
    devices::DeviceRequest,
    frame::Refusal,
    hello::{self, Hello},
    sandbox::{Phase, Sandbox},
};

/// A failed handshake: the error in the response, and the close code that follows it.
pub(crate) struct Rejected {
    pub(crate) refusal: Refusal,
    pub(crate) close: u16,
}

impl From<Refusal> for Rejected {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            close: 1008,
        }
    }
}

/// A successful handshake: the payload of the response and the granted scopes.
pub(crate) struct Admitted {
    pub(crate) hello: Value,
    pub(crate) scopes: Vec<String>,
}

/// Decides about `connect`; the checks are in OpenClaw's order.
pub(crate) fn decide(
    sandbox: &Sandbox,
    params: &Value,
    nonce: &str,
    connection_id: &str,
) -> Result<Admitted, Rejected> {
    if sandbox.state().boot.phase == Phase::Starting {
        return Err(Rejected {
            refusal: Refusal::unavailable(
                "gateway starting; retry shortly",
                500,
                json!({ "reason": "startup-sidecars" }),
            ),
            close: 1013,
        });
    }
    let connect = Connect::read(params)?;
    connect.check_protocol()?;
    check_token(sandbox, &connect)?;
    let scopes = match &connect.device {
        Some(device) => {
            connect.check_device(device, nonce)?;
            admit(sandbox, &connect, device.id)?;
            connect.scopes.clone()
        }
        // OpenClaw admits a client without a device from a bridge address, but grants it no scopes.
        None => Vec::new(),
    };
    let mut state = sandbox.state();
    state.stats.handshakes += 1;
    let now_ms = clock::now_ms();
    let device_token = connect
        .device
        .as_ref()
        .and_then(|device| state.devices.token_of(device.id));
    let hello = hello::payload(&Hello {
        boot_id: &state.boot.id,
        connection_id,
        scopes: &scopes,
        device_token,
        tick_ms: u64::try_from(sandbox.shared.config.tick.as_millis()).unwrap_or(u64::MAX),
        uptime_ms: i64::try_from(state.boot.started.elapsed().as_millis()).unwrap_or(i64::MAX),
        now_ms,
    });
    Ok(Admitted { hello, scopes })
}

fn check_token(sandbox: &Sandbox, connect: &Connect) -> Result<(), Refusal> {
    let mut state = sandbox.state();
    if let Some(left) = state.devices.locked_for() {
        let mut refusal = auth_refusal(
            "unauthorized: too many failed authentication attempts (retry later)",
            "AUTH_RATE_LIMITED",
            "rate_limited",
            "wait_then_retry",
        );
        refusal.retry_after_ms = Some(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
        return Err(refusal);
    }
    let has_device_token = connect.device.as_ref().is_some_and(|device| {
        !connect.device_token.is_empty()
            && state.devices.token_of(device.id) == Some(connect.device_token)
    });
    if has_device_token {
        return Ok(());
    }
    let own = state.access.as_ref().map(|access| &access.token);
    let refusal = match own.or(sandbox.shared.config.token.as_ref()) {
        _ if connect.token.is_empty() => auth_refusal(
            "unauthorized: gateway token missing (provide gateway auth token)",
            "AUTH_TOKEN_MISSING",
            "token_missing",
            "update_auth_configuration",
        ),
        Some(token) if token.expose_secret() != connect.token => auth_refusal(
            "unauthorized: gateway token mismatch (provide gateway auth token)",
            "AUTH_TOKEN_MISMATCH",
            "token_mismatch",
            "retry_with_device_token",
        ),
        _ => return Ok(()),
    };
    let is_locked = state.devices.count_failure();
    state.stats.lockouts += u64::from(is_locked);
    Err(refusal)
}

fn auth_refusal(message: &str, code: &str, reason: &str, next: &str) -> Refusal {
    Refusal::invalid(message).with(json!({
        "code": code,
        "authReason": reason,
        "canRetryWithDeviceToken": code == "AUTH_TOKEN_MISMATCH",
        "recommendedNextStep": next,
    }))
}

fn admit(sandbox: &Sandbox, connect: &Connect, device_id: &str) -> Result<(), Refusal> {
    let request = DeviceRequest {
        device_id: device_id.to_owned(),
        role: connect.role.to_owned(),
        platform: connect.platform.trim().to_owned(),
        scopes: connect.scopes.clone(),
    };
    let mut state = sandbox.state();
    let is_new = state.devices.token_of(device_id).is_none();
    // The approver in the sandbox image approves only the device in its environment.
    let is_trusted = state
        .access
        .as_ref()
        .is_none_or(|access| access.device_id == device_id);
    if is_new && is_trusted && sandbox.shared.config.pairing == Pairing::AtFirstConnect {
        state.devices.approve(&request);
    }
    state.devices.admit(&request)
}
