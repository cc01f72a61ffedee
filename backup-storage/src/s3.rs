//! A bucket of S3, or of what answers as S3 does: MinIO, Ceph, other clouds.
//!
//! What is longer than a part is sent as a *multipart upload*: nothing of it is there until it is completed. Buckets are
//! asked for by path (`https://HOST/BUCKET/KEY`), which every such storage knows that has no hosts for its buckets.
//!
//! Read in this order: [`signing`], [`xml`], [`wire`] (requests), and here what is asked.

mod signing;
mod wire;
mod xml;

use super::{Source, StorageError, names};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use wire::{Ask, Wire};

/// Bytes of a part. There are at most 10,000 of them: 160 GB.
const PART: usize = 16 << 20;
const PARTS: usize = 10_000;
/// An upload that was begun before this time was cut off.
const STALE: SignedDuration = SignedDuration::from_hours(24);

/// Who asks, and where.
#[derive(Clone)]
pub struct Credentials {
    /// The name of the key.
    pub access_key: String,
    /// The key.
    pub secret_key: String,
    /// Of temporary credentials.
    pub session_token: Option<String>,
    /// Where the bucket is.
    pub region: String,
    /// Another storage than Amazon's: its URL.
    pub endpoint: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({} …)", self.access_key)
    }
}

impl Credentials {
    /// What the AWS command line reads from its environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    /// `AWS_SESSION_TOKEN`, `AWS_REGION` or `AWS_DEFAULT_REGION` (else `us-east-1`), `AWS_ENDPOINT_URL_S3` or
    /// `AWS_ENDPOINT_URL`. Its files are not read.
    pub fn from_environment() -> Result<Self, StorageError> {
        Self::of(|name| std::env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Self, StorageError> {
        let said =
            |names: &[&str]| names.iter().find_map(|name| variable(name).filter(|text| !text.is_empty()));
        let needed = |name: &str| {
            let why = "S3 needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
            said(&[name]).ok_or_else(|| StorageError::Setting(format!("{why} ({name} is not set)")))
        };
        Ok(Credentials {
            access_key: needed("AWS_ACCESS_KEY_ID")?,
            secret_key: needed("AWS_SECRET_ACCESS_KEY")?,
            session_token: said(&["AWS_SESSION_TOKEN"]),
            region: said(&["AWS_REGION", "AWS_DEFAULT_REGION"]).unwrap_or_else(|| "us-east-1".to_owned()),
            endpoint: said(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]),
        })
    }

    /// The URL of the storage.
    pub(super) fn endpoint(&self) -> String {
        self.endpoint.clone().unwrap_or_else(|| format!("https://s3.{}.amazonaws.com", self.region))
    }
}

/// A bucket, and what keys in it begin with.
pub struct Bucket {
    wire: Wire,
    /// Empty, or with a slash at its end.
    prefix: String,
}

impl Bucket {
    pub fn new(bucket: &str, prefix: &str, credentials: Credentials) -> Result<Self, StorageError> {
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Bucket { wire: Wire::new(bucket, credentials)?, prefix })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub async fn put(&self, name: &str, mut source: Source) -> Result<u64, StorageError> {
        let key = self.key(name);
        let (first, more) = part(&mut source).await?;
        if !more {
            let size = first.len() as u64;
            self.wire.ask(&Ask { method: "PUT", key: &key, query: &[], body: first }).await?;
            return Ok(size);
        }
        let begin = Ask { method: "POST", key: &key, query: &[("uploads", "")], body: Bytes::new() };
        let (said, _) = self.wire.ask(&begin).await?;
        let id = xml::first(&said, "UploadId");
        let id = id.ok_or_else(|| self.wire.unreachable(&begin, "the answer names no upload"))?;
        let done = self.parts(&key, &id, first, source).await;
        if done.is_err() {
            // The error that is told is the one that mattered; what is left is removed a day later.
            let _ = self.abort(&key, &id).await;
        }
        done
    }

    async fn parts(
        &self,
        key: &str,
        id: &str,
        first: Bytes,
        mut source: Source,
    ) -> Result<u64, StorageError> {
        let (mut next, mut size, mut tags) = (Some(first), 0, Vec::new());
        while let Some(body) = next.take() {
            let number = (tags.len() + 1).to_string();
            if tags.len() == PARTS {
                let why = format!("it is longer than {PARTS} parts of {PART} bytes");
                return Err(StorageError::Setting(why));
            }
            size += body.len() as u64;
            let query = [("partNumber", number.as_str()), ("uploadId", id)];
            let (_, tag) = self.wire.ask(&Ask { method: "PUT", key, query: &query, body }).await?;
            tags.push(tag);
            let (body, _) = part(&mut source).await?;
            next = (!body.is_empty()).then_some(body);
        }
        let parts: String = (1..)
            .zip(&tags)
            .map(|(number, tag)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"))
            .collect();
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let complete = Ask { method: "POST", key, query: &[("uploadId", id)], body: body.into() };
        let (said, _) = self.wire.ask(&complete).await?;
        // It may fail after it has begun to answer that it did not.
        match xml::first(&said, "Code").filter(|_| said.contains("<Error>")) {
            Some(code) => Err(self.wire.unreachable(&complete, &code)),
            None => Ok(size),
        }
    }

    async fn abort(&self, key: &str, id: &str) -> Result<(), StorageError> {
        let query = [("uploadId", id)];
        self.wire.ask(&Ask { method: "DELETE", key, query: &query, body: Bytes::new() }).await.map(drop)
    }

    pub async fn get(&self, name: &str) -> Result<Source, StorageError> {
        let key = self.key(name);
        let answer =
            self.wire.open(&Ask { method: "GET", key: &key, query: &[], body: Bytes::new() }).await?;
        Ok(Wire::source(answer))
    }

    /// The names that begin so.
    pub async fn names(&self, beginning: &str) -> Result<Vec<String>, StorageError> {
        let prefix = self.key(beginning);
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut query = vec![("list-type", "2"), ("prefix", prefix.as_str())];
            query.extend(after.as_deref().map(|after| ("continuation-token", after)));
            let (said, _) =
                self.wire.ask(&Ask { method: "GET", key: "", query: &query, body: Bytes::new() }).await?;
            let keys = xml::all(&said, "Key").into_iter().map(xml::unescaped);
            found.extend(keys.filter_map(|key| key.strip_prefix(&self.prefix).map(str::to_owned)));
            after = xml::first(&said, "NextContinuationToken");
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    pub async fn remove(&self, name: &str) -> Result<(), StorageError> {
        let key = self.key(name);
        self.wire.ask(&Ask { method: "DELETE", key: &key, query: &[], body: Bytes::new() }).await.map(drop)
    }

    /// Ends uploads of backups that were begun a day ago and not completed. A page of them: others come another time.
    pub async fn tidy(&self) -> Result<(), StorageError> {
        let prefix = self.key(names::PREFIX);
        let query = [("uploads", ""), ("prefix", prefix.as_str())];
        let (said, _) =
            self.wire.ask(&Ask { method: "GET", key: "", query: &query, body: Bytes::new() }).await?;
        for (key, id) in stale(&said, &self.prefix, Timestamp::now()) {
            tracing::info!(key, "an upload that was cut off is removed");
            self.abort(&key, &id).await?;
        }
        Ok(())
    }
}

/// The next part: as long as one is, unless it is the last. False when nothing can follow it.
async fn part(source: &mut Source) -> Result<(Bytes, bool), StorageError> {
    let mut part = BytesMut::new();
    while part.len() < PART {
        match source.next().await {
            Some(piece) => part.extend_from_slice(&piece.map_err(StorageError::Source)?),
            None => return Ok((part.freeze(), false)),
        }
    }
    Ok((part.freeze(), true))
}

/// Keys and names of uploads of backups that were cut off.
fn stale(said: &str, prefix: &str, now: Timestamp) -> Vec<(String, String)> {
    let of = |upload: &str| {
        let key = xml::first(upload, "Key")?;
        key.strip_prefix(prefix).and_then(names::time)?;
        let begun: Timestamp = xml::first(upload, "Initiated")?.parse().ok()?;
        (now.duration_since(begun) > STALE).then_some((key, xml::first(upload, "UploadId")?))
    };
    xml::all(said, "Upload").into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_those_of_the_environment() {
        let of = |set: &[(&str, &str)]| {
            Credentials::of(|name| {
                set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s")];
        let plain = of(&keys).unwrap();
        assert_eq!((plain.region.as_str(), plain.session_token.clone()), ("us-east-1", None));
        assert_eq!(plain.endpoint(), "https://s3.us-east-1.amazonaws.com");
        assert_eq!(format!("{plain:?}"), "Credentials(a …)");
        let more =
            [("AWS_DEFAULT_REGION", "eu-central-1"), ("AWS_ENDPOINT_URL", "http://h:9"), ("AWS_REGION", "")];
        let other = of(&[keys.as_slice(), &more].concat()).unwrap();
        assert_eq!((other.region.as_str(), other.endpoint().as_str()), ("eu-central-1", "http://h:9"));
        let missing = of(&keys[..1]).unwrap_err().to_string();
        assert!(missing.contains("AWS_SECRET_ACCESS_KEY is not set"), "{missing}");
    }

    #[test]
    fn only_old_uploads_of_backups_are_stale() {
        let upload = |key: &str, begun: &str| {
            format!(
                "<Upload><Key>{key}</Key><UploadId>id-{begun}</UploadId><Initiated>{begun}</Initiated></Upload>"
            )
        };
        let (old, new) = ("2026-11-20T00:00:00.000Z", "2026-11-22T00:00:00.000Z");
        let ours = "a/insula-20261120T000000Z.backup";
        let said = [(ours, old), (ours, new), ("a/mine", old), ("b/insula-20261120T000000Z.backup", old)]
            .map(|(key, begun)| upload(key, begun))
            .concat();
        let now = "2026-11-22T03:00:00Z".parse().unwrap();
        assert_eq!(stale(&said, "a/", now), [(ours.to_owned(), format!("id-{old}"))]);
    }

    #[tokio::test]
    async fn parts_are_as_long_as_they_are_said_to_be() {
        let pieces = vec![
            Ok(Bytes::from(vec![0; PART - 1])),
            Ok(Bytes::from_static(b"ab")),
            Ok(Bytes::from_static(b"c")),
        ];
        let mut source: Source = Box::pin(futures::stream::iter(pieces));
        let (first, more) = part(&mut source).await.unwrap();
        assert!(first.len() >= PART && more);
        let (rest, more) = part(&mut source).await.unwrap();
        assert_eq!((&rest[..], more), (&b"c"[..], false));
    }
}
