use std::{net::SocketAddr, time::Duration};

use claw_domain::UserIdKey;
use claw_runtime::{Env, EnvError, health, lifecycle};
use claw_seal::SealingKey;
use claw_twilio::signature::{AuthTokens, PublicUrl};
use claw_whatsapp::signature::AppSecrets;
use secrecy::{ExposeSecret, SecretString};
use strum::EnumString;

use crate::{Keys, TrustedProxies};

/// The settings of ingress.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address for webhooks, health and metrics: `LISTEN_HOST` and `PORT`.
    pub listen: SocketAddr,
    /// The NATS server: `NATS_URL`.
    pub nats_url: SecretString,
    /// The secrets that Meta signs webhooks with: `WHATSAPP_APP_SECRET`, several during a rotation.
    pub app_secrets: AppSecrets,
    /// The token that Meta sends when it subscribes the webhook: `WHATSAPP_VERIFICATION_TOKEN`.
    pub verification_token: SecretString,
    /// Meta's id of our number: `WHATSAPP_SENDER_PHONE_NUMBER_ID`. Messages to other numbers are ignored.
    pub phone_number_id: String,
    /// Derive the ids of users, and seal PINs: `USER_ID_KEY` and `PIN_PUBLIC_KEY`.
    pub keys: Keys,
    /// Who may say where a request comes from: `TRUSTED_PROXIES`.
    pub trusted_proxies: TrustedProxies,
    /// The phone; `None` without `TWILIO_AUTH_TOKEN`.
    pub voice: Option<VoiceConfig>,
    /// How long requests may take to finish at shutdown: `SHUTDOWN_GRACE_SECONDS`.
    pub grace: Duration,
}

/// The settings of the phone.
#[derive(Debug, Clone)]
pub struct VoiceConfig {
    /// The tokens that Twilio signs requests with: `TWILIO_AUTH_TOKEN`, several during a rotation.
    pub auth_tokens: AuthTokens,
    /// The address at which Twilio reaches us, exactly as configured there and without a path: `BASE_URL`.
    pub base_url: PublicUrl,
    /// How conversations are held: `VOICE_MODE`.
    pub mode: VoiceMode,
    /// How long streamed conversations may go on at shutdown: `CALL_GRACE_SECONDS`. Calls that are not over by
    /// then go on at another replica.
    pub call_grace: Duration,
}

/// How conversations are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString)]
#[strum(
    serialize_all = "lowercase",
    parse_err_ty = UnknownVoiceMode,
    parse_err_fn = unknown_voice_mode
)]
pub enum VoiceMode {
    /// With webhooks: Twilio sends what the caller said, and speaks the response.
    Gather,
    /// Streamed over a WebSocket. ConversationRelay must be enabled in the Twilio account.
    Relay,
}

/// `VOICE_MODE` has an unknown value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `gather` or `relay`")]
pub struct UnknownVoiceMode;

fn unknown_voice_mode(_name: &str) -> UnknownVoiceMode {
    UnknownVoiceMode
}

/// The default of `CALL_GRACE_SECONDS`.
const DEFAULT_CALL_GRACE_SECONDS: u64 = 300;

impl VoiceConfig {
    fn read(env: &Env) -> Result<Option<Self>, EnvError> {
        let Some(tokens) = env.optional_secret("TWILIO_AUTH_TOKEN")? else {
            return Ok(None);
        };
        let auth_tokens =
            AuthTokens::parse(&tokens).map_err(|error| env.invalid("TWILIO_AUTH_TOKEN", error));
        let base_url = env
            .required("BASE_URL")
            .and_then(|url| PublicUrl::parse(&url).map_err(|error| env.invalid("BASE_URL", error)));
        let mode = env.or("VOICE_MODE", VoiceMode::Gather);
        let call_grace = env.or("CALL_GRACE_SECONDS", DEFAULT_CALL_GRACE_SECONDS);
        Ok(Some(Self {
            auth_tokens: auth_tokens?,
            base_url: base_url?,
            mode: mode?,
            call_grace: call_grace.map(Duration::from_secs)?,
        }))
    }
}

impl Config {
    /// Reads the settings. The error lists every one that is missing or wrong.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let listen = health::address(env, "PORT", 3001);
        let nats_url = env.secret("NATS_URL");
        let app_secrets = env.secret("WHATSAPP_APP_SECRET").and_then(|list| {
            AppSecrets::parse(&list).map_err(|error| env.invalid("WHATSAPP_APP_SECRET", error))
        });
        let verification_token = env.secret("WHATSAPP_VERIFICATION_TOKEN");
        let phone_number_id = env.required("WHATSAPP_SENDER_PHONE_NUMBER_ID");
        let keys = keys(env);
        let trusted_proxies = env.or("TRUSTED_PROXIES", TrustedProxies::default());
        let voice = VoiceConfig::read(env);
        let grace = lifecycle::grace(env);
        Ok(Self {
            listen: listen?,
            nats_url: nats_url?,
            app_secrets: app_secrets?,
            verification_token: verification_token?,
            phone_number_id: phone_number_id?,
            keys: keys?,
            trusted_proxies: trusted_proxies?,
            voice: voice?,
            grace: grace?,
        })
    }
}

fn keys(env: &Env) -> Result<Keys, EnvError> {
    let user_ids = env.secret("USER_ID_KEY").and_then(|digits| {
        UserIdKey::parse(digits.expose_secret()).map_err(|error| env.invalid("USER_ID_KEY", error))
    });
    let pins = env.secret("PIN_PUBLIC_KEY").and_then(|digits| {
        SealingKey::parse(digits.expose_secret())
            .map_err(|error| env.invalid("PIN_PUBLIC_KEY", error))
    });
    Ok(Keys {
        user_ids: user_ids?,
        pins: pins?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_setting_is_listed() {
        let env = Env::from_pairs([
            ("WHATSAPP_APP_SECRET", ","),
            ("PORT", "http"),
            ("USER_ID_KEY", "k1:00"),
        ]);

        let error = Config::read(&env).unwrap_err().to_string();

        for name in [
            "PORT: expected a whole number",
            "NATS_URL: required, but neither NATS_URL nor NATS_URL_FILE is set",
            "WHATSAPP_APP_SECRET: expected at least one secret",
            "WHATSAPP_VERIFICATION_TOKEN: required",
            "WHATSAPP_SENDER_PHONE_NUMBER_ID: required, but not set",
            "USER_ID_KEY: expected 64 hex digits",
            "PIN_PUBLIC_KEY: required",
        ] {
            assert!(error.contains(name), "{name} is not in {error}");
        }
    }
}
