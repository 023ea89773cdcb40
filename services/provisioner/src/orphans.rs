//! Finds model keys that no row refers to. Pure.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    time::Duration,
};

use chrono::{DateTime, Utc};
use claw_domain::SandboxId;
use claw_model_keys::{KeyHash, KeyInfo};
use uuid::Uuid;

/// The first part of every key's name.
const PRODUCT: &str = "clawkaka";

/// How long a key must be unknown before it is deleted: far longer than making a key and storing its hash takes.
const ORPHAN_AFTER: Duration = Duration::from_mins(10);

/// The name of a model key: `clawkaka:<installation>:<sandbox>:<attempt>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName {
    owner: String,
    sandbox: SandboxId,
    attempt: Uuid,
}

impl KeyName {
    /// The name for one attempt to make a key. `owner` is the installation's name, without a colon.
    pub fn new(owner: &str, sandbox: SandboxId, attempt: Uuid) -> Self {
        Self {
            owner: owner.to_owned(),
            sandbox,
            attempt,
        }
    }

    /// Parses a name; `None` if it has another format.
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split(':');
        let product = parts.next()?;
        let (owner, sandbox, attempt) = (parts.next()?, parts.next()?, parts.next()?);
        if product != PRODUCT || parts.next().is_some() {
            return None;
        }
        Some(Self {
            owner: owner.to_owned(),
            sandbox: sandbox.parse().ok()?,
            attempt: attempt.parse().ok()?,
        })
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{PRODUCT}:{}:{}:{}",
            self.owner, self.sandbox, self.attempt
        )
    }
}

/// The keys that rows refer to.
#[derive(Debug, Clone, Default)]
pub struct KnownKeys {
    /// The hashes of keys that were made.
    pub hashes: HashSet<String>,
    /// The names stored before their keys were made.
    pub names: HashSet<String>,
}

/// The keys of the account that no row refers to, each with the time at which that was first seen.
#[derive(Debug, Default)]
pub struct UnknownKeys {
    since: HashMap<KeyHash, DateTime<Utc>>,
}

impl UnknownKeys {
    /// Records a listing of the account and returns the orphans: keys of the installation `owner` that no row
    /// has referred to for ten minutes by our clock. Ignores keys of other installations and other names.
    pub fn orphans(
        &mut self,
        owner: &str,
        listed: &[KeyInfo],
        known: &KnownKeys,
        now: DateTime<Utc>,
    ) -> Vec<KeyHash> {
        let is_unknown = |key: &&KeyInfo| {
            KeyName::parse(&key.name).is_some_and(|name| name.owner == owner)
                && !known.hashes.contains(key.hash.as_str())
                && !known.names.contains(&key.name)
        };
        let unknown: HashSet<&KeyHash> = listed
            .iter()
            .filter(is_unknown)
            .map(|key| &key.hash)
            .collect();
        self.since.retain(|hash, _| unknown.contains(hash));
        for hash in unknown {
            self.since.entry(hash.clone()).or_insert(now);
        }
        let is_old = |since: DateTime<Utc>| {
            (now - since)
                .to_std()
                .is_ok_and(|passed| passed >= ORPHAN_AFTER)
        };
        let old = self.since.iter().filter(|(_, since)| is_old(**since));
        old.map(|(hash, _)| hash.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    const ATTEMPT: Uuid = Uuid::from_u128(7);

    #[test]
    fn a_name_parses_back_and_other_formats_do_not() {
        let name = KeyName::new("local", SandboxId::derived_from("s"), ATTEMPT);

        assert_eq!(KeyName::parse(&name.to_string()), Some(name.clone()));
        for foreign in [
            "My Production Key".to_owned(),
            format!("{name}:more"),
            format!("x{name}"),
            format!("clawkaka:local:sbx_1:{ATTEMPT}"),
            "clawkaka:local".to_owned(),
        ] {
            assert_eq!(KeyName::parse(&foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_key_is_an_orphan_after_ten_minutes_without_a_row() {
        let mut unknown = UnknownKeys::default();
        let listed = [key("local", "h1")];
        let known = KnownKeys::default();

        assert!(unknown.orphans("local", &listed, &known, at(0)).is_empty());
        assert!(
            unknown
                .orphans("local", &listed, &known, at(599))
                .is_empty()
        );
        assert_eq!(
            unknown.orphans("local", &listed, &known, at(600)),
            [KeyHash::new("h1")]
        );
    }

    #[test]
    fn a_key_whose_hash_or_name_is_in_a_row_is_no_orphan() {
        let mut unknown = UnknownKeys::default();
        let listed = [key("local", "by-hash"), key("local", "by-name")];
        let known = KnownKeys {
            hashes: HashSet::from(["by-hash".to_owned()]),
            names: HashSet::from([listed[1].name.clone()]),
        };

        unknown.orphans("local", &listed, &known, at(0));

        assert!(
            unknown
                .orphans("local", &listed, &known, at(9_999))
                .is_empty()
        );
    }

    #[test]
    fn a_key_that_had_a_row_in_between_must_be_unknown_for_ten_minutes_again() {
        let mut unknown = UnknownKeys::default();
        let listed = [key("local", "h1")];
        let known = KnownKeys {
            hashes: HashSet::from(["h1".to_owned()]),
            ..KnownKeys::default()
        };

        unknown.orphans("local", &listed, &KnownKeys::default(), at(0));
        unknown.orphans("local", &listed, &known, at(300));

        let later = unknown.orphans("local", &listed, &KnownKeys::default(), at(900));
        assert!(later.is_empty());
    }

    #[test]
    fn keys_of_other_installations_and_with_other_names_are_ignored() {
        let mut unknown = UnknownKeys::default();
        let mut foreign = key("local", "h2");
        foreign.name = "My Production Key".to_owned();
        let listed = [key("staging", "h1"), foreign];

        unknown.orphans("local", &listed, &KnownKeys::default(), at(0));

        assert!(
            unknown
                .orphans("local", &listed, &KnownKeys::default(), at(9_999))
                .is_empty()
        );
    }

    fn key(owner: &str, hash: &str) -> KeyInfo {
        let seed = u128::from(hash.len() as u64);
        let name = KeyName::new(owner, SandboxId::derived_from(hash), Uuid::from_u128(seed));
        KeyInfo {
            hash: KeyHash::new(hash),
            name: name.to_string(),
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }
}
