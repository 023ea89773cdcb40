use std::{net::SocketAddr, time::Duration};

use claw_runtime::{Env, EnvError};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::SimTemplate;

/// What a simulated Meta is told at its start. `Default` suits tests: a free port, known secrets,
/// Meta's own limits, statuses a few milliseconds apart.
#[derive(Debug, Clone)]
pub struct SimMetaConfig {
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where webhooks go. Without it they wait in the backlog until one is set.
    pub webhook_url: Option<String>,
    /// Signs webhooks (`X-Hub-Signature-256`).
    pub app_secret: SecretString,
    /// The bearer token sends must carry.
    pub access_token: SecretString,
    /// The id of the business number, in the path of sends and in every webhook.
    pub phone_number_id: String,
    /// Messages per second of the business number; 0 switches the limit off. Meta's default is 80.
    pub throughput: u32,
    /// Whether one recipient gets at most one message per 6 s (45 in a burst).
    pub pair_rate: bool,
    /// Whether free text needs a message from the person in the last 24 hours.
    pub window: bool,
    /// What may be sent outside those 24 hours.
    pub templates: Vec<SimTemplate>,
    /// What becomes of an accepted send.
    pub statuses: StatusPlan,
    /// How webhooks are delivered.
    pub webhooks: WebhookPlan,
    /// Lines kept per chat; older ones are forgotten, the counts are not.
    pub lines_per_chat: usize,
    /// Accepted sends kept for `GET /sim/sends`.
    pub sends_kept: usize,
}

/// The statuses that follow an accepted send, each after its time; `None` leaves one out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusPlan {
    /// Milliseconds until `sent`.
    pub sent_ms: Option<u64>,
    /// Milliseconds until `delivered`.
    pub delivered_ms: Option<u64>,
    /// Milliseconds until `read`; many people have receipts off.
    pub read_ms: Option<u64>,
    /// Up to so many milliseconds more for each status, by chance: they overtake one another.
    pub shuffle_ms: u64,
    /// Share of sends, in percent, that end in `failed` (with `failed_code`) after `sent`.
    pub failed_percent: u8,
    /// Code of those failures.
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

/// How webhooks reach us.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookPlan {
    /// POSTs under way at once.
    pub concurrency: usize,
    /// Statuses put into one POST when several are due (Meta: up to 1,000).
    pub batch: usize,
    /// Share of webhooks, in percent, that are posted a second time though the first was accepted.
    pub duplicate_percent: u8,
    /// Whether a person's messages are posted one after the other, each when the one before was
    /// accepted. Meta promises no order; without this nobody can say which message came first.
    pub ordered: bool,
    /// Webhooks that may wait; further messages are refused (503), further statuses dropped and
    /// counted.
    pub backlog_limit: usize,
    /// How many times faster than Meta's the retries are: 10 s, 20 s, 40 s … 6 h for 7 days.
    pub time_factor: f64,
    /// Milliseconds until a POST without an answer has failed.
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

/// Meta's schedule: the first retry comes at once, the second after this, then doubling.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_hours(6);

/// After this a webhook is given up.
const GIVE_UP_AFTER: Duration = Duration::from_hours(7 * 24);

impl WebhookPlan {
    /// The pause before try number `tries + 1`.
    pub(crate) fn pause_after(&self, tries: u32) -> Duration {
        let Some(doublings) = tries.checked_sub(2) else {
            return Duration::ZERO;
        };
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(doublings));
        self.compressed(pause.min(LONGEST_PAUSE))
    }

    /// How long a webhook is tried.
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
    /// Reads `SIM_META_LISTEN`, `SIM_META_WEBHOOK_URL`, `SIM_META_THROUGHPUT`,
    /// `SIM_META_PAIR_RATE`, `SIM_META_WINDOW`, `SIM_META_TIME_FACTOR`, `WHATSAPP_APP_SECRET` (the
    /// first of a comma-separated list signs), `WHATSAPP_ACCESS_TOKEN` and
    /// `WHATSAPP_SENDER_PHONE_NUMBER_ID`.
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
    fn a_webhook_is_tried_again_at_once_then_after_growing_pauses() {
        let plan = WebhookPlan {
            time_factor: 10.0,
            ..WebhookPlan::default()
        };
        let pauses: Vec<u128> = (1..6).map(|n| plan.pause_after(n).as_millis()).collect();

        assert_eq!(pauses, [0, 1_000, 2_000, 4_000, 8_000]);
        assert_eq!(plan.pause_after(60), Duration::from_mins(36));
    }
}
