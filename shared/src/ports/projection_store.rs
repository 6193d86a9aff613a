//! Where definitions of projections and snapshots are kept.

use async_trait::async_trait;

use super::revision::Revision;
use super::store_error::StoreError;
use crate::domain::identifiers::ProjectionDefinitionId;
use crate::domain::projection::{ProjectionDefinition, Snapshot, SnapshotKey};

/// Keeps definitions of projections, beside those that a `DefinitionStore` shows and under one revision with them. Held to
/// `testing::projection_store`.
#[async_trait]
pub trait ProjectionDefinitionStore: Send + Sync {
    /// Saves a projection if the definitions still have the revision. Returns whether they had.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then it may or may not be saved.
    async fn save_projection(&self, projection: &ProjectionDefinition, seen: Revision) -> Result<bool, StoreError>;

    /// Removes a projection if the definitions still have the revision. Returns whether they had.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then it may or may not be removed.
    async fn remove_projection(&self, id: &ProjectionDefinitionId, seen: Revision) -> Result<bool, StoreError>;
}

/// Keeps snapshots of projections: each of them can be lost, since it can be folded again. Held to `testing::projection_store`.
#[async_trait]
pub trait ProjectionStore: Send + Sync {
    /// The snapshot that is kept under this key, and its revision; that of nothing is 0.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn snapshot(&self, key: &SnapshotKey) -> Result<(Option<Snapshot>, Revision), StoreError>;

    /// Keeps a snapshot in place of the one that was seen.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then it may or may not be kept.
    async fn save_snapshot(&self, key: &SnapshotKey, snapshot: &Snapshot, seen: Revision) -> Result<Kept, StoreError>;

    /// Forgets what is kept under this key. Nothing is no error.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then it may or may not be forgotten.
    async fn remove_snapshot(&self, key: &SnapshotKey) -> Result<(), StoreError>;
}

/// Whether a snapshot is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is.
    Yes,
    /// It is not: somebody else has saved one meanwhile.
    Overtaken,
    /// It is not: it is larger than the store takes.
    TooLarge,
}
