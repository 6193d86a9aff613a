//! Objects as files below a folder: the object store of the local process.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tempfile::NamedTempFile;

use crate::domain::archive::ObjectKey;
use crate::ports::object_store::{ObjectStore, ObjectStoreError};

/// Objects as files below a folder, which is made when the first one is stored.
#[derive(Debug, Clone)]
pub struct FolderObjects {
    folder: PathBuf,
}

impl FolderObjects {
    /// The objects below this folder.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.folder.join(key.as_str())
    }
}

#[async_trait]
impl ObjectStore for FolderObjects {
    async fn put(&self, key: &ObjectKey, bytes: Vec<u8>) -> Result<(), ObjectStoreError> {
        let path = self.path(key);
        blocking(move || write(&path, &bytes)).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Vec<u8>>, ObjectStoreError> {
        let path = self.path(key);
        blocking(move || if_there(fs::read(path))).await
    }

    async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Option<Vec<u8>>, ObjectStoreError> {
        let path = self.path(key);
        blocking(move || if_there(read_range(&path, &range))).await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, ObjectStoreError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(io::Error::other).flatten();
    done.map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            ObjectStoreError::Refused { status: 416, reason: "the object ends before the range does".to_owned() }
        } else {
            ObjectStoreError::Unavailable(error.into())
        }
    })
}

fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file so that it is there whole or not at all, and stays when the machine stops.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync(folder)
}

/// Makes what was put into a folder, and the folder itself, outlive the machine's stop.
#[cfg(unix)]
fn sync(folder: &Path) -> io::Result<()> {
    // The folders of the date and of the hour may be new, too.
    folder.ancestors().take(4).filter(|folder| folder.is_dir()).try_for_each(|folder| File::open(folder)?.sync_all())
}

#[cfg(not(unix))]
fn sync(_folder: &Path) -> io::Result<()> {
    Ok(())
}

fn read_range(path: &Path, range: &Range<u64>) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(range.start))?;
    let wanted = range.end.saturating_sub(range.start);
    let mut bytes = Vec::new();
    file.take(wanted).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == wanted { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
