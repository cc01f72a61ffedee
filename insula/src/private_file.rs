//! Files for their owner's eyes.

use anyhow::Context;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Writes a file with mode 0600, whole or not at all. A link is followed: it stays a link.
pub fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let temporary = beside(&path);
    let written = write_new(&temporary, text).and_then(|()| fs::rename(&temporary, &path));
    if written.is_err() {
        // The error that is told is the one that mattered.
        let _ = fs::remove_file(&temporary);
    }
    written.with_context(|| format!("{} cannot be written", path.display()))
}

/// Begins a file with mode 0600, which is there once it is finished: whole or not at all. `-` is standard output.
pub fn begin(path: &Path) -> anyhow::Result<Writing> {
    if path.as_os_str() == "-" {
        return Ok(Writing { out: Box::new(std::io::stdout()), file: None });
    }
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let temporary = beside(&path);
    let file = create(&temporary).with_context(|| format!("{} cannot be written", path.display()))?;
    let kept = file.try_clone()?;
    Ok(Writing { out: Box::new(file), file: Some(Unfinished { file: kept, temporary, path }) })
}

/// A file that is being written.
pub struct Writing {
    out: Box<dyn Write>,
    file: Option<Unfinished>,
}

struct Unfinished {
    file: fs::File,
    temporary: PathBuf,
    path: PathBuf,
}

impl Writing {
    /// Gives it its name, when it is on disk.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.out.flush()?;
        let Some(unfinished) = &self.file else { return Ok(()) };
        let done =
            unfinished.file.sync_all().and_then(|()| fs::rename(&unfinished.temporary, &unfinished.path));
        done.with_context(|| format!("{} cannot be written", unfinished.path.display()))?;
        self.file = None;
        Ok(())
    }
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(unfinished) = &self.file {
            // The error that is told is the one that mattered.
            let _ = fs::remove_file(&unfinished.temporary);
        }
    }
}

fn create(path: &Path) -> std::io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A name in the same folder that nothing else has.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".insula-{}", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[test]
    fn a_file_is_replaced_and_a_link_stays_one() {
        let dir = std::env::temp_dir().join(format!("insula-private-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (file, link) = (dir.join("file"), dir.join("link"));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        write(&link, "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        write(&dir.join("made"), "text").unwrap();
        assert!(write(&dir.join("nowhere/made"), "text").is_err());
        let mut left: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["file", "link", "made"]);
        fs::remove_dir_all(&dir).unwrap();
    }
}
