use std::{fmt, str::FromStr};

use async_trait::async_trait;
use secrecy::SecretString;

use crate::KeyError;

/// Makes, lists and revokes the keys models are called with.
#[async_trait]
pub trait ModelKeys: Send + Sync + 'static {
    /// Makes a key that may spend at most `limit`. Fails, leaving no usable key, when the limit was
    /// not taken.
    ///
    /// There is no idempotency: a call whose answer is lost may have made a key nobody can use. So
    /// `name` should be unique, be stored before the call, and be looked for in [`ModelKeys::list`].
    async fn mint(&self, name: &str, limit: SpendLimit) -> Result<Minted, KeyError>;

    /// Every key of the account's default workspace, disabled ones too.
    async fn list(&self) -> Result<Vec<KeyInfo>, KeyError>;

    /// Deletes a key for good. One that is gone already is a success.
    async fn revoke(&self, hash: &KeyHash) -> Result<(), KeyError>;
}

/// A key, named without being told: usable in logs and rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(String);

impl KeyHash {
    /// Wraps the hash as `OpenRouter` wrote it.
    pub fn new(hash: impl Into<String>) -> Self {
        Self(hash.into())
    }

    /// The hash as `OpenRouter` wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much a key may spend in each period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpendLimit {
    /// US dollars.
    pub usd: f64,
    /// The period.
    pub reset: LimitReset,
}

/// When what was spent is forgotten: at midnight UTC, weeks from Monday, months by the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitReset {
    /// Every day.
    Daily,
    /// Every Monday.
    Weekly,
    /// On the first of every month.
    Monthly,
}

impl LimitReset {
    /// The name in `OpenRouter`'s API and in our settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }
}

impl FromStr for LimitReset {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "daily" => Ok(Self::Daily),
            "weekly" => Ok(Self::Weekly),
            "monthly" => Ok(Self::Monthly),
            _ => Err("expected daily, weekly or monthly"),
        }
    }
}

/// A key that was just made.
#[derive(Debug, Clone)]
pub struct Minted {
    /// Its name for every later call.
    pub hash: KeyHash,
    /// The key itself. It is never shown again.
    pub key: SecretString,
    /// The limit as it was taken.
    pub limit: SpendLimit,
}

/// What a listing tells of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name for every later call.
    pub hash: KeyHash,
    /// What it was called when it was made; names need not be unique.
    pub name: String,
    /// Switched off, but not deleted.
    pub disabled: bool,
}
