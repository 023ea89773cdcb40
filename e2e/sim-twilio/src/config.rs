use std::{net::SocketAddr, time::Duration};

use claw_runtime::{Env, EnvError};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sim_kit::timeline::Timeline;

/// Settings of a simulated Twilio. The default suits tests: a free port, known secrets, speech a hundred
/// times faster than real speech, and a caller is silent only when told to.
#[derive(Debug, Clone)]
pub struct SimTwilioConfig {
    /// The address of the control API; port 0 picks a free port.
    pub listen: SocketAddr,
    /// The account of all calls.
    pub account_sid: String,
    /// The secret that signs webhooks and upgrades (`X-Twilio-Signature`).
    pub auth_token: SecretString,
    /// The number that is called.
    pub number: String,
    /// The number's setting *A call comes in*: a public URL, with connection overrides in its fragment.
    pub voice_url: String,
    /// The number's setting *Primary handler fails*.
    pub fallback_url: Option<String>,
    /// The number's setting *Call status changes*.
    pub status_url: Option<String>,
    /// The changes reported there besides the end: `initiated`, `ringing`, `answered`.
    pub status_events: Vec<String>,
    /// The replicas behind the public name. They are tried in order, as by a load balancer, and one that
    /// refuses the connection is skipped. If the list is empty, connections go to the URLs themselves, and
    /// sockets use no TLS. `set_connect_to` changes the list at run time.
    pub connect_to: Vec<SocketAddr>,
    /// Longest time for the answer to a webhook, in real time.
    pub read_limit: Duration,
    /// How fast time passes on the line.
    pub pace: Pace,
    /// The condition on which a Gather detects silence.
    pub silence: Silence,
    /// Longest time an action of the caller waits for the call to listen.
    pub action_timeout: Duration,
    /// Calls kept; beyond this number the oldest ended calls are dropped.
    pub calls_kept: usize,
    /// Records when callers' words were sent, and when words for callers arrived.
    pub timeline: Timeline,
}

/// How fast time passes on the line: for speech, pauses and the timeouts of Gather. Webhooks take real time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pace {
    /// Characters spoken per second on the line; humans and machines speak about 15.
    pub characters_per_second: f64,
    /// How many times faster than real time the time on the line passes.
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
    /// The pace of a real call.
    pub const REAL: Self = Self {
        characters_per_second: 15.0,
        time_factor: 1.0,
    };

    /// The real time it takes to speak so many characters.
    #[expect(clippy::cast_precision_loss, reason = "texts are short")]
    pub(crate) fn of_characters(&self, characters: usize) -> Duration {
        self.of_seconds(characters as f64 / self.characters_per_second.max(f64::MIN_POSITIVE))
    }

    /// The real time that `seconds` on the line take.
    pub(crate) fn of_seconds(&self, seconds: f64) -> Duration {
        let scaled = seconds / self.time_factor.max(f64::MIN_POSITIVE);
        Duration::try_from_secs_f64(scaled).unwrap_or(Duration::MAX)
    }

    /// How many characters are spoken in the real time `time`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float becomes the nearest number of characters"
    )]
    pub(crate) fn characters_in(&self, time: Duration) -> usize {
        (time.as_secs_f64() * self.time_factor * self.characters_per_second).round() as usize
    }

    /// The time on the line that passes in the real time `time`.
    pub(crate) fn on_the_line(&self, time: Duration) -> Duration {
        time.mul_f64(self.time_factor.max(0.0))
    }
}

/// The condition on which a Gather detects that the caller is silent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Silence {
    /// Only when the caller is told to be silent, so that a test does not depend on the machine's speed.
    #[default]
    WhenTold,
    /// After the Gather's timeout, at the pace of the line, as with real callers.
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
            action_timeout: Duration::from_secs(20),
            calls_kept: 10_000,
            timeline: Timeline::default(),
        }
    }
}

impl SimTwilioConfig {
    /// Reads the environment variables that `sim-twilio --help` lists. Calls run in real time, and a caller
    /// who says nothing is silent.
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
