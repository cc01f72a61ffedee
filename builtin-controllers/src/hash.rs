//! Short names from contents.

use sha2::{Digest, Sha256};

/// Letters and digits that make no words: no vowels, nothing that looks like another.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// `length` characters (32 at most) that depend on the content alone. They are valid in names and labels.
pub(crate) fn short(content: &str, length: usize) -> String {
    let digest = Sha256::digest(content.as_bytes());
    digest.iter().take(length).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn hashes_are_stable_and_differ() {
        assert_eq!(super::short("a", 10), super::short("a", 10));
        assert_ne!(super::short("a", 10), super::short("b", 10));
        assert_eq!(super::short("a", 10).len(), 10);
    }
}
