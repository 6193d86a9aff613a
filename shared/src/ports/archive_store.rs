//! Which events may be archived, and where those are that were.

use async_trait::async_trait;

use super::revision::Revision;
use super::store_error::StoreError;
use crate::domain::archive::{ArchiveProgress, ArchivedCommit, UnarchivedCommit};
use crate::domain::replay::CommitPlace;
use crate::domain::timestamp::Hour;

/// The table's side of the archive: which commits are not in it yet, and where those are that are. Held to `testing::archive_store`.
#[async_trait]
pub trait ArchiveStore: Send + Sync {
    /// The hours after `after` and before `before` that hold events which are not archived, as far as events have been counted: oldest
    /// first, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn hours_to_archive(&self, after: Option<Hour>, before: Hour, most: usize) -> Result<Vec<Hour>, StoreError>;

    /// The commits of an hour that are not archived, oldest first by their latest event: those after a place, at most `most`. A page may
    /// have fewer, or none, and yet not be the last.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn commits_to_archive(&self, hour: Hour, after: Option<CommitPlace>, most: usize) -> Result<UnarchivedPage, StoreError>;

    /// Lets commits' events be read from the archive from now on, and keeps no more of them than their places. A commit that is archived
    /// already stays as it is. Returns how many were not.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then some of them may be archived, and others not.
    async fn mark_archived(&self, commits: &[ArchivedCommit]) -> Result<usize, StoreError>;

    /// How far archiving has come, and the revision of that.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn archive_progress(&self) -> Result<(ArchiveProgress, Revision), StoreError>;

    /// Saves how far archiving has come if it still has the revision. Returns whether it had.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then it may or may not be saved.
    async fn save_archive_progress(&self, progress: &ArchiveProgress, seen: Revision) -> Result<bool, StoreError>;
}

/// A page of commits that are not archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnarchivedPage {
    /// The commits.
    pub commits: Vec<UnarchivedCommit>,
    /// After which place to go on, if there may be more.
    pub next: Option<CommitPlace>,
}
