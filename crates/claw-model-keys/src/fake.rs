//! A provider's account in memory, for tests. It keeps state, so that a test can ask which keys exist.

use std::collections::HashSet;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{KeyError, KeyHash, KeyInfo, Minted, ModelKeys, SpendLimit};

/// An account that makes, lists and deletes keys, and fails on request.
#[derive(Debug, Default)]
pub struct FakeModelKeys {
    account: Mutex<Account>,
}

#[derive(Debug, Default)]
struct Account {
    keys: Vec<KeyInfo>,
    made: usize,
    refusal: Option<u16>,
    next_answer_is_lost: bool,
    disabled: HashSet<KeyHash>,
}

impl FakeModelKeys {
    /// The names of the keys that exist, oldest first.
    pub fn names(&self) -> Vec<String> {
        self.account
            .lock()
            .keys
            .iter()
            .map(|key| key.name.clone())
            .collect()
    }

    /// The number of keys that are disabled.
    pub fn disabled(&self) -> usize {
        self.account.lock().disabled.len()
    }

    /// The number of keys that were ever made.
    pub fn made(&self) -> usize {
        self.account.lock().made
    }

    /// Adds a key that was not minted.
    pub fn add(&self, name: &str) -> KeyHash {
        self.account.lock().make(name)
    }

    /// Makes every later [`ModelKeys::mint`] and [`ModelKeys::set_disabled`] fail with this HTTP status; `None` lets them succeed.
    pub fn refuse_to_mint(&self, status: Option<u16>) {
        self.account.lock().refusal = status;
    }

    /// Makes the next [`ModelKeys::mint`] make a key but lose the answer.
    pub fn lose_next_answer(&self) {
        self.account.lock().next_answer_is_lost = true;
    }
}

impl Account {
    fn make(&mut self, name: &str) -> KeyHash {
        self.made += 1;
        let hash = KeyHash::new(format!("{:064x}", self.made));
        self.keys.push(KeyInfo {
            hash: hash.clone(),
            name: name.to_owned(),
        });
        hash
    }

    fn check(&self, operation: &'static str) -> Result<(), KeyError> {
        match self.refusal {
            None => Ok(()),
            Some(status @ (401 | 403)) => Err(KeyError::Denied {
                operation,
                status,
                message: "no".to_owned(),
            }),
            Some(status @ (429 | 500..)) => Err(KeyError::Busy {
                operation,
                status,
                retry_after: None,
            }),
            Some(status) => Err(KeyError::Refused {
                operation,
                status,
                message: "no".to_owned(),
            }),
        }
    }
}

#[async_trait]
impl ModelKeys for FakeModelKeys {
    async fn mint(&self, name: &str, _limit: SpendLimit) -> Result<Minted, KeyError> {
        let mut account = self.account.lock();
        account.check("minting")?;
        let hash = account.make(name);
        if std::mem::take(&mut account.next_answer_is_lost) {
            return Err(KeyError::Unreadable {
                operation: "minting",
                status: 200,
            });
        }
        let key = format!("sk-fake-{}", account.made).into();
        Ok(Minted { hash, key })
    }

    async fn list(&self) -> Result<Vec<KeyInfo>, KeyError> {
        Ok(self.account.lock().keys.clone())
    }

    async fn set_disabled(&self, hash: &KeyHash, disabled: bool) -> Result<(), KeyError> {
        let mut account = self.account.lock();
        account.check("changing")?;
        account.disabled.remove(hash);
        if disabled && account.keys.iter().any(|key| key.hash == *hash) {
            account.disabled.insert(hash.clone());
        }
        Ok(())
    }

    async fn revoke(&self, hash: &KeyHash) -> Result<(), KeyError> {
        self.account.lock().keys.retain(|key| key.hash != *hash);
        Ok(())
    }
}
