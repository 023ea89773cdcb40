use std::{net::SocketAddr, time::Duration};

use claw_runtime::{Env, EnvError};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::SimTemplate;

/// Settings of a simulated Meta. The default suits tests: a free port, known secrets, Meta's own limits,
/// statuses a few milliseconds apart.
#[derive(Debug, Clone)]
pub struct SimMetaConfig {
    /// The address to listen on; port 0 picks a free port.
    pub listen: SocketAddr,
    /// The URL that webhooks are posted to. If absent, webhooks wait in the backlog until a URL is set.
    pub webhook_url: Option<String>,
    /// The secret that signs webhooks (`X-Hub-Signature-256`).
    pub app_secret: SecretString,
    /// The bearer token that sends must carry.
    pub access_token: SecretString,
    /// The id of the business number, in the path of sends and in every webhook.
    pub phone_number_id: String,
    /// Messages per second of the business number; 0 means no limit. Meta's default is 80.
    pub throughput: u32,
    /// Whether one recipient gets at most one message per 6 s, 45 in a burst.
    pub pair_rate: bool,
    /// Whether free text needs a message from the user in the last 24 hours.
    pub window: bool,
    /// Templates, which may be sent outside those 24 hours.
    pub templates: Vec<SimTemplate>,
    /// Statuses reported for an accepted send.
    pub statuses: StatusPlan,
    /// How webhooks are delivered.
    pub webhooks: WebhookPlan,
    /// Lines kept per chat; older lines are dropped, but still counted.
    pub lines_per_chat: usize,
    /// Accepted sends kept for `GET /sim/sends`.
    pub sends_kept: usize,
}

/// The statuses that follow an accepted send, each after its time; `None` omits one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusPlan {
    /// Milliseconds from the acceptance of the send to the status `sent`.
    pub sent_ms: Option<u64>,
    /// Milliseconds from the acceptance to the status `delivered`.
    pub delivered_ms: Option<u64>,
    /// Milliseconds from the acceptance to the status `read`; many users have switched read receipts off.
    pub read_ms: Option<u64>,
    /// Largest random delay added to each status, in milliseconds: statuses overtake one another.
    pub shuffle_ms: u64,
    /// Percentage of sends that end in `failed` (with `failed_code`) after `sent`.
    pub failed_percent: u8,
    /// Error code of those failures.
    pub failed_code: i64,
}

impl Default for StatusPlan {
    fn default() -> Self {
        Self {
            sent_ms: Some(5),
            delivered_ms: Some(15),
            read_ms: Some(40),
            shuffle_ms: 0,
            failed_percent: 0,
            failed_code: 131_026,
        }
    }
}

/// How webhooks are delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookPlan {
    /// POSTs in flight at once.
    pub concurrency: usize,
    /// Most statuses in one POST (Meta: 1,000).
    pub batch: usize,
    /// Percentage of webhooks that are posted a second time after they were accepted.
    pub duplicate_percent: u8,
    /// Whether a message of a user is posted only after the one before it was accepted. Meta promises no
    /// order; a test that checks the order of answers needs one.
    pub ordered: bool,
    /// Most webhooks that wait; further messages are refused (503), further statuses dropped and counted.
    pub backlog_limit: usize,
    /// How many times faster than Meta's the retries are. Meta's come after 10 s, 20 s, 40 s … 6 h, for 7
    /// days.
    pub time_factor: f64,
    /// Milliseconds after which a POST without an answer has failed.
    pub timeout_ms: u64,
}

impl Default for WebhookPlan {
    fn default() -> Self {
        Self {
            concurrency: 32,
            batch: 20,
            duplicate_percent: 0,
            ordered: true,
            backlog_limit: 200_000,
            time_factor: 100.0,
            timeout_ms: 10_000,
        }
    }
}

/// Meta's schedule: the first retry is immediate, the second comes after this pause, which then doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_hours(6);

/// The time after which a webhook is given up.
const GIVE_UP_AFTER: Duration = Duration::from_hours(7 * 24);

impl WebhookPlan {
    /// The pause after attempt number `tries`.
    pub(crate) fn pause_after(&self, tries: u32) -> Duration {
        let Some(doublings) = tries.checked_sub(2) else {
            return Duration::ZERO;
        };
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(doublings));
        self.compressed(pause.min(LONGEST_PAUSE))
    }

    /// How long a webhook is retried.
    pub(crate) fn tried_for(&self) -> Duration {
        self.compressed(GIVE_UP_AFTER)
    }

    fn compressed(&self, time: Duration) -> Duration {
        time.div_f64(self.time_factor.max(f64::MIN_POSITIVE))
    }
}

impl Default for SimMetaConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            webhook_url: None,
            app_secret: "app-secret-of-the-simulator".into(),
            access_token: "access-token-of-the-simulator".into(),
            phone_number_id: "106540352242922".to_owned(),
            throughput: 80,
            pair_rate: true,
            window: true,
            templates: vec![SimTemplate::default()],
            statuses: StatusPlan::default(),
            webhooks: WebhookPlan::default(),
            lines_per_chat: 1_000,
            sends_kept: 100_000,
        }
    }
}

impl SimMetaConfig {
    /// Reads the environment variables that `sim-meta --help` lists.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        use secrecy::ExposeSecret;

        let defaults = Self::default();
        let listen = env.or("SIM_META_LISTEN", SocketAddr::from(([127, 0, 0, 1], 18081)));
        let webhook_url = env.or(
            "SIM_META_WEBHOOK_URL",
            "http://127.0.0.1:8080/whatsapp/webhook".to_owned(),
        );
        let throughput = env.or("SIM_META_THROUGHPUT", defaults.throughput);
        let pair_rate = env.or("SIM_META_PAIR_RATE", defaults.pair_rate);
        let window = env.or("SIM_META_WINDOW", defaults.window);
        let time_factor = env.or("SIM_META_TIME_FACTOR", defaults.webhooks.time_factor);
        let app_secret = env.secret("WHATSAPP_APP_SECRET");
        let access_token = env.secret("WHATSAPP_ACCESS_TOKEN");
        let phone_number_id = env.required("WHATSAPP_SENDER_PHONE_NUMBER_ID");
        let app_secrets = app_secret?;
        let first = app_secrets.expose_secret().split(',').next();
        Ok(Self {
            listen: listen?,
            webhook_url: Some(webhook_url?),
            app_secret: first.unwrap_or_default().trim().into(),
            access_token: access_token?,
            phone_number_id: phone_number_id?,
            throughput: throughput?,
            pair_rate: pair_rate?,
            window: window?,
            webhooks: WebhookPlan {
                time_factor: time_factor?,
                ..defaults.webhooks
            },
            ..defaults
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_retried_at_once_and_then_after_growing_pauses() {
        let plan = WebhookPlan {
            time_factor: 10.0,
            ..WebhookPlan::default()
        };
        let pauses: Vec<u128> = (1..6).map(|n| plan.pause_after(n).as_millis()).collect();

        assert_eq!(pauses, [0, 1_000, 2_000, 4_000, 8_000]);
        assert_eq!(plan.pause_after(60), Duration::from_mins(36));
    }
}
