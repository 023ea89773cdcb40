use std::fmt;

use chacha20poly1305::{
    Key, XChaCha20Poly1305, XNonce,
    aead::{Aead, Generate, KeyInit, Payload},
};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use uuid::Uuid;

/// Longest id of a master key.
const KEY_ID_LIMIT_CHARS: usize = 32;
/// Length of `XChaCha20`'s nonce: long enough to choose a random one for every value.
const NONCE_BYTES: usize = 24;
/// The version of the format, with which every sealed value begins.
const FORMAT: &str = "v1";

/// Why a list of master keys was refused, or a value could not be sealed or opened. Contains no key and no
/// secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// An item of the list is not `<key id>:<64 hex digits>`.
    #[error(
        "master key {position} is not <key id>:<64 hex digits>; an id has 1 to 32 letters, digits, - or _"
    )]
    Malformed {
        /// The item's position in the list, from 1.
        position: usize,
    },
    /// Two keys have the same id.
    #[error("master key id {id} is given twice")]
    Repeated {
        /// The id that occurs twice.
        id: String,
    },
    /// The value was sealed with a key that is not in the keyring.
    #[error("sealed with master key {id}, which is not among the configured ones")]
    MissingKey {
        /// The id of the missing key.
        id: String,
    },
    /// The value does not have the format of a sealed one.
    #[error("not a sealed value")]
    NotSealed,
    /// The value was changed, copied from another row or column, or sealed with another key of the same id.
    #[error(
        "does not open with master key {id}: changed, copied from another row or column, or sealed with another key of that id"
    )]
    NotAuthentic {
        /// The id of the key that was tried.
        id: String,
    },
    /// The cipher or the random number generator failed.
    #[error("sealing failed")]
    Sealing,
}

/// The master keys. The first seals and all open, so that a key can be rotated without an interruption.
///
/// Values are sealed with XChaCha20-Poly1305 and bound to their row and column: a value copied to another
/// user's row does not open there.
pub struct Keyring {
    first: MasterKey,
    others: Vec<MasterKey>,
}

struct MasterKey {
    id: String,
    cipher: XChaCha20Poly1305,
}

/// The cell of a table that a sealed value is bound to.
#[derive(Clone, Copy)]
pub(crate) struct SealedCell {
    pub(crate) table: &'static str,
    pub(crate) row: Uuid,
    pub(crate) column: &'static str,
}

impl Keyring {
    /// Parses a comma-separated list of `<key id>:<64 hex digits>`.
    pub fn parse(list: &SecretString) -> Result<Self, KeyringError> {
        let mut keys: Vec<MasterKey> = Vec::new();
        for (index, item) in list.expose_secret().split(',').enumerate() {
            let key = MasterKey::parse(item.trim()).ok_or(KeyringError::Malformed {
                position: index + 1,
            })?;
            if keys.iter().any(|known| known.id == key.id) {
                return Err(KeyringError::Repeated { id: key.id });
            }
            keys.push(key);
        }
        let first = keys.remove(0);
        Ok(Self {
            first,
            others: keys,
        })
    }

    /// The prefix of every value that this keyring seals.
    pub(crate) fn prefix(&self) -> String {
        format!("{FORMAT}.{}.", self.first.id)
    }

    /// Seals a secret for a cell, as `v1.<key id>.<hex of nonce and sealed bytes>`.
    pub(crate) fn seal(&self, cell: SealedCell, secret: &[u8]) -> Result<String, KeyringError> {
        let nonce = XNonce::try_generate().map_err(|_| KeyringError::Sealing)?;
        let cell = cell.to_string();
        let payload = Payload {
            msg: secret,
            aad: cell.as_bytes(),
        };
        let sealed = self
            .first
            .cipher
            .encrypt(&nonce, payload)
            .map_err(|_| KeyringError::Sealing)?;
        Ok(format!(
            "{}{}{}",
            self.prefix(),
            hex::encode(nonce),
            hex::encode(sealed)
        ))
    }

    /// Opens a value that was sealed for this cell.
    pub(crate) fn open(
        &self,
        cell: SealedCell,
        sealed: &str,
    ) -> Result<SecretSlice<u8>, KeyringError> {
        let (id, nonce, sealed) = parse_sealed(sealed).ok_or(KeyringError::NotSealed)?;
        let key = self.key(id)?;
        let cell = cell.to_string();
        let payload = Payload {
            msg: &sealed,
            aad: cell.as_bytes(),
        };
        let opened = key.cipher.decrypt(&nonce, payload);
        opened
            .map(Into::into)
            .map_err(|_| KeyringError::NotAuthentic { id: id.to_owned() })
    }

    fn key(&self, id: &str) -> Result<&MasterKey, KeyringError> {
        std::iter::once(&self.first)
            .chain(&self.others)
            .find(|key| key.id == id)
            .ok_or_else(|| KeyringError::MissingKey { id: id.to_owned() })
    }
}

impl MasterKey {
    fn parse(item: &str) -> Option<Self> {
        let (id, digits) = item.split_once(':')?;
        let is_id = (1..=KEY_ID_LIMIT_CHARS).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let bytes = hex::decode(digits).ok().filter(|_| is_id)?;
        let key = Key::try_from(bytes.as_slice()).ok()?;
        Some(Self {
            id: id.to_owned(),
            cipher: XChaCha20Poly1305::new(&key),
        })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({}, {} more)", self.first.id, self.others.len())
    }
}

/// The associated data of the cipher. Never change it: no value sealed before would open.
impl fmt::Display for SealedCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.table, self.row, self.column)
    }
}

fn parse_sealed(sealed: &str) -> Option<(&str, XNonce, Vec<u8>)> {
    let (id, digits) = sealed
        .strip_prefix(FORMAT)?
        .strip_prefix('.')?
        .split_once('.')?;
    let mut nonce = hex::decode(digits).ok()?;
    let sealed = (nonce.len() >= NONCE_BYTES).then(|| nonce.split_off(NONCE_BYTES))?;
    Some((id, XNonce::try_from(nonce.as_slice()).ok()?, sealed))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_opens_only_in_the_cell_it_was_sealed_for() {
        let keyring = keyring(&[OLD]);
        let sealed = keyring.seal(cell(1, "a"), b"secret").unwrap();

        for other in [
            cell(2, "a"),
            cell(1, "b"),
            SealedCell {
                table: "user",
                ..cell(1, "a")
            },
        ] {
            let error = keyring.open(other, &sealed).unwrap_err();
            assert_eq!(error, KeyringError::NotAuthentic { id: "old".into() });
        }
    }

    #[test]
    fn after_a_rotation_old_values_open_and_new_ones_are_sealed_with_the_new_key() {
        let sealed = keyring(&[OLD]).seal(cell(1, "a"), b"secret").unwrap();
        let rotated = keyring(&[NEW, OLD]);

        assert_eq!(
            rotated.open(cell(1, "a"), &sealed).unwrap().expose_secret(),
            b"secret"
        );
        assert!(
            rotated
                .seal(cell(1, "a"), b"secret")
                .unwrap()
                .starts_with("v1.new.")
        );
    }

    #[test]
    fn the_error_names_a_missing_key() {
        let sealed = keyring(&[OLD]).seal(cell(1, "a"), b"secret").unwrap();

        let error = keyring(&[NEW]).open(cell(1, "a"), &sealed).unwrap_err();

        assert_eq!(error, KeyringError::MissingKey { id: "old".into() });
    }

    #[test]
    fn a_malformed_list_of_keys_is_refused_without_showing_it() {
        let short = format!("{OLD},k:00");
        for (list, error) in [
            ("", KeyringError::Malformed { position: 1 }),
            (short.as_str(), KeyringError::Malformed { position: 2 }),
            (
                &OLD.replace("old", "o.d"),
                KeyringError::Malformed { position: 1 },
            ),
            (
                &format!("{OLD},{OLD}"),
                KeyringError::Repeated { id: "old".into() },
            ),
        ] {
            assert_eq!(Keyring::parse(&list.into()).unwrap_err(), error);
        }
    }

    proptest! {
        #[test]
        fn a_sealed_secret_opens_unless_a_digit_was_changed(
            secret in prop::collection::vec(any::<u8>(), 0..200),
            position in any::<prop::sample::Index>(),
        ) {
            let keyring = keyring(&[OLD]);
            let sealed = keyring.seal(cell(1, "a"), &secret).unwrap();
            let opened = keyring.open(cell(1, "a"), &sealed).unwrap();
            prop_assert_eq!(opened.expose_secret(), secret.as_slice());

            let mut changed = sealed.into_bytes();
            let start = keyring.prefix().len();
            let digit = start + position.index(changed.len() - start);
            changed[digit] = if changed[digit] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).unwrap();
            prop_assert!(keyring.open(cell(1, "a"), &changed).is_err());
        }

        #[test]
        fn opening_never_panics(text in ".*", digits in "v1\\.old\\.[0-9a-f]{0,90}") {
            let keyring = keyring(&[OLD]);
            prop_assert!(keyring.open(cell(1, "a"), &text).is_err());
            prop_assert!(keyring.open(cell(1, "a"), &digits).is_err());
        }
    }

    const OLD: &str = "old:0101010101010101010101010101010101010101010101010101010101010101";
    const NEW: &str = "new:0202020202020202020202020202020202020202020202020202020202020202";

    fn keyring(keys: &[&str]) -> Keyring {
        Keyring::parse(&keys.join(",").into()).unwrap()
    }

    fn cell(row: u128, column: &'static str) -> SealedCell {
        SealedCell {
            table: "sandbox",
            row: Uuid::from_u128(row),
            column,
        }
    }
}
