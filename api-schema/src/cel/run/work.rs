//! Work that costs nothing by Kubernetes' rules, and takes time and memory all the same.

use super::values::Stop;

/// The most that one expression may compare and copy: about a tenth of a second, and some tens of MiB.
const MOST: usize = 20_000_000;

/// What is left of it.
#[derive(Debug)]
pub(crate) struct Work {
    left: usize,
}

impl Work {
    pub fn new() -> Self {
        Work { left: MOST }
    }

    /// Takes so many elements, or bytes.
    pub fn take(&mut self, count: usize) -> Result<(), Stop> {
        self.left = self.left.checked_sub(count).ok_or(Stop::Limit)?;
        Ok(())
    }
}
