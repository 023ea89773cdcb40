//! Which model keys nobody remembers. Pure.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    time::Duration,
};

use chrono::{DateTime, Utc};
use claw_domain::SandboxId;
use claw_openrouter::{KeyHash, KeyInfo};
use uuid::Uuid;

/// The first part of every name.
const PRODUCT: &str = "clawkaka";

/// How long a key must have been unknown before it is deleted: far longer than any call to make one
/// and to write down its hash.
const ORPHAN_AFTER: Duration = Duration::from_mins(10);

/// What a key is called: product, installation, sandbox, and one try to make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName {
    owner: String,
    sandbox: SandboxId,
    attempt: Uuid,
}

impl KeyName {
    /// The name for one try. `owner` must not contain a colon.
    pub fn new(owner: &str, sandbox: SandboxId, attempt: Uuid) -> Self {
        Self {
            owner: owner.to_owned(),
            sandbox,
            attempt,
        }
    }

    /// Reads a name of ours; `None` for any other. Parts are compared as wholes: `u-1` is not `u-10`.
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

/// What our rows know of keys.
#[derive(Debug, Clone, Default)]
pub struct KnownKeys {
    /// Hashes of keys in use.
    pub hashes: HashSet<String>,
    /// Names written down before their keys were made.
    pub names: HashSet<String>,
}

/// Remembers since when a key has been unknown.
#[derive(Debug, Default)]
pub struct Suspects {
    since: HashMap<KeyHash, DateTime<Utc>>,
}

impl Suspects {
    /// Takes note of a listing; returns the keys of `owner` that no row has known for ten minutes of
    /// our own clock. Keys of other installations and of other people are none of ours.
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
    fn a_name_reads_back_and_only_whole_parts_count() {
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
    fn a_key_is_an_orphan_once_no_row_has_known_it_for_ten_minutes() {
        let mut suspects = Suspects::default();
        let listed = [key("local", "h1")];
        let known = KnownKeys::default();

        assert!(suspects.orphans("local", &listed, &known, at(0)).is_empty());
        assert!(
            suspects
                .orphans("local", &listed, &known, at(599))
                .is_empty()
        );
        assert_eq!(
            suspects.orphans("local", &listed, &known, at(600)),
            [KeyHash::new("h1")]
        );
    }

    #[test]
    fn a_key_that_a_row_knows_by_hash_or_by_name_is_none() {
        let mut suspects = Suspects::default();
        let listed = [key("local", "by-hash"), key("local", "by-name")];
        let known = KnownKeys {
            hashes: HashSet::from(["by-hash".to_owned()]),
            names: HashSet::from([listed[1].name.clone()]),
        };

        suspects.orphans("local", &listed, &known, at(0));

        assert!(
            suspects
                .orphans("local", &listed, &known, at(9_999))
                .is_empty()
        );
    }

    #[test]
    fn a_key_that_became_known_meanwhile_is_under_no_suspicion_later() {
        let mut suspects = Suspects::default();
        let listed = [key("local", "h1")];
        let known = KnownKeys {
            hashes: HashSet::from(["h1".to_owned()]),
            ..KnownKeys::default()
        };

        suspects.orphans("local", &listed, &KnownKeys::default(), at(0));
        suspects.orphans("local", &listed, &known, at(300));

        let later = suspects.orphans("local", &listed, &KnownKeys::default(), at(900));
        assert!(later.is_empty());
    }

    #[test]
    fn keys_of_other_installations_and_of_people_are_left_alone() {
        let mut suspects = Suspects::default();
        let mut foreign = key("local", "h2");
        foreign.name = "My Production Key".to_owned();
        let listed = [key("staging", "h1"), foreign];

        suspects.orphans("local", &listed, &KnownKeys::default(), at(0));

        assert!(
            suspects
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
            disabled: false,
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }
}
