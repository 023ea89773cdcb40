use std::{net::SocketAddr, str::FromStr, time::Duration};

use claw_runtime::{Env, EnvError, health, lifecycle};
use claw_twilio::signature::{AuthTokens, PublicUrl};
use claw_whatsapp::signature::AppSecrets;
use secrecy::SecretString;

/// What ingress is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where webhooks, health and metrics are served: `LISTEN_HOST` and `PORT`.
    pub listen: SocketAddr,
    /// The bus: `NATS_URL`.
    pub nats_url: SecretString,
    /// What proves that a webhook is Meta's: `WHATSAPP_APP_SECRET`, several during a rotation.
    pub app_secrets: AppSecrets,
    /// What Meta shows when it sets up the webhook: `WHATSAPP_VERIFICATION_TOKEN`.
    pub verification_token: SecretString,
    /// Meta's id of our number: `WHATSAPP_SENDER_PHONE_NUMBER_ID`. What came to others is not ours.
    pub phone_number_id: String,
    /// The phone; without `TWILIO_AUTH_TOKEN` there is none.
    pub voice: Option<VoiceConfig>,
    /// How long requests under way may take once we are told to stop: `SHUTDOWN_GRACE_SECONDS`.
    pub grace: Duration,
}

/// What ingress is told of the phone.
#[derive(Debug, Clone)]
pub struct VoiceConfig {
    /// What proves that a webhook is Twilio's: `TWILIO_AUTH_TOKEN`, several during a rotation.
    pub auth_tokens: AuthTokens,
    /// Where Twilio reaches us, exactly as set there, without the path: `BASE_URL`.
    pub base_url: PublicUrl,
    /// How a conversation is held: `VOICE_MODE`, `gather` or `relay`.
    pub mode: VoiceMode,
    /// How long streamed conversations may go on once we are told to stop: `CALL_GRACE_SECONDS`. Whoever
    /// is on the line then goes on at another replica.
    pub call_grace: Duration,
}

/// How a conversation is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoiceMode {
    /// Turn by turn: what was said comes as a webhook, whose answer is spoken.
    Gather,
    /// Streamed, over a socket: ConversationRelay has to be switched on in the account at Twilio.
    Relay,
}

impl FromStr for VoiceMode {
    type Err = UnknownVoiceMode;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "gather" => Ok(Self::Gather),
            "relay" => Ok(Self::Relay),
            _ => Err(UnknownVoiceMode),
        }
    }
}

/// There is no such way to hold a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is neither gather nor relay")]
pub struct UnknownVoiceMode;

/// How long calls may go on at a stop, in seconds, unless `CALL_GRACE_SECONDS` says otherwise.
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
    /// Reads all of it, or says everything that is missing or wrong.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let listen = health::address(env, "PORT", 3001);
        let nats_url = env.secret("NATS_URL");
        let app_secrets = env.secret("WHATSAPP_APP_SECRET").and_then(|list| {
            AppSecrets::parse(&list).map_err(|error| env.invalid("WHATSAPP_APP_SECRET", error))
        });
        let verification_token = env.secret("WHATSAPP_VERIFICATION_TOKEN");
        let phone_number_id = env.required("WHATSAPP_SENDER_PHONE_NUMBER_ID");
        let voice = VoiceConfig::read(env);
        let grace = lifecycle::grace(env);
        Ok(Self {
            listen: listen?,
            nats_url: nats_url?,
            app_secrets: app_secrets?,
            verification_token: verification_token?,
            phone_number_id: phone_number_id?,
            voice: voice?,
            grace: grace?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_missing_is_said_at_once() {
        let env = Env::from_pairs([("WHATSAPP_APP_SECRET", ","), ("PORT", "door")]);

        let error = Config::read(&env).unwrap_err().to_string();

        for name in [
            "PORT is not a u16",
            "NATS_URL is not set",
            "WHATSAPP_APP_SECRET expected at least one secret",
            "WHATSAPP_VERIFICATION_TOKEN is not set",
            "WHATSAPP_SENDER_PHONE_NUMBER_ID is not set",
        ] {
            assert!(error.contains(name), "{name} in {error}");
        }
    }
}
