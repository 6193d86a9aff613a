//! Secrets encrypted at rest: AES-256-GCM under a random nonce, bound to the place where a secret is kept.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest, Sha256};

use super::system::SystemRandom;
use crate::ports::random::Random as _;

/// How many bytes say which key sealed a secret.
const ID_BYTES: usize = 4;

/// A key that seals secrets, written as base64 of [`SealingKey::BYTES`] bytes.
pub struct SealingKey([u8; SealingKey::BYTES]);

/// The text is no [`SealingKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {} random bytes in base64", SealingKey::BYTES)]
pub struct SealingKeyError;

impl SealingKey {
    /// How long a key is.
    pub const BYTES: usize = 32;

    /// The key of these bytes. They must be random.
    #[must_use]
    pub const fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }
}

impl FromStr for SealingKey {
    type Err = SealingKeyError;

    fn from_str(text: &str) -> Result<Self, SealingKeyError> {
        STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(SealingKeyError)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SealingKey(..)")
    }
}

/// Seals secrets, and opens those that were sealed with its key or with an earlier one.
pub struct Sealer {
    current: Key,
    previous: Vec<Key>,
}

struct Key {
    id: [u8; ID_BYTES],
    cipher: LessSafeKey,
}

/// How a process treats the secrets of processors and subscriptions.
#[derive(Default)]
pub enum Secrets {
    /// It stores and reads them as they are.
    #[default]
    Plain,
    /// It seals them when it stores them, and opens them when it reads them.
    Sealed(Box<Sealer>),
    /// It has no business with them: what it reads has none, and it stores no definition.
    Unread,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secrets(..)")
    }
}

/// A sealed secret cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// None of the keys is the one that sealed it.
    #[error("it was sealed with a key that is neither SECRETS_KEY nor SECRETS_KEY_PREVIOUS")]
    UnknownKey,
    /// It was changed, or sealed for another place.
    #[error("its seal is broken")]
    Broken,
}

impl Sealer {
    /// Seals with `current`, and opens what any of the keys has sealed.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "keys are given away: nobody else needs them")]
    pub fn new(current: SealingKey, previous: Vec<SealingKey>) -> Self {
        Self { current: Key::new(&current), previous: previous.iter().map(Key::new).collect() }
    }

    /// Seals a secret that is kept at this place: which key, the nonce, then what AES-GCM makes of it.
    ///
    /// # Errors
    /// [`SealError::Broken`] if it is longer than the cipher takes, which is many gigabytes.
    pub fn seal(&self, place: &str, secret: &str) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&SystemRandom.secret()[..NONCE_LEN]);
        let mut sealed = secret.as_bytes().to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        let Key { id, cipher } = &self.current;
        cipher.seal_in_place_append_tag(unique, Aad::from(place), &mut sealed).map_err(|_| SealError::Broken)?;
        Ok([id.as_slice(), &nonce, &sealed].concat())
    }

    /// Opens what [`Sealer::seal`] made for the same place.
    ///
    /// # Errors
    /// [`SealError`] if the key is not known, or anything of it is not as it was.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<String, SealError> {
        let (id, rest) = sealed.split_first_chunk::<ID_BYTES>().ok_or(SealError::Broken)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Broken)?;
        let mut keys = std::iter::once(&self.current).chain(&self.previous);
        let key = keys.find(|key| key.id == *id).ok_or(SealError::UnknownKey)?;
        let mut opened = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let secret = key.cipher.open_in_place(nonce, Aad::from(place), &mut opened).map_err(|_| SealError::Broken)?;
        String::from_utf8(secret.to_vec()).map_err(|_| SealError::Broken)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sealer(..)")
    }
}

impl Key {
    fn new(key: &SealingKey) -> Self {
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&Sha256::digest(key.0)[..ID_BYTES]);
        #[expect(clippy::expect_used, reason = "the cipher takes every key of this length, which the type holds")]
        let unbound = UnboundKey::new(&AES_256_GCM, &key.0).expect("a key of 32 bytes");
        Self { id, cipher: LessSafeKey::new(unbound) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> SealingKey {
        SealingKey::new([number; SealingKey::BYTES])
    }

    #[test]
    fn a_key_is_read_from_base64_of_its_length_only() {
        assert_eq!(STANDARD.encode([7; 32]).parse::<SealingKey>().map(|key| key.0), Ok([7; 32]));
        for text in ["", "secret", &STANDARD.encode([7; 31]), &STANDARD.encode([7; 33]), &"!".repeat(44)] {
            assert_eq!(text.parse::<SealingKey>().map(|_| ()), Err(SealingKeyError), "{text}");
        }
    }

    #[test]
    fn a_secret_is_opened_where_it_was_sealed_and_nowhere_else() {
        let sealer = Sealer::new(key(1), Vec::new());
        let bytes = sealer.seal("CFG|S#1", "whsec_text").unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("whsec_text"));
        assert_eq!(sealer.open("CFG|S#1", &bytes), Ok("whsec_text".to_owned()));
        assert_eq!(sealer.open("CFG|S#2", &bytes), Err(SealError::Broken));
        assert_ne!(sealer.seal("CFG|S#1", "whsec_text").unwrap(), bytes, "each has a nonce of its own");
    }

    #[test]
    fn a_sealed_secret_with_any_byte_changed_or_missing_is_refused() {
        let sealer = Sealer::new(key(1), Vec::new());
        let bytes = sealer.seal("place", "text").unwrap();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert!(sealer.open("place", &changed).is_err(), "byte {index}");
            assert!(sealer.open("place", &bytes[..index]).is_err(), "{index} bytes");
        }
    }

    #[test]
    fn what_an_earlier_key_sealed_is_opened_and_nothing_else() {
        let sealed = Sealer::new(key(1), Vec::new()).seal("place", "text").unwrap();
        assert_eq!(Sealer::new(key(2), vec![key(3), key(1)]).open("place", &sealed), Ok("text".to_owned()));
        assert_eq!(Sealer::new(key(2), vec![key(3)]).open("place", &sealed), Err(SealError::UnknownKey));
    }

    #[test]
    fn no_key_is_ever_printed() {
        let (key, sealer) = (key(b'k'), Sealer::new(key(b'k'), vec![key(b'k')]));
        let printed = format!("{key:?} {sealer:?}");
        assert_eq!(printed, "SealingKey(..) Sealer(..)");
    }
}
