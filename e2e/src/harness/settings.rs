use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use claw_testkit::USER_ID_KEY;
use secrecy::ExposeSecret;
use sim_docker::SimDocker;
use sim_meta::{SimMeta, SimMetaConfig, SimTemplate};
use sim_openclaw::SimOpenClaw;
use sim_openrouter::SimOpenRouter;
use sim_twilio::SimTwilioConfig;

/// 32 bytes that occur nowhere else, so that a search finds a leak.
const MASTER_KEY: &str = "k1:5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed";

/// The pair of keys with which PINs are sealed and opened.
const PIN_PRIVATE_KEY: &str = "9111222233334444555566667777888899990000aaaabbbbccccddddeeeeffff";
const PIN_PUBLIC_KEY: &str = "b69752eb9d242f3030b86a5a6fe13a30fb8c9451cf619ad7435dc27fcd9e6451";

/// The prefix of the owner labels of this world's containers.
pub(super) const OWNER: &str = "e2e-test";

/// The token of the simulated `OpenClaw`.
pub(super) const OPENCLAW_TOKEN: &str = "openclaw-token-of-the-simulator";

/// Our public address as configured at Twilio. Requests to it arrive at [`super::World::public_url`].
pub const BASE_URL: &str = "https://api.clawkaka.example";

/// The token with which Twilio signs its webhooks.
pub const TWILIO_AUTH_TOKEN: &str = "twilio-auth-token-of-the-simulator";

/// The settings that are secrets. The services also read each from the file that `<name>_FILE` names.
pub(super) const SECRETS: [&str; 10] = [
    "CLAWKAKA_MASTER_KEY",
    "USER_ID_KEY",
    "PIN_PRIVATE_KEY",
    "PIN_PUBLIC_KEY",
    "WHATSAPP_VERIFICATION_TOKEN",
    "WHATSAPP_APP_SECRET",
    "WHATSAPP_ACCESS_TOKEN",
    "TWILIO_AUTH_TOKEN",
    "SANDBOX_EXTERNAL_TOKEN",
    "OPENROUTER_PROVISIONING_KEY",
];

/// Environment variables that a program gets in addition to those of this process.
pub(super) type Variables = Vec<(String, String)>;

/// The settings that all services share, as an operator would set them. The URLs of the servers are not among them.
#[derive(Default)]
pub(super) struct Settings {
    variables: Variables,
}

impl Settings {
    pub(super) fn new(meta: &SimMeta) -> Self {
        let defaults = SimMetaConfig::default();
        let app_secret = defaults.app_secret.expose_secret().to_owned();
        let access_token = defaults.access_token.expose_secret().to_owned();
        let variables = [
            ("CLAWKAKA_MASTER_KEY", MASTER_KEY.to_owned()),
            ("USER_ID_KEY", USER_ID_KEY.to_owned()),
            ("PIN_PRIVATE_KEY", PIN_PRIVATE_KEY.to_owned()),
            ("PIN_PUBLIC_KEY", PIN_PUBLIC_KEY.to_owned()),
            ("WHATSAPP_VERIFICATION_TOKEN", "verify-me-once".to_owned()),
            ("WHATSAPP_APP_SECRET", app_secret),
            ("WHATSAPP_ACCESS_TOKEN", access_token),
            ("WHATSAPP_SENDER_PHONE_NUMBER_ID", defaults.phone_number_id),
            ("WHATSAPP_API_BASE_URL", meta.graph_url()),
            ("WHATSAPP_TEMPLATE", SimTemplate::default().name),
            (
                "OPENCLAW_MODEL",
                "openrouter/simulated/assistant".to_owned(),
            ),
            ("TWILIO_AUTH_TOKEN", TWILIO_AUTH_TOKEN.to_owned()),
            ("BASE_URL", BASE_URL.to_owned()),
            // Crowds come in within seconds; tests of admission have limits of their own.
            ("ADMISSION_PER_HOUR", "1000000".to_owned()),
            ("ADMISSION_PER_DAY", "1000000".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
            ("RUST_LOG", "info".to_owned()),
        ];
        Self {
            variables: variables
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
        }
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.retain(|(of, _)| of != name);
        self.variables.push((name.to_owned(), value.into()));
    }

    /// Each assistant is named after its user, so that a test can find it.
    pub(super) fn simulate_sandboxes(&mut self, openclaw: &SimOpenClaw) {
        self.set("SANDBOX_RUNTIME", "external");
        self.set("SANDBOX_EXTERNAL_URL", openclaw.url("{user}"));
        self.set("SANDBOX_EXTERNAL_TOKEN", OPENCLAW_TOKEN);
    }

    pub(super) fn use_engine(&mut self, engine: &SimDocker, openrouter: &SimOpenRouter) {
        self.set("SANDBOX_RUNTIME", "docker");
        self.set("SANDBOX_HOST", OWNER);
        self.set("DOCKER_HOST", engine.docker_host());
        self.set("OPENCLAW_SANDBOX_IMAGE", engine.image());
        self.use_keys(openrouter);
        self.limit_by_cap_only();
    }

    /// The places follow from `SANDBOX_CAP`, whatever memory the engine reports.
    fn limit_by_cap_only(&mut self) {
        self.set("SANDBOX_MEMORY_RESERVE_MB", "0");
        self.set("SANDBOX_MEMORY_MB", "1");
    }

    fn use_keys(&mut self, openrouter: &SimOpenRouter) {
        self.set("OPENROUTER_PROVISIONING_KEY", openrouter.management_key());
        self.set("OPENROUTER_BASE_URL", openrouter.base_url());
        self.set(
            "SANDBOX_OPENROUTER_BASE_URL",
            openrouter.base_url_in_containers(),
        );
    }

    pub(super) fn use_containers(&mut self, openrouter: &SimOpenRouter) -> Result<()> {
        self.set("SANDBOX_RUNTIME", "docker");
        self.set("SANDBOX_HOST", OWNER);
        let image = environment("OPENCLAW_SANDBOX_IMAGE")
            .context("OPENCLAW_SANDBOX_IMAGE is not set: run this through ./dev")?;
        self.set("OPENCLAW_SANDBOX_IMAGE", image);
        for name in ["SANDBOX_NETWORK", "SANDBOX_HOST_ADDRESS"] {
            if let Some(value) = environment(name) {
                self.set(name, value);
            }
        }
        self.use_keys(openrouter);
        self.limit_by_cap_only();
        Ok(())
    }

    /// All settings, secrets included.
    pub(super) fn all(&self) -> &Variables {
        &self.variables
    }

    /// The settings that are no secrets.
    pub(super) fn public(&self) -> impl Iterator<Item = &(String, String)> {
        let is_public = |(name, _): &&(String, String)| !SECRETS.contains(&name.as_str());
        self.variables.iter().filter(is_public)
    }

    pub(super) fn value_of(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(of, _)| of == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The secrets that are set, each without a prefix that names its kind.
    pub(super) fn secrets(&self) -> Vec<(&'static str, String)> {
        let secrets = SECRETS.into_iter().filter_map(|name| {
            let value = self.value_of(name)?;
            Some((name, value.rsplit(':').next().unwrap_or(value).to_owned()))
        });
        secrets.collect()
    }
}

/// The configuration of our number at Twilio, with webhooks at [`BASE_URL`]; connections to it go to Caddy at this
/// port.
pub(super) fn number_at_twilio(twilio: SimTwilioConfig, caddy_port: u16) -> SimTwilioConfig {
    let webhook = |path: &str| format!("{BASE_URL}/voice/webhook/{path}");
    SimTwilioConfig {
        auth_token: TWILIO_AUTH_TOKEN.into(),
        voice_url: webhook("voice"),
        fallback_url: Some(webhook("fallback")),
        status_url: Some(webhook("call-status")),
        connect_to: vec![([127, 0, 0, 1], caddy_port).into()],
        ..twilio
    }
}

/// A variable of this process's environment, in which `./dev` says where things are.
pub(super) fn environment(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "tests have no Env of their own")]
    let value = std::env::var_os(name);
    value.and_then(|value: OsString| value.into_string().ok())
}

/// The root of this repository.
pub(super) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_value_replaces_an_earlier_one_and_secrets_are_not_public() {
        let mut settings = Settings {
            variables: vec![("VOICE_MODE".into(), "gather".into())],
        };

        settings.set("VOICE_MODE", "relay");
        settings.set("CLAWKAKA_MASTER_KEY", "k1:5eed");

        let public: Vec<_> = settings.public().collect();
        assert_eq!(public, [&("VOICE_MODE".into(), "relay".into())]);
        assert_eq!(
            settings.secrets(),
            [("CLAWKAKA_MASTER_KEY", "5eed".to_owned())]
        );
    }
}
