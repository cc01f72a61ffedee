//! Credentials whose signatures have been verified, so that each is verified once and not with every request.
//!
//! A plane keeps its own, by SHA-256. Only what cannot change is kept: that the plane's key signed it. Expiry and the
//! keys and objects that a credential stands on are looked at with each request.

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

/// The most credentials that one plane keeps.
const MAX_KEPT: usize = 1_024;

/// Verified credentials of one kind.
pub struct Verified<T> {
    kept: Mutex<HashMap<Hash, Known<T>>>,
}

type Hash = [u8; 32];
/// What is proved, and until when.
type Known<T> = (Arc<T>, i64);

impl<T> Default for Verified<T> {
    fn default() -> Self {
        Verified { kept: Mutex::default() }
    }
}

impl<T> Verified<T> {
    /// Whether a credential has been proved, and is not expired at `now`.
    pub fn knows(&self, credential: &[u8], now: i64) -> bool {
        let hash: Hash = Sha256::digest(credential).into();
        self.kept.lock().get(&hash).is_some_and(|(_, expires)| now < *expires)
    }

    /// What is proved by a credential: known, or verified by `verify`, which gives it with the time (in seconds since
    /// 1970) at which it expires. `None` when it is expired at `now`, or wrong; what is wrong is not kept.
    pub fn get(
        &self,
        credential: &[u8],
        now: i64,
        verify: impl FnOnce() -> Option<(T, i64)>,
    ) -> Option<Arc<T>> {
        let hash: Hash = Sha256::digest(credential).into();
        if let Some((proved, expires)) = self.kept.lock().get(&hash) {
            return (now < *expires).then(|| proved.clone());
        }
        let (proved, expires) = verify()?;
        let proved = Arc::new(proved);
        let mut kept = self.kept.lock();
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, (_, expires)| now < *expires);
        }
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(hash, (proved.clone(), expires));
        (now < expires).then_some(proved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_verified_once_and_ends_when_it_expires() {
        let verified = Verified::default();
        assert_eq!(verified.get(b"a", 5, || Some((1, 10))).as_deref(), Some(&1));
        assert_eq!(verified.get(b"a", 9, || panic!("verified again")).as_deref(), Some(&1));
        assert!(verified.knows(b"a", 9) && !verified.knows(b"a", 10) && !verified.knows(b"b", 9));
        assert_eq!(verified.get(b"a", 10, || panic!("verified again")), None);
        assert_eq!(verified.get(b"b", 5, || None), None);
        assert_eq!(verified.get(b"b", 5, || Some((2, 10))).as_deref(), Some(&2));
        assert_eq!(verified.get(b"late", 10, || Some((3, 10))), None);
    }

    #[test]
    fn no_more_than_the_limit_are_kept() {
        let verified = Verified::default();
        for n in 0..3 * MAX_KEPT as u32 {
            verified.get(&n.to_le_bytes(), 0, || Some((n, 1)));
            assert!(verified.kept.lock().len() <= MAX_KEPT);
        }
    }
}
