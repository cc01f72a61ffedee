//! A disk that is soon full.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A small file system where they can be mounted, which is as root; else a limit of how large a file of a process may
/// be, which is refused as `File too large` and is as good otherwise.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
    mounted: bool,
    megabytes: u32,
}

impl SmallDisk {
    /// Of so many MB, at a path. Unmounted when dropped.
    ///
    /// # Panics
    /// When the folder cannot be made.
    pub fn at(path: &Path, megabytes: u32) -> Self {
        std::fs::create_dir_all(path).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = quiet(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path));
        SmallDisk { path: path.to_owned(), mounted, megabytes }
    }

    /// Makes it larger. For a limit this comes with the next process.
    ///
    /// # Panics
    /// When it stays as it is.
    pub fn grow(&mut self, megabytes: u32) {
        self.megabytes = megabytes;
        let size = format!("remount,size={megabytes}m");
        assert!(!self.mounted || quiet(Command::new("mount").args(["-o", &size]).arg(&self.path)));
    }

    /// A program that is to use it.
    pub fn program(&self, program: &Path) -> Command {
        if self.mounted {
            return Command::new(program);
        }
        let mut shell = Command::new("sh");
        // In blocks of 512 bytes. The signal of the limit would end the process.
        let limited = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", self.megabytes * 2048);
        shell.arg("-c").arg(limited).arg(program);
        shell
    }
}

fn quiet(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self.mounted {
            // A failure here must not hide why the test failed.
            quiet(Command::new("umount").arg("--lazy").arg(&self.path));
        }
    }
}
