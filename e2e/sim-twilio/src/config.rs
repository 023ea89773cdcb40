use std::{net::SocketAddr, time::Duration};

use claw_runtime::{Env, EnvError};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sim_kit::moments::Moments;

/// What a simulated Twilio is told at its start. `Default` suits tests: a free port, known secrets,
/// speech a hundred times faster than people speak, callers who are silent only when told.
#[derive(Debug, Clone)]
pub struct SimTwilioConfig {
    /// Where operators reach it; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The account all calls belong to.
    pub account_sid: String,
    /// Signs webhooks and upgrades (`X-Twilio-Signature`).
    pub auth_token: SecretString,
    /// The number that is called.
    pub number: String,
    /// *A call comes in*, as set at the number: the public URL, connection overrides in its
    /// fragment.
    pub voice_url: String,
    /// *Primary handler fails*, if set.
    pub fallback_url: Option<String>,
    /// *Call status changes*, if set.
    pub status_url: Option<String>,
    /// Which changes are reported there besides the end: `initiated`, `ringing`, `answered`.
    pub status_events: Vec<String>,
    /// Where public URLs are really reached: the replicas behind the public name, tried in turn as
    /// a load balancer would, one that refuses the connection being skipped. Empty: the URLs are
    /// reached as they stand, sockets without TLS. Changed at run time by `set_connect_to`.
    pub connect_to: Vec<SocketAddr>,
    /// How long an answer to a webhook may take, in real time.
    pub read_limit: Duration,
    /// How time on the line passes.
    pub pace: Pace,
    /// When a Gather hears that nothing is said.
    pub silence: Silence,
    /// How long a caller who wants to speak waits for the call to listen.
    pub patience: Duration,
    /// Ended calls kept for the view.
    pub calls_kept: usize,
    /// Where is noted when callers' words went out, and when words for them came.
    pub moments: Moments,
}

/// How time on the line passes: speech, pauses and the limits of Gather. Webhooks take real time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pace {
    /// Characters spoken in a second on the line; people and machines speak about 15.
    pub characters_per_second: f64,
    /// How many times faster than real time the line is.
    pub time_factor: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            characters_per_second: 15.0,
            time_factor: 100.0,
        }
    }
}

impl Pace {
    /// A line in real time.
    pub const REAL: Self = Self {
        characters_per_second: 15.0,
        time_factor: 1.0,
    };

    /// How long `characters` are spoken.
    #[expect(clippy::cast_precision_loss, reason = "texts are short")]
    pub(crate) fn of_characters(&self, characters: usize) -> Duration {
        self.of_seconds(characters as f64 / self.characters_per_second.max(f64::MIN_POSITIVE))
    }

    /// How long `seconds` on the line are.
    pub(crate) fn of_seconds(&self, seconds: f64) -> Duration {
        let scaled = seconds / self.time_factor.max(f64::MIN_POSITIVE);
        Duration::try_from_secs_f64(scaled).unwrap_or(Duration::MAX)
    }

    /// How many characters are spoken in `time`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float becomes the nearest number of characters"
    )]
    pub(crate) fn characters_in(&self, time: Duration) -> usize {
        (time.as_secs_f64() * self.time_factor * self.characters_per_second).round() as usize
    }

    /// How long `time` was on the line.
    pub(crate) fn on_the_line(&self, time: Duration) -> Duration {
        time.mul_f64(self.time_factor.max(0.0))
    }
}

/// When a Gather hears that nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Silence {
    /// Only when the caller is told to be silent: a test decides, however slow the machine is.
    #[default]
    WhenTold,
    /// After its timeout, at the pace of the line, as with real callers.
    AsTimed,
}

impl Default for SimTwilioConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            account_sid: "AC00000000000000000000000000000001".to_owned(),
            auth_token: "auth-token-of-the-simulator".into(),
            number: "+14155550199".to_owned(),
            voice_url: "https://api.clawkaka.example/voice/webhook/voice".to_owned(),
            fallback_url: None,
            status_url: None,
            status_events: Vec::new(),
            connect_to: Vec::new(),
            read_limit: Duration::from_secs(15),
            pace: Pace::default(),
            silence: Silence::default(),
            patience: Duration::from_secs(20),
            calls_kept: 10_000,
            moments: Moments::default(),
        }
    }
}

impl SimTwilioConfig {
    /// Reads `SIM_TWILIO_LISTEN`, `SIM_TWILIO_VOICE_URL`, `SIM_TWILIO_FALLBACK_URL`,
    /// `SIM_TWILIO_STATUS_URL`, `SIM_TWILIO_CONNECT_TO` (comma-separated addresses),
    /// `SIM_TWILIO_TIME_FACTOR`, `TWILIO_ACCOUNT_SID`, `TWILIO_AUTH_TOKEN` (the first of a
    /// comma-separated list signs) and `TWILIO_PHONE_NUMBER`. Callers take real time and are silent
    /// when they say nothing.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        use secrecy::ExposeSecret;

        let defaults = Self::default();
        let listen = env.or(
            "SIM_TWILIO_LISTEN",
            SocketAddr::from(([127, 0, 0, 1], 18084)),
        );
        let voice_url = env.or("SIM_TWILIO_VOICE_URL", defaults.voice_url.clone());
        let fallback_url = env.or("SIM_TWILIO_FALLBACK_URL", String::new());
        let status_url = env.or("SIM_TWILIO_STATUS_URL", String::new());
        let connect_to = env.or("SIM_TWILIO_CONNECT_TO", Addresses::default());
        let time_factor = env.or("SIM_TWILIO_TIME_FACTOR", Pace::REAL.time_factor);
        let account_sid = env.required("TWILIO_ACCOUNT_SID");
        let auth_token = env.secret("TWILIO_AUTH_TOKEN");
        let number = env.required("TWILIO_PHONE_NUMBER");
        let auth_tokens = auth_token?;
        let first = auth_tokens.expose_secret().split(',').next();
        Ok(Self {
            listen: listen?,
            account_sid: account_sid?,
            auth_token: first.unwrap_or_default().trim().into(),
            number: number?,
            voice_url: voice_url?,
            fallback_url: Some(fallback_url?).filter(|url| !url.is_empty()),
            status_url: Some(status_url?).filter(|url| !url.is_empty()),
            connect_to: connect_to?.0,
            pace: Pace {
                time_factor: time_factor?,
                ..Pace::REAL
            },
            silence: Silence::AsTimed,
            ..defaults
        })
    }
}

/// A comma-separated list of addresses.
#[derive(Debug, Default)]
struct Addresses(Vec<SocketAddr>);

impl std::str::FromStr for Addresses {
    type Err = std::net::AddrParseError;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        let addresses = list.split(',').map(str::trim).filter(|one| !one.is_empty());
        addresses
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}
