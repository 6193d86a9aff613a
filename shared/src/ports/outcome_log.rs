//! Where outcomes are kept.

use async_trait::async_trait;

use super::revision::Revision;
use super::store_error::StoreError;
use crate::domain::event_id::EventId;
use crate::domain::outcome::Outcome;
use crate::domain::stream_id::StreamKey;
use crate::domain::timestamp::Timestamp;
use crate::domain::version::Version;

/// Keeps what became of each commit's events. Held to `testing::outcome_log`.
#[async_trait]
pub trait OutcomeLog: Send + Sync {
    /// The outcome of a commit's events, if there is one yet, and its revision.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn outcome(&self, commit: EventId) -> Result<(Option<Outcome>, Revision), StoreError>;

    /// Saves the outcome of a commit's events if it still has the revision. Returns whether it had.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then the outcome may or may not be saved.
    async fn save_outcome(&self, of: &ConcludedCommit, outcome: &Outcome, seen: Revision) -> Result<bool, StoreError>;
}

/// Which commit an outcome is of: what the store needs to find the one from the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConcludedCommit {
    /// The stream.
    pub stream: StreamKey,
    /// The version of the first event.
    pub first: Version,
    /// When the latest of its events happened.
    pub last_occurred_at: Timestamp,
}
