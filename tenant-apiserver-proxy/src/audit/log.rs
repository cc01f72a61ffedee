//! A file of events, a line of JSON for each, that is begun anew when it is large.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// When a file is begun anew, and which old ones are kept. Zero: no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// The most bytes of a file.
    pub bytes: u64,
    /// The most old files.
    pub files: usize,
    /// The most days of an old file.
    pub days: i64,
}

/// An open file.
pub struct Log {
    path: PathBuf,
    limits: Limits,
    open: Mutex<Open>,
    failing: AtomicBool,
}

enum Open {
    Stdout,
    File { file: File, size: u64 },
}

impl Log {
    /// Opens a file to write at its end; `-` is standard output.
    pub fn open(path: &Path, limits: Limits) -> io::Result<Self> {
        let open = if path == Path::new("-") { Open::Stdout } else { file(path)? };
        Ok(Log { path: path.to_owned(), limits, open: Mutex::new(open), failing: AtomicBool::default() })
    }

    /// Writes an event. It is in the file when this returns; when it cannot be, that is logged, once until it can.
    pub fn write(&self, event: &Bytes) {
        let mut line = Vec::with_capacity(event.len() + 1);
        line.extend_from_slice(event);
        line.push(b'\n');
        let written = self.put(&line);
        let failed = written.is_err();
        if let Err(error) = written
            && !self.failing.load(Ordering::Relaxed)
        {
            tracing::error!(path = %self.path.display(), %error, "audit events cannot be written");
        }
        self.failing.store(failed, Ordering::Relaxed);
    }

    fn put(&self, line: &[u8]) -> io::Result<()> {
        let mut open = self.open.lock();
        if let Open::File { size, .. } = &*open
            && self.limits.bytes > 0
            && *size > 0
            && *size + line.len() as u64 > self.limits.bytes
        {
            fs::rename(&self.path, self.aside(Timestamp::now()))?;
            *open = file(&self.path)?;
            self.tidy(Timestamp::now());
        }
        match &mut *open {
            Open::Stdout => io::stdout().write_all(line),
            Open::File { file, size } => {
                file.write_all(line)?;
                *size += line.len() as u64;
                Ok(())
            }
        }
    }

    /// `audit.log` becomes `audit-2026-01-31T12-00-00.000000.log`, which sorts by time.
    fn aside(&self, now: Timestamp) -> PathBuf {
        let (stem, end) = self.parts();
        let at = format!("{now:.6}").replace(':', "-");
        self.path.with_file_name(format!("{stem}-{}{end}", at.trim_end_matches('Z')))
    }

    fn parts(&self) -> (String, String) {
        let text = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let end = text(self.path.extension());
        (text(self.path.file_stem()), if end.is_empty() { end } else { format!(".{end}") })
    }

    /// Removes old files beyond the limits.
    fn tidy(&self, now: Timestamp) {
        let (stem, end) = self.parts();
        let folder = self.path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        let Ok(entries) = fs::read_dir(folder) else { return };
        let begin = format!("{stem}-");
        let time = |path: &PathBuf| {
            let name = path.file_name()?.to_str()?;
            let at = name.strip_prefix(&begin)?.strip_suffix(&end)?;
            let (day, hour) = at.split_once('T')?;
            format!("{day}T{}Z", hour.replace('-', ":")).parse::<Timestamp>().ok()
        };
        let mut old: Vec<(Timestamp, PathBuf)> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter_map(|path| Some((time(&path)?, path)))
            .collect();
        old.sort();
        old.reverse();
        for (index, (at, path)) in old.into_iter().enumerate() {
            let many = self.limits.files > 0 && index >= self.limits.files;
            let aged = self.limits.days > 0
                && now.duration_since(at) > SignedDuration::from_hours(self.limits.days.saturating_mul(24));
            if (many || aged)
                && let Err(error) = fs::remove_file(&path)
            {
                tracing::warn!(path = %path.display(), %error, "an old file of audit events cannot be removed");
            }
        }
    }
}

fn file(path: &Path) -> io::Result<Open> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let size = file.metadata()?.len();
    Ok(Open::File { file, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_large_file_is_put_aside_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        fs::write(folder.path().join("audit-old.log"), "not ours").unwrap();
        fs::write(folder.path().join("audit-2000-01-01T00-00-00.000000.log"), "long ago").unwrap();
        let limits = Limits { bytes: 20, files: 2, days: 0 };
        let log = Log::open(&path, limits).unwrap();
        for n in 0..10 {
            log.write(&Bytes::from(format!("{{\"event\":{n}}}")));
        }
        let left = names(folder.path());
        assert_eq!(left.len(), 4, "{left:?}");
        assert!(left.contains(&"audit-old.log".to_owned()), "{left:?}");
        assert!(!left.iter().any(|name| name.contains("2000")), "{left:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"event\":9}\n");

        drop(log);
        let log = Log::open(&path, Limits::default()).unwrap();
        log.write(&Bytes::from_static(b"{}"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"event\":9}\n{}\n", "what is there stays");
    }

    #[test]
    fn files_that_are_old_go() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(&folder.path().join("a"), Limits { bytes: 0, files: 0, days: 2 }).unwrap();
        for day in ["01", "02", "03"] {
            fs::write(folder.path().join(format!("a-2026-01-{day}T12-00-00.000000")), "").unwrap();
        }
        log.tidy("2026-01-04T13:00:00Z".parse().unwrap());
        assert_eq!(names(folder.path()), ["a", "a-2026-01-03T12-00-00.000000"]);
    }
}
