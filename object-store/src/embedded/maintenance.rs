//! What an operator asks for: a smaller file, a later start of revisions, and how large it all is.

use super::Shared;
use super::applying::Applier;
use super::committing::Committer;
use super::file_error;
use super::format::{META_COMPACTED, META_FLOOR};
use crate::engine::{Size, StoreError};
use api_types::Revision;

impl Applier {
    /// Makes the file as small as what is in it, for those who wait for that. Called when nothing is left to clean.
    /// Readers of the file wait meanwhile, and commits once the log is full.
    pub(super) fn shrink(&mut self) {
        if self.shrinking.is_empty() {
            return;
        }
        let done = self.shrink_file();
        if let Err(why) = &done
            && self.shared.state.read().failed.is_none()
        {
            self.shared.fail(why.clone());
        }
        for waiting in self.shrinking.drain(..) {
            let answer = match &done {
                Ok(()) => Ok(true),
                Err(why) => Err(StoreError::Unavailable(why.clone())),
            };
            // An answer that nobody waits for any more is not missed.
            let _ = waiting.send(answer);
        }
    }

    fn shrink_file(&self) -> Result<(), String> {
        let shared = &self.shared;
        shared.check_failed().map_err(|error| error.why())?;
        let mut database = self.shared.database.write();
        let Some(database) = database.as_mut() else { return Err(format!("{} is closed", shared.path)) };
        loop {
            let more = database.compact().map_err(|error| file_error(&shared.path, error).why())?;
            shared.check_disk().map_err(|error| error.why())?;
            if !more {
                return Ok(());
            }
        }
    }
}

impl Committer {
    /// Lets revisions go on after `floor`.
    pub(super) fn raise(&self, floor: Revision) -> Result<(), StoreError> {
        let shared = &self.shared;
        {
            let state = shared.state.read();
            if !state.index.is_empty() {
                return Err(StoreError::NotEmpty { path: shared.path.clone() });
            }
            if floor <= state.index.newest() {
                return Ok(());
            }
        }
        shared.note(&[(META_FLOOR, floor.0), (META_COMPACTED, floor.0)])?;
        shared.state.write().index.raise(floor);
        shared.feed.interrupt(floor);
        Ok(())
    }
}

impl Shared {
    pub(super) fn size(&self) -> Result<Size, StoreError> {
        let disk = self.disk.size();
        let disk_bytes = disk.map_err(|error| StoreError::Unavailable(format!("{}: {error}", self.path)))?;
        let state = self.state.read();
        Ok(Size {
            engine: format!("embedded, {}", self.path),
            revision: state.index.newest(),
            compacted: state.index.compacted(),
            disk_bytes,
            used_bytes: state.index.living_bytes(),
        })
    }
}
