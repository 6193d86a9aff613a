//! Where replays are kept.

use async_trait::async_trait;

use super::revision::Revision;
use super::store_error::StoreError;
use crate::domain::identifiers::{OrganizationId, ReplayId};
use crate::domain::replay::Replay;
use crate::domain::timestamp::Timestamp;

/// Keeps replays. Held to `testing::replay_store`.
#[async_trait]
pub trait ReplayStore: Send + Sync {
    /// The replay of this id, and its revision; that of nothing is 0.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn replay(&self, id: &ReplayId) -> Result<(Option<Replay>, Revision), StoreError>;

    /// Saves a replay in place of the one that was seen. Returns whether that still stood.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then it may or may not be saved.
    async fn save_replay(&self, replay: &Replay, seen: Revision) -> Result<bool, StoreError>;

    /// A page of an organization's replays, or of all if none is named, latest first: those after `after`, at most `most`, and after
    /// which one to go on if there may be more. A page may have fewer, or none, and yet not be the last.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn replays(
        &self,
        organization: Option<&OrganizationId>,
        after: Option<&ReplayId>,
        most: usize,
    ) -> Result<(Vec<Replay>, Option<ReplayId>), StoreError>;

    /// Up to `most` replays that somebody is to look after by now. One that was saved a moment ago may be missing.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn due_replays(&self, now: Timestamp, most: usize) -> Result<Vec<(Replay, Revision)>, StoreError>;
}
