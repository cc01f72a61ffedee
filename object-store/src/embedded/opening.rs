//! Opening: makes the file when there is none, checks that it can be understood, rebuilds the index, and takes what is in
//! the write-ahead log and not in the tables.

use super::disk::{Disk, Handle};
use super::format::{
    FORMAT, LOGS, META, META_CLOSED, META_COMPACTED, META_FLOOR, META_FORMAT, META_WAL, META_WAL_HALF,
    Position, decode, log_name, log_table,
};
use super::index::Version;
use super::wal::{Unreadable, Wal};
use super::{EmbeddedOptions, LOG, Log, State, file_error};
use crate::engine::StoreError;
use api_types::Revision;
use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, StorageError, Table, TableHandle};
use std::fs::{File, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The file of a store and its log, which are made when they are not there.
pub(super) fn disk(file: &Path, cache_bytes: usize) -> Result<Arc<Disk>, StoreError> {
    let path = file.display().to_string();
    if !file.try_exists().map_err(|error| refused(&path, &error))? {
        keep_log(file).map_err(|error| refused(&path, &error))?;
        create(file, cache_bytes)?;
    }
    let handle = OpenOptions::new().read(true).write(true).open(file).map_err(|e| refused(&path, &e))?;
    if handle.metadata().map_err(|error| refused(&path, &error))?.len() == 0 {
        return Err(corrupt(&path, "it is empty"));
    }
    let file_backend = FileBackend::new(handle).map_err(|error| file_error(&path, error))?;
    let log = file.with_file_name(LOG);
    let log_path = log.display().to_string();
    let is_new = !log.try_exists().map_err(|error| refused(&log_path, &error))?;
    let log = private(OpenOptions::new().read(true).write(true).create(true).truncate(false))
        .open(&log)
        .map_err(|error| refused(&log_path, &error))?;
    if is_new {
        sync_folder(file).map_err(|error| refused(&path, &error))?;
    }
    let log_backend = FileBackend::new(log).map_err(|error| file_error(&log_path, error))?;
    Ok(Disk::new(file_backend, log_backend))
}

/// A log whose store is not there any more may have the newest commits of it: it gets another name.
fn keep_log(file: &Path) -> io::Result<()> {
    let log = file.with_file_name(LOG);
    if !log.try_exists()? {
        return Ok(());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let kept = file.with_file_name(format!("{LOG}.{now}"));
    std::fs::rename(&log, &kept)?;
    tracing::warn!(kept = %kept.display(), "the log of a store that is not here any more was renamed");
    Ok(())
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Waits until the names in the folder of a file are on the disk.
fn sync_folder(file: &Path) -> io::Result<()> {
    File::open(file.parent().unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all())
}

/// A store that was opened.
pub(super) struct Opened {
    pub database: Database,
    pub state: State,
    pub wal: Wal,
}

/// Opens what is on a disk, and reads all of it.
pub(super) fn open(path: &str, disk: &Arc<Disk>, options: EmbeddedOptions) -> Result<Opened, StoreError> {
    // Damage that the file's engine did not expect must not take the process down.
    catch_unwind(AssertUnwindSafe(|| {
        let database = database(path, disk, options.page_cache_bytes)?;
        let (mut state, log) = load(&database, path)?;
        let wal = match log {
            LogOf::Closed => begin_log(&database, path, disk, wal_half(&options), state.index.newest())?,
            LogOf::Open { id, half } => read_log(path, disk, (id, half), &mut state, &options)?,
        };
        failed(path, disk)?;
        Ok(Opened { database, state, wal })
    }))
    .unwrap_or_else(|_| Err(corrupt(path, "its pages do not fit together")))
}

/// What a file says of its log.
enum LogOf {
    /// All that was in it is in the tables.
    Closed,
    Open {
        id: u64,
        half: u64,
    },
}

/// Room for a frame, at least.
fn wal_half(options: &EmbeddedOptions) -> u64 {
    options.wal_half.max(4096).next_multiple_of(8)
}

/// A new log, whatever was in the last one. It is there before the file says that it is.
fn begin_log(
    database: &Database,
    path: &str,
    disk: &Arc<Disk>,
    half: u64,
    newest: Revision,
) -> Result<Wal, StoreError> {
    let id = uuid::Uuid::new_v4().as_u64_pair().0;
    let wal = Wal::begin(disk.clone(), id, half, newest).map_err(|error| refused(path, &error))?;
    let noted = change_meta(database, |meta| {
        let numbers =
            [(META_FORMAT, u64::from(FORMAT)), (META_WAL, id), (META_WAL_HALF, half), (META_CLOSED, 0)];
        for (name, number) in numbers {
            meta.insert(name, number)?;
        }
        Ok(())
    });
    noted.map_err(|error| file_error(path, error))?;
    Ok(wal)
}

/// Changes numbers of a store, with one transaction.
pub(super) fn change_meta(
    database: &Database,
    change: impl FnOnce(&mut Table<'_, &'static str, u64>) -> Result<(), StorageError>,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    change(&mut transaction.open_table(META)?)?;
    transaction.commit()?;
    Ok(())
}

/// The log as it was left, and its commits.
fn read_log(
    path: &str,
    disk: &Arc<Disk>,
    (id, half): (u64, u64),
    state: &mut State,
    options: &EmbeddedOptions,
) -> Result<Wal, StoreError> {
    let (wal, batches) =
        Wal::read(disk.clone(), id, half, state.index.newest()).map_err(|error| match error {
            Unreadable::Io(error) => refused(path, &error),
            Unreadable::Damaged(why) => corrupt(path, &format!("its write-ahead log objects.wal: {why}")),
        })?;
    for batch in batches {
        let (batch, sizes) = batch;
        let commit = state.tables(options).place(Arc::new(batch), &sizes);
        state.committed(&commit, &sizes);
        state.wait(commit);
    }
    Ok(wal)
}

fn database(path: &str, disk: &Arc<Disk>, cache_bytes: usize) -> Result<Database, StoreError> {
    let opened = builder(cache_bytes).create_with_backend(Handle(disk.clone()));
    opened.map_err(|error| file_error(path, error))
}

/// An error when a disk failed, whatever redb believes.
fn failed(path: &str, disk: &Disk) -> Result<(), StoreError> {
    disk.failure().map_or(Ok(()), |why| Err(StoreError::Unavailable(format!("{path}: {why}"))))
}

/// Makes an empty store on an empty disk.
pub(super) fn format(path: &str, disk: &Arc<Disk>, cache_bytes: usize) -> Result<(), StoreError> {
    let database = database(path, disk, cache_bytes)?;
    initialize(&database).map_err(|error| file_error(path, error))?;
    drop(database);
    failed(path, disk)
}

fn builder(cache_bytes: usize) -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes);
    builder
}

/// Makes an empty store under another name and then gives it its own, so that a file of this name is always a
/// whole store: an empty one is a damaged one, never a new one.
fn create(file: &Path, cache_bytes: usize) -> Result<(), StoreError> {
    let path = file.display().to_string();
    let dir = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir).map_err(|error| refused(&path, &error))?;
    let fresh = file.with_extension(format!("new-{}", std::process::id()));
    let made = (|| {
        let mut options = OpenOptions::new();
        let handle = private(options.read(true).write(true).create(true).truncate(true))
            .open(&fresh)
            .map_err(|error| refused(&path, &error))?;
        let backend = FileBackend::new(handle).map_err(|error| file_error(&path, error))?;
        // It gets its log when it is opened.
        let disk = Disk::new(backend, InMemoryBackend::new());
        format(&path, &disk, cache_bytes)?;
        // A link, unlike a rename, does not replace what another process may have made meanwhile.
        match std::fs::hard_link(&fresh, file) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(refused(&path, &error)),
            _ => sync_folder(file).map_err(|error| refused(&path, &error)),
        }
    })();
    if let Err(error) = std::fs::remove_file(&fresh)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %fresh.display(), %error, "a temporary file is left");
    }
    made
}

fn initialize(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert(META_FORMAT, u64::from(FORMAT))?;
        meta.insert(META_COMPACTED, 0)?;
        meta.insert(META_CLOSED, 1)?;
        transaction.open_table(LOGS)?;
    }
    transaction.commit()?;
    Ok(())
}

fn load(database: &Database, path: &str) -> Result<(State, LogOf), StoreError> {
    let err = |error: redb::Error| file_error(path, error);
    let transaction = database.begin_read().map_err(|error| err(error.into()))?;
    let mut names = transaction.list_tables().map_err(|error| err(error.into()))?;
    if !names.any(|table| table.name() == META.name()) {
        return Err(corrupt(path, "it is not an object store"));
    }
    let meta = transaction.open_table(META).map_err(|error| err(error.into()))?;
    let number = |name: &str| -> Result<u64, StoreError> {
        let value = meta.get(name).map_err(|error| err(error.into()))?;
        value.map(|value| value.value()).ok_or_else(|| corrupt(path, &format!("it does not say its {name}")))
    };
    let format = number(META_FORMAT)?;
    if format > u64::from(FORMAT) {
        let found = u32::try_from(format).unwrap_or(u32::MAX);
        return Err(StoreError::NewerFormat { path: path.to_owned(), found, supported: FORMAT });
    }
    if format == 0 {
        return Err(corrupt(path, "its format is 0"));
    }
    let log = match format {
        // There was none.
        1 => LogOf::Closed,
        _ if number(META_CLOSED)? != 0 => LogOf::Closed,
        _ => LogOf::Open { id: number(META_WAL)?, half: number(META_WAL_HALF)? },
    };
    let compacted = number(META_COMPACTED)?;
    let floor = meta.get(META_FLOOR).map_err(|error| err(error.into()))?.map_or(0, |floor| floor.value());

    let mut state = State::default();
    let logs = transaction.open_table(LOGS).map_err(|error| err(error.into()))?;
    let mut last_first = 0;
    for entry in logs.iter().map_err(|error| err(error.into()))? {
        let (table, first) = entry.map_err(|error| err(error.into()))?;
        let (table, first) = (table.value(), first.value());
        if first <= last_first {
            return Err(corrupt(path, "its log tables are out of order"));
        }
        last_first = first;
        let bytes = load_log(&transaction, path, table, &mut state)?;
        state.logs.insert(table, Log { first, bytes });
    }
    state.index.loaded(Revision(compacted), Revision(floor));
    let newest = state.index.newest().0;
    if newest < last_first || newest < compacted {
        return Err(corrupt(path, "its newest records are missing"));
    }
    Ok((state, log))
}

fn load_log(
    transaction: &ReadTransaction,
    path: &str,
    table: u32,
    state: &mut State,
) -> Result<u64, StoreError> {
    let err = |error: redb::Error| file_error(path, error);
    let name = log_name(table);
    let log = transaction.open_table(log_table(&name)).map_err(|error| err(error.into()))?;
    let mut bytes = 0;
    for entry in log.iter().map_err(|error| err(error.into()))? {
        let (position, value) = entry.map_err(|error| err(error.into()))?;
        let position: Position = position.value();
        let value = value.value();
        let record = decode(position, value)
            .map_err(|why| corrupt(path, &format!("revision {}: {why}", position.0)))?;
        let size = u32::try_from(value.len()).map_err(|_| corrupt(path, "a record is too large"))?;
        bytes += u64::from(size);
        let version =
            Version { revision: position.0, table, index: position.1, size, removed: record.value.is_none() };
        state.index.load(record.tenant, record.key, version);
    }
    Ok(bytes)
}

fn corrupt(path: &str, why: &str) -> StoreError {
    StoreError::Corrupt { path: path.to_owned(), why: why.to_owned() }
}

fn refused(path: &str, error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!("{path}: {error}"))
}
