//! Where backups are kept: a folder, or S3-compatible storage.
//!
//! Guarantees: what is put is there when it is whole, and else not at all, under whatever crash; files are readable by
//! their owner alone. Bytes are opaque: who puts them says whether they are whole.
//!
//! Read in this order: [`names`] (which files are backups made by the clock), `folder`, `s3`.

mod folder;
pub mod names;
mod s3;

pub use s3::Credentials;

use bytes::Bytes;
use futures::Stream;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;

/// Bytes as they come; an error breaks what is made of them off.
pub type Source = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A folder, or a bucket and what keys in it begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A folder of this machine.
    Folder(PathBuf),
    /// `s3://BUCKET/PREFIX`. The prefix may be empty, or ends without a slash.
    S3 {
        /// The bucket.
        bucket: String,
        /// What comes before a slash and the name; of one object, its whole key.
        prefix: String,
    },
}

/// What is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Another scheme.
    #[error("{0:?} is neither a folder nor s3://BUCKET/PREFIX")]
    Scheme(String),
    /// A bucket with letters that none has, which would lead elsewhere.
    #[error("{0:?} is not the name of a bucket")]
    Bucket(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let Some(rest) = text.strip_prefix("s3://") else {
            return match text.contains("://") {
                true => Err(AddressError::Scheme(text.to_owned())),
                false => Ok(Address::Folder(text.into())),
            };
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let ends = |c: char| c.is_ascii_alphanumeric();
        let named = (3..=63).contains(&bucket.len()) && bucket.chars().all(letter);
        if !(named && bucket.starts_with(ends) && bucket.ends_with(ends)) {
            return Err(AddressError::Bucket(bucket.to_owned()));
        }
        Ok(Address::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Folder(folder) => folder.display().fmt(f),
            Address::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Address::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// Why something could not be kept, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// What was to be kept broke off.
    #[error("what was to be kept broke off")]
    Source(#[source] io::Error),
    /// A file or folder.
    #[error("{path} cannot be used")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// There are no credentials, or what is said of the storage cannot be used.
    #[error("{0}")]
    Setting(String),
    /// The storage cannot be reached, or does not answer as S3 does.
    #[error("{what}: {why}")]
    Unreachable {
        /// What was asked.
        what: String,
        /// What came.
        why: String,
    },
    /// The storage refuses.
    #[error("{what}: {code}: {message}")]
    Refused {
        /// What was asked.
        what: String,
        /// The HTTP status.
        status: u16,
        /// In a word of S3's: `AccessDenied`, `NoSuchBucket`.
        code: String,
        /// In its words.
        message: String,
    },
}

/// A place where backups are kept.
pub enum Storage {
    /// A folder.
    Folder(folder::Folder),
    /// A bucket.
    S3(Box<s3::Bucket>),
}

impl Storage {
    /// Opens a place; nothing is asked of it yet. For S3, what the AWS command line reads from its environment is read:
    /// [`Credentials`].
    pub fn open(address: &Address) -> Result<Self, StorageError> {
        match address {
            Address::Folder(folder) => Ok(Storage::Folder(folder::Folder::new(folder))),
            Address::S3 { .. } => Self::open_with(address, &Credentials::from_environment()?),
        }
    }

    /// The same with other credentials than those of the environment.
    pub fn open_with(address: &Address, credentials: &Credentials) -> Result<Self, StorageError> {
        Ok(match address {
            Address::Folder(folder) => Storage::Folder(folder::Folder::new(folder)),
            Address::S3 { bucket, prefix } => {
                Storage::S3(Box::new(s3::Bucket::new(bucket, prefix, credentials.clone())?))
            }
        })
    }

    /// The place of one object, whose key is all that its address says, and its name there.
    pub fn open_object(address: &Address) -> Result<(Self, String), StorageError> {
        let missing = || StorageError::Setting(format!("{address} does not say a name: add /NAME"));
        match address {
            Address::Folder(path) => {
                let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(missing)?;
                let folder = path.parent().unwrap_or(path);
                Ok((Storage::Folder(folder::Folder::new(folder)), name.to_owned()))
            }
            Address::S3 { bucket, prefix } => {
                let (prefix, name) = prefix.rsplit_once('/').unwrap_or(("", prefix));
                if name.is_empty() {
                    return Err(missing());
                }
                let place = Address::S3 { bucket: bucket.clone(), prefix: prefix.to_owned() };
                Ok((Self::open(&place)?, name.to_owned()))
            }
        }
    }

    /// Puts bytes under a name, in the place of what has it. How many there were.
    pub async fn put(&self, name: &str, source: Source) -> Result<u64, StorageError> {
        match self {
            Storage::Folder(folder) => folder.put(name, source).await,
            Storage::S3(bucket) => bucket.put(name, source).await,
        }
    }

    /// The bytes that have a name.
    pub async fn get(&self, name: &str) -> Result<Source, StorageError> {
        match self {
            Storage::Folder(folder) => folder.get(name).await,
            Storage::S3(bucket) => bucket.get(name).await,
        }
    }

    /// The names of backups made by the clock, the oldest first; others in the same place are nobody's business.
    pub async fn backups(&self) -> Result<Vec<String>, StorageError> {
        let all = match self {
            Storage::Folder(folder) => folder.names().await,
            Storage::S3(bucket) => bucket.names(names::PREFIX).await,
        };
        // Their order is that of their times.
        let mut found: Vec<String> = all?.into_iter().filter(|name| names::time(name).is_some()).collect();
        found.sort();
        Ok(found)
    }

    /// Removes what has a name; nothing when nothing has it.
    pub async fn remove(&self, name: &str) -> Result<(), StorageError> {
        match self {
            Storage::Folder(folder) => folder.remove(name).await,
            Storage::S3(bucket) => bucket.remove(name).await,
        }
    }

    /// Removes what puts of backups left that were cut off long ago. Nobody sees it, but it takes room.
    pub async fn tidy(&self) -> Result<(), StorageError> {
        match self {
            Storage::Folder(folder) => folder.tidy().await,
            Storage::S3(bucket) => bucket.tidy().await,
        }
    }
}

/// An error with what caused it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_folders_or_buckets() {
        let s3 =
            |bucket: &str, prefix: &str| Ok(Address::S3 { bucket: bucket.into(), prefix: prefix.into() });
        let bucket = |text: &str| Err(AddressError::Bucket(text.into()));
        for (text, expected) in [
            ("/backup", Ok(Address::Folder("/backup".into()))),
            ("there", Ok(Address::Folder("there".into()))),
            ("s3://insula", s3("insula", "")),
            ("s3://insula/", s3("insula", "")),
            ("s3://insula/a/b/", s3("insula", "a/b")),
            ("s3://x", bucket("x")),
            ("s3:///a", bucket("")),
            ("s3://a?b/c", bucket("a?b")),
            ("s3://..../c", bucket("....")),
            ("gs://insula/a", Err(AddressError::Scheme("gs://insula/a".into()))),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        assert_eq!("s3://insula/a/b/".parse::<Address>().unwrap().to_string(), "s3://insula/a/b");
    }
}
