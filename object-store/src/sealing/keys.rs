//! The installation's sealing keys, as they are kept outside of the store.

use super::cipher::{CipherError, Key, NAME};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The most keys of an installation: a key that opens nothing any more can be taken out.
pub const MAX_KEYS: usize = 100;

const HEAD: &str = "# Sealing keys of an Insula installation, AES-256 in base64. The first one seals, all of them open.\n\
    # Without them Secrets and private keys cannot be read. Keep a copy apart from the store's.\n";

/// The name of a sealing key: the beginning of a hash of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyName(pub(super) [u8; NAME]);

impl std::fmt::Display for KeyName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The keys under which the data keys of all planes are sealed. There is at least one; the first one seals.
#[derive(Clone, Debug)]
pub struct SealingKeys(Vec<(KeyName, Key)>);

/// Why a file has no sealing keys.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// It says none.
    #[error("there is no sealing key in it")]
    None,
    /// A line is no key.
    #[error("line {0} is not 32 bytes in base64")]
    Line(usize),
    /// It says many.
    #[error("there are more than {MAX_KEYS} sealing keys in it")]
    Many,
}

impl SealingKeys {
    /// One new key.
    pub fn generate() -> Result<Self, CipherError> {
        Ok(SealingKeys(vec![named(Key::random()?)]))
    }

    /// Reads the text of a file: a key in each line, but for empty ones and those that begin with `#`.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let mut keys: Vec<(KeyName, Key)> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = STANDARD.decode(line).ok().and_then(|bytes| Key::from_bytes(&bytes));
            let key = named(key.ok_or(KeysError::Line(number + 1))?);
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        match keys.len() {
            0 => Err(KeysError::None),
            1..=MAX_KEYS => Ok(SealingKeys(keys)),
            _ => Err(KeysError::Many),
        }
    }

    /// The text of a file with them. It is as secret as they are.
    pub fn text(&self) -> String {
        let lines = self.0.iter().map(|(_, key)| STANDARD.encode(key.bytes()) + "\n");
        HEAD.to_owned() + &lines.collect::<String>()
    }

    /// The same with a new key that seals from now on. Beyond [`MAX_KEYS`] it is an error.
    pub fn rotated(&self) -> Result<Self, RotationError> {
        if self.0.len() >= MAX_KEYS {
            return Err(RotationError::Many);
        }
        let mut keys = vec![named(Key::random()?)];
        keys.extend(self.0.iter().cloned());
        Ok(SealingKeys(keys))
    }

    /// Their names, that of the one that seals first.
    pub fn names(&self) -> impl Iterator<Item = KeyName> {
        self.0.iter().map(|(name, _)| *name)
    }

    pub(super) fn get(&self, name: KeyName) -> Option<&Key> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, key)| key)
    }

    pub(super) fn first(&self) -> Option<(KeyName, &Key)> {
        self.0.first().map(|(name, key)| (*name, key))
    }
}

/// Why there is no new key.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// There are many.
    #[error("there are {MAX_KEYS} sealing keys already: take out those that nothing is sealed under")]
    Many,
    /// No randomness.
    #[error(transparent)]
    Cipher(#[from] CipherError),
}

fn named(key: Key) -> (KeyName, Key) {
    let hash = digest(&SHA256, &[b"insula sealing key", key.bytes()].concat());
    let mut name = [0; NAME];
    name.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    (KeyName(name), key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_was_written() {
        let keys = SealingKeys::generate().unwrap().rotated().unwrap();
        let read = SealingKeys::parse(&keys.text()).unwrap();
        assert_eq!(read.names().collect::<Vec<_>>(), keys.names().collect::<Vec<_>>());
        assert_eq!(keys.names().count(), 2);
        assert!(!format!("{keys:?}").contains(keys.text().lines().last().unwrap()));
    }

    #[test]
    fn what_is_no_key_is_told_by_its_line() {
        let key = STANDARD.encode([7; 32]);
        let short = STANDARD.encode([7; 16]);
        let table = [
            (String::new(), Err(KeysError::None)),
            ("# only a remark\n\n".to_owned(), Err(KeysError::None)),
            (key.clone(), Ok(1)),
            (format!(" {key} \r\n{key}\n"), Ok(1)),
            (format!("# x\n{key}\n{short}\n"), Err(KeysError::Line(3))),
            ("secret".to_owned(), Err(KeysError::Line(1))),
        ];
        for (text, expected) in table {
            let read = SealingKeys::parse(&text).map(|keys| keys.names().count());
            assert_eq!(read, expected, "{text:?}");
        }
        let many: String =
            (0..=MAX_KEYS).map(|n| STANDARD.encode([u8::try_from(n).unwrap(); 32]) + "\n").collect();
        assert_eq!(SealingKeys::parse(&many).map(|_| ()), Err(KeysError::Many));
    }
}
