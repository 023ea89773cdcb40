use serde_json::{Value, json};
use sim_kit::clock;

use super::{
    frame::Refusal,
    handshake::Rejected,
    params::Params,
    signature::{self, Signed},
};

/// The simulated protocol version, which must be in the client's range.
const PROTOCOL: u64 = 4;

const CLIENT_IDS: [&str; 17] = [
    "webchat-ui",
    "openclaw-control-ui",
    "openclaw-browser-copilot",
    "openclaw-tui",
    "webchat",
    "cli",
    "gateway-client",
    "openclaw-macos",
    "openclaw-linux",
    "openclaw-ios",
    "openclaw-watchos",
    "openclaw-android",
    "node-host",
    "openclaw-worker",
    "test",
    "fingerprint",
    "openclaw-probe",
];

const CLIENT_MODES: [&str; 8] = [
    "webchat", "cli", "ui", "backend", "node", "worker", "probe", "test",
];

/// The parameters of `connect` after the check of their shape.
pub(crate) struct Connect<'a> {
    min_protocol: u64,
    max_protocol: u64,
    client_id: &'a str,
    client_mode: &'a str,
    pub(crate) platform: &'a str,
    device_family: &'a str,
    pub(crate) role: &'a str,
    pub(crate) scopes: Vec<String>,
    pub(crate) token: &'a str,
    pub(crate) device_token: &'a str,
    pub(crate) device: Option<Device<'a>>,
}

pub(crate) struct Device<'a> {
    pub(crate) id: &'a str,
    public_key: &'a str,
    signature: &'a str,
    signed_at_ms: i64,
    nonce: &'a str,
}

impl<'a> Connect<'a> {
    pub(crate) fn read(params: &'a Value) -> Result<Self, Refusal> {
        let root = Params::closed(
            "connect",
            params,
            &[
                "minProtocol",
                "maxProtocol",
                "client",
                "caps",
                "commands",
                "permissions",
                "pathEnv",
                "role",
                "scopes",
                "device",
                "auth",
                "locale",
                "userAgent",
            ],
        )?;
        root.require(&["minProtocol", "maxProtocol", "client"])?;
        let client = root.object(
            "client",
            "/client",
            &[
                "id",
                "version",
                "platform",
                "mode",
                "displayName",
                "deviceFamily",
                "instanceId",
                "timeZone",
                "modelIdentifier",
            ],
        )?;
        client.require(&["id", "version", "platform", "mode"])?;
        let auth_keys = ["token", "deviceToken", "bootstrapToken", "password"];
        let auth = root.object("auth", "/auth", &auth_keys)?;
        let device = root
            .has("device")
            .then(|| Device::read(&root))
            .transpose()?;
        Ok(Self {
            min_protocol: root.number("minProtocol")?.unwrap_or_default(),
            max_protocol: root.number("maxProtocol")?.unwrap_or_default(),
            client_id: client.one_of("id", &CLIENT_IDS)?,
            client_mode: client.one_of("mode", &CLIENT_MODES)?,
            platform: client.text("platform")?,
            device_family: client.text("deviceFamily")?,
            role: root.text("role")?,
            scopes: root.texts("scopes")?,
            token: auth.text("token")?,
            device_token: auth.text("deviceToken")?,
            device,
        })
    }

    pub(crate) fn check_protocol(&self) -> Result<(), Rejected> {
        if (self.min_protocol..=self.max_protocol).contains(&PROTOCOL) {
            return Ok(());
        }
        Err(Rejected {
            refusal: Refusal::invalid("protocol mismatch").with(json!({
                "code": "PROTOCOL_MISMATCH",
                "clientMinProtocol": self.min_protocol,
                "clientMaxProtocol": self.max_protocol,
                "expectedProtocol": PROTOCOL,
                "minimumProbeProtocol": 3,
            })),
            close: 1002,
        })
    }

    pub(crate) fn check_device(&self, device: &Device, nonce: &str) -> Result<(), Refusal> {
        let token = if self.token.is_empty() {
            self.device_token
        } else {
            self.token
        };
        let signed = Signed {
            device_id: device.id,
            public_key: device.public_key,
            signature: device.signature,
            at_ms: device.signed_at_ms,
            nonce: device.nonce,
            client_id: self.client_id,
            client_mode: self.client_mode,
            role: self.role,
            scopes: &self.scopes,
            token,
            platform: self.platform,
            device_family: self.device_family,
        };
        signature::check(&signed, nonce, clock::now_ms()).map_err(|error| {
            let (message, code, reason) = error.texts();
            Refusal::invalid(message).with(json!({ "code": code, "reason": reason }))
        })
    }
}

impl<'a> Device<'a> {
    fn read(root: &Params<'a>) -> Result<Self, Refusal> {
        let keys = ["id", "publicKey", "signature", "signedAt", "nonce"];
        let device = root.object("device", "/device", &keys)?;
        device.require(&keys)?;
        let signed_at = device.number("signedAt")?.unwrap_or_default();
        Ok(Self {
            id: device.text("id")?,
            public_key: device.text("publicKey")?,
            signature: device.text("signature")?,
            signed_at_ms: i64::try_from(signed_at).unwrap_or(i64::MAX),
            nonce: device.text("nonce")?,
        })
    }
}
