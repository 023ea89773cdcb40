use std::{fmt, str::FromStr};

use async_trait::async_trait;
use secrecy::SecretString;
use strum::{IntoStaticStr, VariantArray};

use crate::KeyError;

/// A provider's account of model keys.
#[async_trait]
pub trait ModelKeys: Send + Sync + 'static {
    /// Makes a key that may spend at most `limit`. If the provider does not apply the limit, the call fails and
    /// leaves no usable key.
    ///
    /// Not idempotent: a call whose answer is lost may have made a key that nobody can use. Therefore `name`
    /// should be unique, be stored before the call, and be looked up with [`ModelKeys::list`] afterwards.
    async fn mint(&self, name: &str, limit: SpendLimit) -> Result<Minted, KeyError>;

    /// All keys of the account, including disabled ones.
    async fn list(&self) -> Result<Vec<KeyInfo>, KeyError>;

    /// Lets a key call no model, or lets it again. Succeeds if the key does not exist.
    async fn set_disabled(&self, hash: &KeyHash, disabled: bool) -> Result<(), KeyError>;

    /// Deletes a key for good. Succeeds if the key does not exist.
    async fn revoke(&self, hash: &KeyHash) -> Result<(), KeyError>;
}

/// The provider's id of a key, from which the key cannot be derived: safe in logs and rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(String);

impl KeyHash {
    /// Wraps the id as the provider wrote it.
    pub fn new(hash: impl Into<String>) -> Self {
        Self(hash.into())
    }

    /// The id as the provider wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The amount that a key may spend in each period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpendLimit {
    /// The amount in US dollars.
    pub usd: f64,
    /// The period after which the spent amount returns to zero.
    pub reset: LimitReset,
}

/// How often the spent amount returns to zero, always at midnight UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum LimitReset {
    /// At the beginning of every day.
    Daily,
    /// At the beginning of every Monday.
    Weekly,
    /// At the beginning of every month.
    Monthly,
}

impl LimitReset {
    /// The name in settings.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl FromStr for LimitReset {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::VARIANTS.iter().copied();
        all.find(|reset| reset.as_str() == text)
            .ok_or("expected daily, weekly or monthly")
    }
}

/// A key that was just made.
#[derive(Debug, Clone)]
pub struct Minted {
    /// The provider's id of the key.
    pub hash: KeyHash,
    /// The key itself. It cannot be read again.
    pub key: SecretString,
}

/// A key in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// The provider's id of the key.
    pub hash: KeyHash,
    /// The name given when it was made; not necessarily unique.
    pub name: String,
}
