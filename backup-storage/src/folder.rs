//! A folder: a file is written beside its name, brought to disk, and then given its name.

use super::{Source, StorageError, names};
use bytes::BytesMut;
use futures::StreamExt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Bytes read at a time.
const PIECE: usize = 256 << 10;
/// What is not written for so long was cut off.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// A folder with backups, made with the first.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(path: &Path) -> Self {
        Folder(path.to_owned())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Where it is written first: no backup by its name.
    fn partial(&self, name: &str) -> PathBuf {
        self.0.join(format!(".{name}.partial"))
    }

    pub async fn put(&self, name: &str, source: Source) -> Result<u64, StorageError> {
        let partial = self.partial(name);
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&self.0).await;
        made.map_err(|error| failed(&self.0, error))?;
        let done = self.write(name, &partial, source).await;
        if done.is_err() {
            // The error that is told is the one that mattered.
            let _ = fs::remove_file(&partial).await;
        }
        done
    }

    async fn write(&self, name: &str, partial: &Path, mut source: Source) -> Result<u64, StorageError> {
        let broken = |error| failed(partial, error);
        let mut options = OpenOptions::new();
        let opened = options.write(true).create(true).truncate(true).mode(0o600).open(partial).await;
        let mut file = opened.map_err(broken)?;
        let mut count = 0;
        while let Some(piece) = source.next().await {
            let piece = piece.map_err(StorageError::Source)?;
            file.write_all(&piece).await.map_err(broken)?;
            count += piece.len() as u64;
        }
        file.flush().await.map_err(broken)?;
        file.sync_all().await.map_err(broken)?;
        fs::rename(partial, self.file(name)).await.map_err(broken)?;
        // The new name is on disk too.
        let folder = File::open(&self.0).await.map_err(|error| failed(&self.0, error))?;
        folder.sync_all().await.map_err(|error| failed(&self.0, error))?;
        Ok(count)
    }

    pub async fn get(&self, name: &str) -> Result<Source, StorageError> {
        let path = self.file(name);
        let file = File::open(&path).await.map_err(|error| failed(&path, error))?;
        Ok(Box::pin(futures::stream::try_unfold(file, |mut file| async move {
            let mut piece = BytesMut::zeroed(PIECE);
            let count = file.read(&mut piece).await?;
            piece.truncate(count);
            Ok((count > 0).then(|| (piece.freeze(), file)))
        })))
    }

    pub async fn names(&self) -> Result<Vec<String>, StorageError> {
        let broken = |error| failed(&self.0, error);
        let mut entries = match fs::read_dir(&self.0).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(broken)?,
        };
        let mut found = Vec::new();
        while let Some(entry) = entries.next_entry().await.map_err(broken)? {
            found.extend(entry.file_name().into_string());
        }
        Ok(found)
    }

    pub async fn remove(&self, name: &str) -> Result<(), StorageError> {
        let path = self.file(name);
        match fs::remove_file(&path).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|error| failed(&path, error)),
        }
    }

    pub async fn tidy(&self) -> Result<(), StorageError> {
        for name in self.names().await? {
            let of = name.strip_prefix('.').and_then(|name| name.strip_suffix(".partial"));
            if of.and_then(names::time).is_none() {
                continue;
            }
            let modified = fs::metadata(self.file(&name)).await.and_then(|facts| facts.modified());
            let stale = |modified| SystemTime::now().duration_since(modified).is_ok_and(|age| age > STALE);
            if modified.is_ok_and(stale) {
                self.remove(&name).await?;
            }
        }
        Ok(())
    }
}

fn failed(path: &Path, source: io::Error) -> StorageError {
    StorageError::File { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Storage;
    use bytes::Bytes;
    use std::fs as files;
    use std::os::unix::fs::MetadataExt;

    fn source(pieces: Vec<io::Result<&'static str>>) -> Source {
        let pieces = pieces.into_iter().map(|piece| piece.map(|text| Bytes::from_static(text.as_bytes())));
        Box::pin(futures::stream::iter(pieces))
    }

    fn there(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            files::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn what_breaks_off_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made");
        let storage = Storage::Folder(Folder::new(&path));
        assert_eq!(storage.backups().await.unwrap(), [""; 0]);
        let (first, second) = ("insula-20261122T030000Z.backup", "insula-20261123T030000Z.backup");
        assert_eq!(storage.put(second, source(vec![Ok("ab"), Ok("c")])).await.unwrap(), 3);
        storage.put(first, source(vec![Ok("x")])).await.unwrap();
        let broken = io::Error::other("gone");
        let error = storage.put(second, source(vec![Ok("half"), Err(broken)])).await.unwrap_err();
        assert_eq!(error.to_string(), "what was to be kept broke off");
        assert_eq!(there(&path), [first, second]);
        assert_eq!(files::read(path.join(second)).unwrap(), b"abc");
        assert_eq!(files::metadata(path.join(second)).unwrap().mode() & 0o777, 0o600);
        files::write(path.join("mine.backup"), "").unwrap();
        assert_eq!(storage.backups().await.unwrap(), [first, second]);
        let read: Vec<_> = storage.get(second).await.unwrap().collect().await;
        assert_eq!(read.into_iter().map(Result::unwrap).collect::<Vec<_>>().concat(), b"abc");
        storage.remove(first).await.unwrap();
        storage.remove(first).await.unwrap();
        assert_eq!(there(&path), [second, "mine.backup"]);
    }

    #[tokio::test]
    async fn what_was_cut_off_long_ago_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - Duration::from_secs(48 * 3600);
        let [stale, fresh] = ["insula-20200101T000000Z", "insula-20200102T000000Z"];
        for (name, modified) in [
            (format!(".{stale}.backup.partial"), old),
            (format!(".{fresh}.backup.partial"), SystemTime::now()),
            (format!("{stale}.backup"), old),
            (".mine.partial".to_owned(), old),
        ] {
            files::File::create(dir.path().join(&name)).unwrap().set_modified(modified).unwrap();
        }
        Storage::Folder(Folder::new(dir.path())).tidy().await.unwrap();
        let left = [format!(".{fresh}.backup.partial"), ".mine.partial".into(), format!("{stale}.backup")];
        assert_eq!(there(dir.path()), left);
    }
}
