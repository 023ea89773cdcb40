use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use claw_runtime::{Env, EnvError, health, lifecycle};
use claw_whatsapp::send::{CloudApiConfig, Template};
use secrecy::SecretString;

/// Meta's address, with the API version this was written for.
const DEFAULT_API_BASE_URL: &str = "https://graph.facebook.com/v24.0";

/// Meta's initial limit for every number, for inbound and outbound messages together.
const DEFAULT_MESSAGES_PER_SECOND: NonZeroU32 = NonZeroU32::new(80).expect("80 is not zero");

/// The settings of outbound.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address of health and metrics: `LISTEN_HOST` and `HEALTH_PORT`.
    pub health: SocketAddr,
    /// The address of the bus, with the password: `NATS_URL`.
    pub nats_url: SecretString,
    /// The address of Postgres, with the password: `DATABASE_URL`.
    pub database_url: SecretString,
    /// The Cloud API: `WHATSAPP_API_BASE_URL`, `WHATSAPP_SENDER_PHONE_NUMBER_ID`,
    /// `WHATSAPP_ACCESS_TOKEN`.
    pub whatsapp: CloudApiConfig,
    /// The template for users who have not written for a day: `WHATSAPP_TEMPLATE`. Without one they receive
    /// nothing.
    pub template: Option<Template>,
    /// Most messages per second, for all users together: `WHATSAPP_MESSAGES_PER_SECOND`.
    pub messages_per_second: NonZeroU32,
    /// How long sends in flight may take after a stop signal: `SHUTDOWN_GRACE_SECONDS`.
    pub grace: Duration,
}

impl Config {
    /// Reads all settings; the error lists everything that is missing or invalid.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let health = health::address(env, "HEALTH_PORT", 3104);
        let nats_url = env.secret("NATS_URL");
        let database_url = env.secret("DATABASE_URL");
        let base_url = env.or("WHATSAPP_API_BASE_URL", DEFAULT_API_BASE_URL.to_owned());
        let phone_number_id = env.required("WHATSAPP_SENDER_PHONE_NUMBER_ID");
        let access_token = env.secret("WHATSAPP_ACCESS_TOKEN");
        let template = template(env);
        let messages_per_second =
            env.or("WHATSAPP_MESSAGES_PER_SECOND", DEFAULT_MESSAGES_PER_SECOND);
        let grace = lifecycle::grace(env);
        Ok(Self {
            health: health?,
            nats_url: nats_url?,
            database_url: database_url?,
            whatsapp: CloudApiConfig {
                base_url: base_url?,
                phone_number_id: phone_number_id?,
                access_token: access_token?,
            },
            template: template?,
            messages_per_second: messages_per_second?,
            grace: grace?,
        })
    }
}

fn template(env: &Env) -> Result<Option<Template>, EnvError> {
    let template = env
        .optional("WHATSAPP_TEMPLATE")
        .map(|text| text.trim().parse());
    template
        .transpose()
        .map_err(|error| env.invalid("WHATSAPP_TEMPLATE", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_lists_everything_missing_or_invalid() {
        let env = Env::from_pairs([
            ("WHATSAPP_MESSAGES_PER_SECOND", "0"),
            ("WHATSAPP_TEMPLATE", "assistant_writes"),
        ]);

        let error = Config::read(&env).unwrap_err().to_string();

        for name in [
            "NATS_URL",
            "DATABASE_URL",
            "WHATSAPP_SENDER_PHONE_NUMBER_ID",
            "WHATSAPP_ACCESS_TOKEN",
            "WHATSAPP_MESSAGES_PER_SECOND",
            "expected `<name>:<language code>`",
        ] {
            assert!(error.contains(name), "{name} is not in {error}");
        }
    }
}
