//! Copies of stores, from wherever they come.

use crate::cli::store::Etcd;
use crate::client::HostPlane;
use crate::store_address::StoreAddress;
use anyhow::{Context, bail};
use backup_storage::{Address, Storage};
use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::backup::{Backup, Entry, Reader};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;

/// A copy that is being read, and checked meanwhile.
pub struct Copy {
    source: Source,
    shown: String,
    reader: Reader,
    piece: Vec<u8>,
    ended: bool,
}

enum Source {
    File(Box<dyn Read + Send>),
    Server(Pin<Box<dyn AsyncRead + Send>>),
    Store(Backup, Arc<dyn ObjectStore>),
}

impl Copy {
    /// That of a file, or of an object of S3; of standard input for `-`.
    pub async fn of_file(file: &Path) -> anyhow::Result<Self> {
        let shown = file.display().to_string();
        if is_object(file) {
            let source = open(file).await?;
            return Ok(Self::new(Source::Server(Box::pin(source.into_async_read())), shown));
        }
        let source: Box<dyn Read + Send> = match shown.as_str() {
            "-" => Box::new(io::stdin()),
            _ => Box::new(File::open(file).with_context(|| format!("{shown} cannot be read"))?),
        };
        Ok(Self::new(Source::File(source), shown))
    }

    /// One that the running server makes.
    pub async fn of_server(plane: &HostPlane, path: &str) -> anyhow::Result<Self> {
        let answer = plane.stream(path).await?;
        Ok(Self::new(Source::Server(Box::pin(answer)), "the server's answer".to_owned()))
    }

    /// One that is made of a store on which no server runs.
    pub async fn of_store(store: &StoreAddress, etcd: &Etcd) -> anyhow::Result<Self> {
        let opened = store.open_existing(etcd).await?;
        let backup = Backup::begin(opened.clone(), None, Bytes::new()).await;
        let backup = backup.with_context(|| format!("{store} cannot be read"))?;
        Ok(Self::new(Source::Store(backup, opened), store.to_string()))
    }

    fn new(source: Source, shown: String) -> Self {
        Copy { source, shown, reader: Reader::default(), piece: vec![0; PIECE], ended: false }
    }

    /// Lets others have the store that it was made of.
    pub async fn release(&self) {
        if let Source::Store(_, store) = &self.source {
            store.release().await;
        }
    }

    /// Where it comes from.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The next bytes of it; `None` at its end, which is where it should be.
    pub async fn bytes(&mut self) -> anyhow::Result<Option<Bytes>> {
        let read = match &mut self.source {
            Source::Store(backup, _) => backup.next().await.map_err(anyhow::Error::from),
            Source::Server(answer) => {
                let count = answer.read(&mut self.piece).await;
                count.map_err(anyhow::Error::from).map(|count| piece(&self.piece[..count]))
            }
            Source::File(file) => {
                let count = file.read(&mut self.piece);
                count.map_err(anyhow::Error::from).map(|count| piece(&self.piece[..count]))
            }
        };
        let bytes = read.with_context(|| format!("{} cannot be read", self.shown))?;
        match &bytes {
            Some(bytes) => self.reader.push(bytes),
            None => {
                self.ended = true;
                self.reader.end().with_context(|| format!("{} cannot be used", self.shown))?;
            }
        }
        Ok(bytes)
    }

    /// The next entry of the bytes that were read.
    pub fn known(&mut self) -> anyhow::Result<Option<Entry>> {
        self.reader.entry().with_context(|| format!("{} cannot be used", self.shown))
    }

    /// The next entry. The last one is told when nothing follows it.
    pub async fn entry(&mut self) -> anyhow::Result<Entry> {
        loop {
            match self.known()? {
                Some(end @ Entry::End(_)) => {
                    while self.bytes().await?.is_some() {
                        self.known()?;
                    }
                    return Ok(end);
                }
                Some(entry) => return Ok(entry),
                None if self.ended => bail!("{} has ended", self.shown),
                None => drop(self.bytes().await?),
            }
        }
    }
}

/// True for `s3://BUCKET/KEY`.
pub fn is_object(file: &Path) -> bool {
    file.to_str().is_some_and(|text| text.starts_with("s3://"))
}

/// The bytes of a file or of an object of S3, as they come.
pub async fn open(file: &Path) -> anyhow::Result<backup_storage::Source> {
    let shown = file.display();
    let (storage, name) = place(file)?;
    storage.get(&name).await.with_context(|| format!("{shown} cannot be read"))
}

/// Where a file or an object is, and its name there.
pub fn place(file: &Path) -> anyhow::Result<(Storage, String)> {
    let address: Address = file.display().to_string().parse()?;
    Ok(Storage::open_object(&address)?)
}

fn piece(read: &[u8]) -> Option<Bytes> {
    (!read.is_empty()).then(|| Bytes::copy_from_slice(read))
}
