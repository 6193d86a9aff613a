//! Where counters are kept.

use async_trait::async_trait;

use super::revision::Revision;
use super::store_error::StoreError;
use crate::domain::counters::{CounterKey, CounterScope, ProcessorTallies, Tally, UserRanking};

/// Keeps counter items, each with a revision that changes with every save. Held to
/// `testing::counter_store`.
#[async_trait]
pub trait CounterStore: Send + Sync {
    /// The item of this key, and its revision. An item that was never saved is empty.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn tally(&self, key: &CounterKey) -> Result<(Tally, Revision), StoreError>;

    /// Saves the item if it still has the revision. Returns whether it had.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then the item may or may not be saved.
    async fn save_tally(&self, key: &CounterKey, tally: &Tally, revision: Revision) -> Result<bool, StoreError>;

    /// The ranking of a scope's users, and its revision.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn ranking(&self, scope: &CounterScope) -> Result<(UserRanking, Revision), StoreError>;

    /// Saves the ranking if it still has the revision. Returns whether it had.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then the ranking may or may not be saved.
    async fn save_ranking(&self, scope: &CounterScope, ranking: &UserRanking, revision: Revision) -> Result<bool, StoreError>;

    /// How processors have done, and the revision of that.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn processor_tallies(&self) -> Result<(ProcessorTallies, Revision), StoreError>;

    /// Saves how processors have done if it still has the revision. Returns whether it had.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then it may or may not be saved.
    async fn save_processor_tallies(&self, tallies: &ProcessorTallies, revision: Revision) -> Result<bool, StoreError>;
}
