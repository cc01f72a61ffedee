//! Sealing bytes: AES-256-GCM with a random nonce for each value, as NIST SP 800-38D has it. A key may seal 2^32
//! values so; what is sealed is bound to where it is kept, so that it cannot be moved.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use bytes::{BufMut, Bytes, BytesMut};

/// The first byte of what is sealed. What is not sealed begins with the number of a much lower format.
pub const SEALED: u8 = 0x81;
/// The bytes of a name of a key.
pub const NAME: usize = 4;
const KEY: usize = 32;
const HEAD: usize = 1 + NAME + NONCE_LEN;

/// What goes wrong in the library: it has no randomness, or the bytes are not what was sealed with this key.
#[derive(Debug, thiserror::Error)]
#[error("cryptography failed")]
pub struct CipherError;

impl From<aws_lc_rs::error::Unspecified> for CipherError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        CipherError
    }
}

/// A secret key. It is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; KEY]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// A new one.
    pub fn random() -> Result<Self, CipherError> {
        let mut bytes = [0; KEY];
        rand::fill(&mut bytes)?;
        Ok(Key(bytes))
    }

    /// One that was kept. `None`: it has not 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Key(bytes.try_into().ok()?))
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Seals bytes. `name` tells which key it is, `place` where the bytes will be.
    pub fn seal(&self, name: [u8; NAME], place: &[u8], plain: &[u8]) -> Result<Bytes, CipherError> {
        let mut inner = plain.to_vec();
        let nonce = self.cipher()?.seal_in_place_append_tag(Aad::from(place), &mut inner)?;
        let mut out = BytesMut::with_capacity(HEAD + inner.len());
        out.put_u8(SEALED);
        out.put_slice(&name);
        out.put_slice(nonce.as_ref());
        out.put_slice(&inner);
        Ok(out.freeze())
    }

    /// Opens what [`Key::seal`] made for this place.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Bytes, CipherError> {
        let nonce = sealed.get(1 + NAME..HEAD).ok_or(CipherError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        let mut inner = sealed[HEAD..].to_vec();
        let length = self.cipher()?.open_in_place(nonce, Aad::from(place), &mut inner)?.len();
        inner.truncate(length);
        Ok(inner.into())
    }

    fn cipher(&self) -> Result<RandomizedNonceKey, CipherError> {
        Ok(RandomizedNonceKey::new(&AES_256_GCM, &self.0)?)
    }
}

/// The name of the key that sealed these bytes. `None`: they are not sealed.
pub fn sealed_by(bytes: &[u8]) -> Option<[u8; NAME]> {
    match bytes.first() {
        Some(&SEALED) => bytes.get(1..=NAME)?.try_into().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_sealed_opens_with_its_key_at_its_place_only(plain: Vec<u8>, at in 0..1_000usize) {
            let (key, other) = (Key::random().unwrap(), Key::random().unwrap());
            let sealed = key.seal([1, 2, 3, 4], b"here", &plain).unwrap();
            prop_assert_eq!(sealed_by(&sealed), Some([1, 2, 3, 4]));
            prop_assert_eq!(&key.open(b"here", &sealed).unwrap()[..], &plain[..]);
            prop_assert!(key.open(b"there", &sealed).is_err());
            prop_assert!(other.open(b"here", &sealed).is_err());
            let mut damaged = sealed.to_vec();
            let at = 1 + NAME + at % (damaged.len() - 1 - NAME);
            damaged[at] ^= 1;
            prop_assert!(key.open(b"here", &damaged).is_err());
            prop_assert!(key.open(b"here", &sealed[..at]).is_err());
        }
    }

    #[test]
    fn the_same_bytes_are_sealed_differently_each_time() {
        let key = Key::random().unwrap();
        assert_ne!(key.seal([0; 4], b"", b"x").unwrap(), key.seal([0; 4], b"", b"x").unwrap());
        assert_eq!(format!("{key:?}"), "Key(…)");
    }
}
