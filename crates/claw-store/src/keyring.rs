use std::fmt;

use chacha20poly1305::{
    Key, XChaCha20Poly1305, XNonce,
    aead::{Aead, Generate, KeyInit, Payload},
};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use uuid::Uuid;

use crate::hex;

/// Longest name a key may have.
const KEY_ID_LIMIT_CHARS: usize = 32;
/// `XChaCha20`'s nonce: long enough to be drawn at random for every value.
const NONCE_BYTES: usize = 24;
/// What a sealed text begins with: the form it has.
const FORM: &str = "v1";

/// Why a master key cannot be used, or a sealed text not be opened. Never holds key or secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// Not `<key id>:<64 hex digits>` at this place of the list, counted from 1.
    #[error(
        "master key {position} is not <key id>:<64 hex digits>, the id of letters, digits, - and _"
    )]
    Malformed {
        /// Which of the keys.
        position: usize,
    },
    /// Two keys of one name.
    #[error("master key id {id} is given twice")]
    Repeated {
        /// The name.
        id: String,
    },
    /// Sealed with a key this process was not given.
    #[error("sealed with master key {id}, which is not among the configured ones")]
    MissingKey {
        /// The name of the missing key.
        id: String,
    },
    /// Not a sealed text at all.
    #[error("not a sealed value")]
    NotSealed,
    /// Wrong key under the right name, a changed value, or one moved here from another row or column.
    #[error(
        "does not open with master key {id}: changed, moved from elsewhere, or another key of that name"
    )]
    NotAuthentic {
        /// The name of the key that was tried.
        id: String,
    },
    /// The sealing itself failed.
    #[error("sealing failed")]
    Sealing,
}

/// The master keys: the first seals, all open, so that keys can be exchanged without an interruption.
///
/// Values are sealed with XChaCha20-Poly1305 and bound to their row and column: one that is copied to
/// another person's row does not open there.
pub struct Keyring {
    first: MasterKey,
    others: Vec<MasterKey>,
}

struct MasterKey {
    id: String,
    cipher: XChaCha20Poly1305,
}

/// The row and column a sealed value belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) table: &'static str,
    pub(crate) row: Uuid,
    pub(crate) column: &'static str,
}

impl Keyring {
    /// Reads `<key id>:<64 hex digits>`, several separated by commas.
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

    /// What a text sealed by this keyring begins with.
    pub(crate) fn prefix(&self) -> String {
        format!("{FORM}.{}.", self.first.id)
    }

    /// `v1.<key id>.<hex of nonce and sealed bytes>`.
    pub(crate) fn seal(&self, place: Place, secret: &[u8]) -> Result<String, KeyringError> {
        let nonce = XNonce::try_generate().map_err(|_| KeyringError::Sealing)?;
        let place = place.to_string();
        let payload = Payload {
            msg: secret,
            aad: place.as_bytes(),
        };
        let sealed = self
            .first
            .cipher
            .encrypt(&nonce, payload)
            .map_err(|_| KeyringError::Sealing)?;
        Ok(format!(
            "{}{}{}",
            self.prefix(),
            hex::encode(&nonce),
            hex::encode(&sealed)
        ))
    }

    /// What was sealed for this place.
    pub(crate) fn open(&self, place: Place, sealed: &str) -> Result<SecretSlice<u8>, KeyringError> {
        let (id, nonce, sealed) = take_apart(sealed).ok_or(KeyringError::NotSealed)?;
        let key = self.key(id)?;
        let place = place.to_string();
        let payload = Payload {
            msg: &sealed,
            aad: place.as_bytes(),
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
        let is_name = (1..=KEY_ID_LIMIT_CHARS).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let bytes = hex::decode(digits).filter(|_| is_name)?;
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

/// What the cipher binds a value to. Never change it: nothing sealed before would open.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.table, self.row, self.column)
    }
}

fn take_apart(sealed: &str) -> Option<(&str, XNonce, Vec<u8>)> {
    let (id, digits) = sealed
        .strip_prefix(FORM)?
        .strip_prefix('.')?
        .split_once('.')?;
    let mut nonce = hex::decode(digits)?;
    let sealed = (nonce.len() >= NONCE_BYTES).then(|| nonce.split_off(NONCE_BYTES))?;
    Some((id, XNonce::try_from(nonce.as_slice()).ok()?, sealed))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_opens_only_where_it_was_sealed() {
        let keyring = keyring(&[OLD]);
        let sealed = keyring.seal(place(1, "a"), b"secret").unwrap();

        for elsewhere in [
            place(2, "a"),
            place(1, "b"),
            Place {
                table: "user",
                ..place(1, "a")
            },
        ] {
            let error = keyring.open(elsewhere, &sealed).unwrap_err();
            assert_eq!(error, KeyringError::NotAuthentic { id: "old".into() });
        }
    }

    #[test]
    fn after_a_rotation_old_values_open_and_new_ones_take_the_new_key() {
        let sealed = keyring(&[OLD]).seal(place(1, "a"), b"secret").unwrap();
        let rotated = keyring(&[NEW, OLD]);

        assert_eq!(
            rotated
                .open(place(1, "a"), &sealed)
                .unwrap()
                .expose_secret(),
            b"secret"
        );
        assert!(
            rotated
                .seal(place(1, "a"), b"secret")
                .unwrap()
                .starts_with("v1.new.")
        );
    }

    #[test]
    fn a_missing_key_is_named() {
        let sealed = keyring(&[OLD]).seal(place(1, "a"), b"secret").unwrap();

        let error = keyring(&[NEW]).open(place(1, "a"), &sealed).unwrap_err();

        assert_eq!(error, KeyringError::MissingKey { id: "old".into() });
    }

    #[test]
    fn a_list_that_is_not_one_of_keys_is_refused_without_being_shown() {
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
        fn what_is_sealed_comes_back_and_a_changed_digit_is_noticed(
            secret in prop::collection::vec(any::<u8>(), 0..200),
            position in any::<prop::sample::Index>(),
        ) {
            let keyring = keyring(&[OLD]);
            let sealed = keyring.seal(place(1, "a"), &secret).unwrap();
            let opened = keyring.open(place(1, "a"), &sealed).unwrap();
            prop_assert_eq!(opened.expose_secret(), secret.as_slice());

            let mut changed = sealed.into_bytes();
            let start = keyring.prefix().len();
            let digit = start + position.index(changed.len() - start);
            changed[digit] = if changed[digit] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).unwrap();
            prop_assert!(keyring.open(place(1, "a"), &changed).is_err());
        }

        #[test]
        fn no_text_makes_opening_panic(text in ".*", digits in "v1\\.old\\.[0-9a-f]{0,90}") {
            let keyring = keyring(&[OLD]);
            prop_assert!(keyring.open(place(1, "a"), &text).is_err());
            prop_assert!(keyring.open(place(1, "a"), &digits).is_err());
        }
    }

    const OLD: &str = "old:0101010101010101010101010101010101010101010101010101010101010101";
    const NEW: &str = "new:0202020202020202020202020202020202020202020202020202020202020202";

    fn keyring(keys: &[&str]) -> Keyring {
        Keyring::parse(&keys.join(",").into()).unwrap()
    }

    fn place(row: u128, column: &'static str) -> Place {
        Place {
            table: "sandbox",
            row: Uuid::from_u128(row),
            column,
        }
    }
}
