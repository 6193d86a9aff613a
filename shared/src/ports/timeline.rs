//! Where commits are read in the order of time.

use async_trait::async_trait;

use super::store_error::StoreError;
use crate::domain::commit::Commit;
use crate::domain::query::EventFilter;
use crate::domain::replay::CommitPlace;
use crate::domain::timestamp::Timestamp;

/// Reads commits in the order of time. Held to `testing::timeline`, and to the in-memory adapter by property tests.
#[async_trait]
pub trait Timeline: Send + Sync {
    /// The commits that hold events which match, status aside, oldest first by their latest event: those after a place, at most about
    /// `most`. A page may have fewer, or none, and yet not be the last. What was stored a moment ago may be missing.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn commits_since(
        &self,
        filter: &EventFilter,
        after: Option<CommitPlace>,
        most: usize,
        now: Timestamp,
    ) -> Result<TimelinePage, StoreError>;
}

/// A page of commits in the order of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelinePage {
    /// The commits.
    pub commits: Vec<Commit>,
    /// After which place to go on, if there may be more.
    pub next: Option<CommitPlace>,
}
