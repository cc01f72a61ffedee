//! A backup as it is sent: kept in a file without a name, and checked before anything is made of it.

use super::selection::{Kept, Why, select};
use crate::cache::feed::parse_key;
use crate::cache::record;
use crate::sealing;
use crate::server::Server;
use api_types::{ApiError, Reason, ResourceKey, Revision, TenantId};
use bytes::Bytes;
use http_body_util::BodyExt;
use object_store::Item;
use object_store::backup::{Entry, Reader};
use object_store::sealing::CopyOpener;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::time::timeout;

/// The longest backup of a tenant: 16 GiB.
const MAX_BYTES: u64 = 16 << 30;
/// How long the next bytes may take.
const IDLE: Duration = Duration::from_secs(60);
/// Bytes read at a time.
const PIECE: usize = 256 << 10;

/// A backup that is whole, and can be opened.
pub struct Upload {
    file: File,
    opener: CopyOpener,
    /// Whose plane it shows.
    of: TenantId,
    /// The `Tenant` as it was.
    pub tenant: Value,
    /// When it was made.
    pub made: String,
    /// How many objects come back.
    pub objects: u64,
    /// How many do not, and why.
    pub left: BTreeMap<Why, u64>,
}

/// An object of a backup that comes back.
pub struct Restored {
    /// Which.
    pub key: ResourceKey,
    /// As it is to be.
    pub object: Value,
    /// As it is to be stored, unless it was changed.
    pub stored: Option<Bytes>,
}

/// What of a backup has been read and checked.
struct Checking {
    reader: Reader,
    opener: CopyOpener,
    head: Option<(TenantId, Value, String)>,
    objects: u64,
    left: BTreeMap<Why, u64>,
}

fn refused(why: impl std::fmt::Display) -> ApiError {
    ApiError::new(Reason::BadRequest, why.to_string())
}

fn no_room(error: &std::io::Error) -> ApiError {
    tracing::error!(%error, "a backup that is sent cannot be kept while it is checked");
    ApiError::internal("the backup cannot be kept while it is checked: see the log of the server")
}

/// Takes a body. What is wrong with it is told when all of it has come, so that the sender reads the answer.
pub async fn receive<B>(server: &Server, body: B) -> Result<Upload, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let file = tempfile::tempfile_in(&server.options.scratch).map_err(|error| no_room(&error))?;
    let mut file = File::from_std(file);
    let opener = server.store.opener();
    let mut checking =
        Checking { reader: Reader::default(), opener, head: None, objects: 0, left: BTreeMap::new() };
    let (mut bytes, mut wrong) = (0, None);
    tokio::pin!(body);
    loop {
        let frame = timeout(IDLE, body.frame()).await;
        let frame = frame.map_err(|_| ApiError::new(Reason::Timeout, "the backup did not arrive in time"))?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| refused(format!("the backup could not be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        bytes += data.len() as u64;
        if bytes > MAX_BYTES {
            return Err(ApiError::new(
                Reason::RequestEntityTooLarge,
                format!("the backup of a tenant has at most {MAX_BYTES} bytes"),
            ));
        }
        if wrong.is_none() {
            wrong = checking.next(&data).err();
            file.write_all(&data).await.map_err(|error| no_room(&error))?;
        }
    }
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    checking.reader.end().map_err(refused)?;
    file.flush().await.map_err(|error| no_room(&error))?;
    let Some((of, tenant, made)) = checking.head else { return Err(refused("the backup has no beginning")) };
    let (opener, objects, left) = (checking.opener, checking.objects, checking.left);
    Ok(Upload { file, opener, of, tenant, made, objects, left })
}

impl Checking {
    fn next(&mut self, data: &[u8]) -> Result<(), ApiError> {
        self.reader.push(data);
        while let Some(entry) = self.reader.entry().map_err(refused)? {
            match entry {
                Entry::Head(head) => self.head = Some(read_note(&head.note)?),
                Entry::Item(item) => {
                    if self.head.as_ref().is_none_or(|(of, ..)| *of != item.tenant) {
                        return Err(refused("the backup has objects of others than its tenant"));
                    }
                    let Some((key, mut object, _)) = opened(&self.opener, &item)? else { continue };
                    match select(&key, &mut object) {
                        Kept::Left(why) => *self.left.entry(why).or_default() += 1,
                        Kept::AsItWas | Kept::Changed => self.objects += 1,
                    }
                }
                Entry::End(_) => {}
            }
        }
        Ok(())
    }
}

/// The note of a backup: whose it is.
fn read_note(note: &[u8]) -> Result<(TenantId, Value, String), ApiError> {
    let mut note: Value = serde_json::from_slice(note).unwrap_or_default();
    let tenant = note["tenant"].take();
    let id = tenant["metadata"]["uid"].as_str().and_then(TenantId::parse);
    let id = id.ok_or_else(|| {
        refused(
            "this is no backup of one tenant; a backup of everything is put back by: insula store restore",
        )
    })?;
    Ok((id, tenant, note["made"].as_str().unwrap_or("").to_owned()))
}

/// An object as it was; `None` for what is not one.
fn opened(opener: &CopyOpener, item: &Item) -> Result<Option<(ResourceKey, Value, Bytes)>, ApiError> {
    let broken = |why: &dyn std::fmt::Display| refused(format!("{} of the backup: {why}", item.key));
    let Some(value) = opener.open(item).map_err(refused)? else { return Ok(None) };
    let Some(key) = parse_key(&item.key) else { return Err(broken(&"it is not the key of an object")) };
    // Of what the plane keeps for itself nothing is looked at.
    if sealing::is_secret(&item.key) && key.resource.group == "insula.internal" {
        return Ok(Some((key, Value::Null, value)));
    }
    let record = record::decode(key.object.clone(), &value, Revision(1)).map_err(|error| broken(&error))?;
    let mut object = record.value().map_err(|error| broken(&error))?;
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    Ok(Some((key, object, value)))
}

impl Upload {
    /// Reads it from its beginning.
    pub async fn read(&mut self) -> Result<Reading<'_>, ApiError> {
        self.file.rewind().await.map_err(|error| no_room(&error))?;
        Ok(Reading { of: self, reader: Reader::default(), piece: vec![0; PIECE] })
    }
}

/// A backup that is read once more.
pub struct Reading<'a> {
    of: &'a mut Upload,
    reader: Reader,
    piece: Vec<u8>,
}

impl Reading<'_> {
    /// The next object that comes back; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Restored>, ApiError> {
        loop {
            match self.reader.entry().map_err(refused)? {
                Some(Entry::Item(item)) if item.tenant == self.of.of => {
                    let Some((key, mut object, stored)) = opened(&self.of.opener, &item)? else { continue };
                    match select(&key, &mut object) {
                        Kept::Left(_) => {}
                        Kept::AsItWas => return Ok(Some(Restored { key, object, stored: Some(stored) })),
                        Kept::Changed => return Ok(Some(Restored { key, object, stored: None })),
                    }
                }
                Some(Entry::End(_)) => return Ok(None),
                Some(_) => {}
                None => {
                    let read = self.of.file.read(&mut self.piece).await;
                    match read.map_err(|error| no_room(&error))? {
                        0 => return Err(ApiError::internal("the kept backup has ended")),
                        count => self.reader.push(&self.piece[..count]),
                    }
                }
            }
        }
    }
}
