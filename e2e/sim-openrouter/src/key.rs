use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, Utc};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The period after which the spending of a key is reset, at midnight UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LimitReset {
    /// At the start of every day.
    Daily,
    /// At the start of every Monday.
    Weekly,
    /// At the start of every month.
    Monthly,
}

/// An inference key, known by the hash of its secret.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) hash: String,
    pub(crate) name: String,
    pub(crate) disabled: bool,
    pub(crate) limit: Option<f64>,
    pub(crate) limit_reset: Option<LimitReset>,
    pub(crate) include_byok_in_limit: bool,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: Option<DateTime<Utc>>,
    pub(crate) completions: u64,
    label: String,
    spent: Spending,
}

/// The USD spent, in total and in the current periods.
#[derive(Debug, Clone, Default)]
struct Spending {
    total: f64,
    day: f64,
    week: f64,
    month: f64,
    last: Option<NaiveDate>,
}

/// The body of `POST /keys`.
#[derive(Debug, Deserialize)]
pub(crate) struct NewKey {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) limit: Option<f64>,
    #[serde(default)]
    pub(crate) limit_reset: Option<LimitReset>,
    #[serde(default)]
    pub(crate) include_byok_in_limit: bool,
    #[serde(default)]
    pub(crate) expires_at: Option<String>,
}

/// The hash that identifies the key with this secret.
pub(crate) fn hash_of(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}

impl Key {
    /// Makes a key; the second value is its secret, which is not stored. `None` if a field is invalid.
    pub(crate) fn make(new: NewKey, now: DateTime<Utc>) -> Option<(Self, String)> {
        let expires_at = match &new.expires_at {
            // The real API accepts only UTC.
            Some(text) if text.ends_with('Z') => Some(text.parse().ok()?),
            Some(_) => return None,
            None => None,
        };
        if new.name.is_empty() || new.limit.is_some_and(|limit| limit < 0.0) {
            return None;
        }
        let random: [u8; 32] = rand::rng().random();
        let secret = format!("sk-or-v1-{}", hex::encode(random));
        let key = Self {
            hash: hash_of(&secret),
            label: format!("{}...{}", &secret[..12], &secret[secret.len() - 3..]),
            name: new.name,
            disabled: false,
            limit: new.limit,
            limit_reset: new.limit_reset,
            include_byok_in_limit: new.include_byok_in_limit,
            expires_at,
            created_at: now,
            updated_at: None,
            completions: 0,
            spent: Spending::default(),
        };
        Some((key, secret))
    }

    /// Whether the key is neither disabled nor expired.
    pub(crate) fn is_valid(&self, now: DateTime<Utc>) -> bool {
        !self.disabled && self.expires_at.is_none_or(|end| now < end)
    }

    /// The rest of the limit, in USD; `None` without a limit.
    pub(crate) fn remaining(&mut self, now: DateTime<Utc>) -> Option<f64> {
        self.spent.roll_over(now.date_naive());
        let spent = match self.limit_reset {
            None => self.spent.total,
            Some(LimitReset::Daily) => self.spent.day,
            Some(LimitReset::Weekly) => self.spent.week,
            Some(LimitReset::Monthly) => self.spent.month,
        };
        self.limit.map(|limit| limit - spent)
    }

    /// Charges the key `usd`.
    pub(crate) fn spend(&mut self, usd: f64, now: DateTime<Utc>) {
        self.spent.roll_over(now.date_naive());
        self.spent.total += usd;
        self.spent.day += usd;
        self.spent.week += usd;
        self.spent.month += usd;
    }

    pub(crate) fn total_spent(&self) -> f64 {
        self.spent.total
    }

    /// The key as `/keys` shows it to a manager.
    pub(crate) fn view(&mut self, now: DateTime<Utc>) -> Value {
        let mut view = self.money(now);
        let more = json!({
            "hash": self.hash,
            "name": self.name,
            "label": self.label,
            "disabled": self.disabled,
            "created_at": stamp(self.created_at),
            "updated_at": self.updated_at.map(stamp),
            "expires_at": self.expires_at.map(stamp),
            "creator_user_id": null,
            "workspace_id": "0df9e665-d932-5740-b2c7-b52af166bc11",
        });
        merge(&mut view, more);
        view
    }

    /// The key as `GET /key` shows it to its holder.
    pub(crate) fn own_view(&mut self, now: DateTime<Utc>) -> Value {
        let mut view = self.money(now);
        let more = json!({
            "label": self.label,
            "expires_at": self.expires_at.map(stamp),
            "creator_user_id": null,
            "is_free_tier": false,
            "is_management_key": false,
            "is_provisioning_key": false,
            "rate_limit": {
                "interval": "1h",
                "note": "This field is deprecated and safe to ignore.",
                "requests": 1000,
            },
        });
        merge(&mut view, more);
        view
    }

    fn money(&mut self, now: DateTime<Utc>) -> Value {
        let remaining = self.remaining(now);
        json!({
            "limit": self.limit,
            "limit_remaining": remaining,
            "limit_reset": self.limit_reset,
            "include_byok_in_limit": self.include_byok_in_limit,
            "usage": self.spent.total,
            "usage_daily": self.spent.day,
            "usage_weekly": self.spent.week,
            "usage_monthly": self.spent.month,
            "byok_usage": 0,
            "byok_usage_daily": 0,
            "byok_usage_weekly": 0,
            "byok_usage_monthly": 0,
        })
    }
}

impl Spending {
    /// Resets the periods that ended between the last call and `today`.
    fn roll_over(&mut self, today: NaiveDate) {
        let Some(last) = self.last.replace(today) else {
            return;
        };
        if last != today {
            self.day = 0.0;
        }
        if last.iso_week() != today.iso_week() {
            self.week = 0.0;
        }
        if (last.year(), last.month()) != (today.year(), today.month()) {
            self.month = 0.0;
        }
    }
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daily_limit_is_reset_at_midnight_utc() {
        let evening: DateTime<Utc> = "2026-11-22T23:59:00Z".parse().unwrap();
        let (mut key, _) = Key::make(new_key(Some(LimitReset::Daily)), evening).unwrap();

        key.spend(0.4, evening);
        assert_eq!(key.remaining(evening), Some(0.6));
        let morning = evening + chrono::TimeDelta::minutes(2);
        assert_eq!(key.remaining(morning), Some(1.0));
        assert!((key.total_spent() - 0.4).abs() < 1e-9);
    }

    #[test]
    fn a_weekly_limit_is_reset_on_monday_and_a_limit_without_reset_never_is() {
        let sunday: DateTime<Utc> = "2026-11-22T12:00:00Z".parse().unwrap();
        let monday = sunday + chrono::TimeDelta::days(1);
        let (mut weekly, _) = Key::make(new_key(Some(LimitReset::Weekly)), sunday).unwrap();
        let (mut never, _) = Key::make(new_key(None), sunday).unwrap();

        weekly.spend(0.5, sunday);
        never.spend(0.5, sunday);

        assert_eq!(weekly.remaining(monday), Some(1.0));
        assert_eq!(never.remaining(monday), Some(0.5));
    }

    #[test]
    fn an_expiry_must_be_in_utc() {
        let now: DateTime<Utc> = "2026-11-22T12:00:00Z".parse().unwrap();
        let with = |expiry: &str| NewKey {
            expires_at: Some(expiry.to_owned()),
            ..new_key(None)
        };

        assert!(Key::make(with("2027-01-01T00:00:00+01:00"), now).is_none());
        let (key, _) = Key::make(with("2026-11-22T12:00:01Z"), now).unwrap();
        assert!(key.is_valid(now));
        assert!(!key.is_valid(now + chrono::TimeDelta::seconds(1)));
    }

    fn new_key(limit_reset: Option<LimitReset>) -> NewKey {
        NewKey {
            name: "sandbox".to_owned(),
            limit: Some(1.0),
            limit_reset,
            include_byok_in_limit: false,
            expires_at: None,
        }
    }
}
