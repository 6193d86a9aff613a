//! Where streams are read as they were written: commit by commit.

use async_trait::async_trait;

use super::store_error::StoreError;
use crate::domain::commit::Commit;
use crate::domain::stream_id::{StreamId, StreamKey};
use crate::domain::version::Version;

/// Reads the commits of streams. Every read sees all writes that were answered before it. Held to `testing::stream_reader`.
#[async_trait]
pub trait StreamReader: Send + Sync {
    /// The commits of a stream that start after a version, in their order: at least those with the next `events` events if there are
    /// so many and they take no more memory than one answer may, and some more if they come with them.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn commits_after(&self, stream: &StreamKey, after: Version, events: usize) -> Result<CommitRun, StoreError>;

    /// The streams of this name, of whichever organizations, in the order of these; at most `most`.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn streams_named(&self, name: &StreamId, most: usize) -> Result<Vec<StreamKey>, StoreError>;
}

/// Commits of a stream, one right after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRun {
    /// The commits.
    pub commits: Vec<Commit>,
    /// Whether the stream ends with them.
    pub to_the_end: bool,
}
