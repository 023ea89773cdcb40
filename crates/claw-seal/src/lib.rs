//! Encrypts what may contain a PIN between the service that receives it and the one that checks it, so that no stream
//! and no dead letter has it in plain. Everyone with the public key can seal a text, and only the holder of the private
//! key can open it. Knows nothing of PINs, messages or calls beyond the ids that a sealed text is bound to.
//!
//! The construction is that of a sealed box: an ephemeral X25519 key for each text, and XChaCha20-Poly1305 with a key
//! derived from the shared secret.

use std::fmt;

use chacha20poly1305::{
    Key, XChaCha20Poly1305, XNonce,
    aead::{Aead, Generate, KeyInit, Payload},
};
use claw_domain::{MessageId, SealedText, Sensitive, UserId};
use curve25519_dalek::MontgomeryPoint;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Length of each key.
const KEY_BYTES: usize = 32;

/// Texts are padded to a multiple of this length, so that a sealed one does not show how long a PIN is.
const BLOCK_BYTES: usize = 64;

/// The byte after the text and before the zeros of the padding.
const END_OF_TEXT: u8 = 0x80;

/// The purpose of the derived key. Never change it: no text sealed before would open.
const PURPOSE: &[u8] = b"clawkaka sealed text 1";

/// The text is not a key. The error does not contain the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hex digits")]
pub struct KeyError;

/// The sealed text is malformed, was changed, belongs to another message or user, or was sealed for another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a sealed text does not open: changed, of another message or user, or sealed for another key"
)]
pub struct NotOpened;

/// The public key, with which texts are sealed.
#[derive(Clone)]
pub struct SealingKey(MontgomeryPoint);

/// The private key, which opens what was sealed with its [`SealingKey`].
#[derive(Clone)]
pub struct OpeningKey {
    secret: [u8; KEY_BYTES],
    public: MontgomeryPoint,
}

/// The message that a sealed text is bound to. Copied into the event of another message or user, it does not open.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// The message, or the utterance of a call.
    pub message: MessageId,
    /// Its user.
    pub user: UserId,
}

impl SealingKey {
    /// Reads the key from its hex digits.
    pub fn parse(digits: &str) -> Result<Self, KeyError> {
        parse_key(digits).map(|key| Self(MontgomeryPoint(key)))
    }

    /// Seals a text.
    ///
    /// # Panics
    ///
    /// If the system has no random numbers, which does not happen on a running Linux.
    pub fn seal(&self, binding: Binding, text: &str) -> SealedText {
        let ephemeral: [u8; KEY_BYTES] = Key::generate().into();
        let public = MontgomeryPoint::mul_base_clamped(ephemeral);
        let cipher = cipher(&self.0.mul_clamped(ephemeral), &public, &self.0);
        let associated = binding.to_string();
        let payload = Payload {
            msg: &padded(text),
            aad: associated.as_bytes(),
        };
        let sealed = cipher.encrypt(&XNonce::default(), payload);
        let sealed = sealed.expect("the text fits into memory");
        SealedText::of_encoded(hex::encode([public.0.as_slice(), &sealed].concat()))
    }
}

impl OpeningKey {
    /// Reads the key from its hex digits.
    pub fn parse(digits: &str) -> Result<Self, KeyError> {
        let secret = parse_key(digits)?;
        let public = MontgomeryPoint::mul_base_clamped(secret);
        Ok(Self { secret, public })
    }

    /// The key with which others seal texts for this one.
    pub fn sealing_key(&self) -> SealingKey {
        SealingKey(self.public)
    }

    /// Opens a text that was sealed with the same binding.
    pub fn open(
        &self,
        binding: Binding,
        sealed: &SealedText,
    ) -> Result<Sensitive<String>, NotOpened> {
        let bytes = hex::decode(sealed.encoded()).map_err(|_| NotOpened)?;
        let (ephemeral, sealed) = bytes.split_first_chunk().ok_or(NotOpened)?;
        let ephemeral = MontgomeryPoint(*ephemeral);
        let cipher = cipher(
            &ephemeral.mul_clamped(self.secret),
            &ephemeral,
            &self.public,
        );
        let associated = binding.to_string();
        let payload = Payload {
            msg: sealed,
            aad: associated.as_bytes(),
        };
        let opened = cipher.decrypt(&XNonce::default(), payload);
        let text = without_padding(opened.map_err(|_| NotOpened)?).ok_or(NotOpened)?;
        String::from_utf8(text)
            .map(Sensitive::new)
            .map_err(|_| NotOpened)
    }
}

/// The cipher for one text. Its key is used once, so its nonce may be constant.
fn cipher(
    shared: &MontgomeryPoint,
    ephemeral: &MontgomeryPoint,
    public: &MontgomeryPoint,
) -> XChaCha20Poly1305 {
    let mut mac = Hmac::<Sha256>::new_from_slice(&shared.0).expect("HMAC takes any key");
    mac.update(PURPOSE);
    mac.update(&ephemeral.0);
    mac.update(&public.0);
    let key: [u8; KEY_BYTES] = mac.finalize().into_bytes().into();
    XChaCha20Poly1305::new(&key.into())
}

fn padded(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(END_OF_TEXT);
    bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
    bytes
}

fn without_padding(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let end = bytes.iter().rposition(|byte| *byte != 0)?;
    let is_padded = bytes.get(end) == Some(&END_OF_TEXT);
    bytes.truncate(end);
    is_padded.then_some(bytes)
}

fn parse_key(digits: &str) -> Result<[u8; KEY_BYTES], KeyError> {
    let mut key = [0; KEY_BYTES];
    hex::decode_to_slice(digits, &mut key).map_err(|_| KeyError)?;
    Ok(key)
}

/// The associated data of the cipher. Never change it: no text sealed before would open.
impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.message, self.user)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(…)")
    }
}

impl fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpeningKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_opens_only_with_its_key_and_for_its_message_and_user() {
        let sealed = key('1').sealing_key().seal(binding("a", "ada"), "pin 4711");

        let opened = key('1').open(binding("a", "ada"), &sealed).unwrap();

        assert_eq!(opened.expose(), "pin 4711");
        assert_eq!(key('2').open(binding("a", "ada"), &sealed), Err(NotOpened));
        for other in [binding("b", "ada"), binding("a", "bob")] {
            assert_eq!(key('1').open(other, &sealed), Err(NotOpened));
        }
    }

    #[test]
    fn a_sealed_text_shows_neither_the_text_nor_its_length_nor_that_it_was_sealed_before() {
        let key = key('1').sealing_key();
        let seal = |text| key.seal(binding("a", "ada"), text).encoded().to_owned();

        assert_eq!(seal("pin 4711").len(), seal("pin 12345678").len());
        assert_ne!(seal("pin 4711"), seal("pin 4711"));
    }

    /// The pair of keys was made with `openssl`, as `./dev secrets` makes them.
    #[test]
    fn the_public_key_is_the_one_that_other_implementations_derive() {
        let private =
            OpeningKey::parse("9111222233334444555566667777888899990000aaaabbbbccccddddeeeeffff")
                .unwrap();
        let public =
            SealingKey::parse("b69752eb9d242f3030b86a5a6fe13a30fb8c9451cf619ad7435dc27fcd9e6451")
                .unwrap();

        assert_eq!(private.sealing_key().0, public.0);
    }

    #[test]
    fn a_malformed_key_is_refused_and_no_key_is_printed() {
        for digits in ["", "00", &"g".repeat(64), &"0".repeat(66)] {
            assert_eq!(OpeningKey::parse(digits).unwrap_err(), KeyError);
            assert_eq!(SealingKey::parse(digits).unwrap_err(), KeyError);
        }
        assert_eq!(format!("{:?}", key('1')), "OpeningKey(…)");
    }

    proptest! {
        #[test]
        fn any_text_opens_unless_a_digit_was_changed(
            text in ".{0,200}",
            position in any::<prop::sample::Index>(),
        ) {
            let binding = binding("a", "ada");
            let sealed = key('1').sealing_key().seal(binding, &text);
            let opened = key('1').open(binding, &sealed).unwrap();
            prop_assert_eq!(opened.expose(), &text);

            let mut changed = sealed.encoded().as_bytes().to_vec();
            let digit = position.index(changed.len());
            changed[digit] = if changed[digit] == b'0' { b'1' } else { b'0' };
            let changed = SealedText::of_encoded(String::from_utf8(changed).unwrap());
            // The highest bit of the ephemeral key has no meaning.
            let is_ignored_bit = digit == 2 * KEY_BYTES - 2;
            prop_assert!(is_ignored_bit || key('1').open(binding, &changed).is_err());
        }

        #[test]
        fn opening_never_panics(text in ".*", digits in "[0-9a-f]{0,300}") {
            for text in [text, digits] {
                prop_assert!(key('1').open(binding("a", "ada"), &SealedText::of_encoded(text)).is_err());
            }
        }
    }

    fn key(digit: char) -> OpeningKey {
        OpeningKey::parse(&digit.to_string().repeat(64)).unwrap()
    }

    fn binding(message: &str, user: &str) -> Binding {
        Binding {
            message: MessageId::derived_from(message),
            user: UserId::in_place_of(MessageId::derived_from(user)),
        }
    }
}
