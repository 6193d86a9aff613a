//! A disk that can be filled.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How many megabytes it has.
const MEGABYTES: u32 = 256;

/// A small disk of its own, in memory. It is gone with this value.
pub(crate) struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Mounts one in a folder; none if this machine does not let us, which takes root on Linux.
    pub(crate) fn mount(folder: &Path) -> Option<Self> {
        let size = format!("size={MEGABYTES}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self { folder: folder.to_owned() })
    }

    fn hog(&self) -> PathBuf {
        self.folder.join("hog")
    }

    /// Fills it to the last byte.
    pub(crate) fn fill(&self) -> std::io::Result<()> {
        let mut hog = File::create(self.hog())?;
        for piece in [1 << 20, 1 << 12, 1] {
            while hog.write_all(&vec![0; piece]).is_ok() {}
        }
        Ok(())
    }

    /// Makes room again.
    pub(crate) fn free(&self) -> std::io::Result<()> {
        std::fs::remove_file(self.hog())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What is still open there holds it until it is closed.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}
