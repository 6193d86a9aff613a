//! Snapshots in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::stores::{load, save};
use crate::domain::projection::{Snapshot, SnapshotKey};
use crate::ports::projection_store::{Kept, ProjectionStore};
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;

/// Snapshots in memory, of any size.
#[derive(Debug, Default)]
pub struct MemoryProjections(Mutex<BTreeMap<SnapshotKey, (Option<Snapshot>, Revision)>>);

#[async_trait]
impl ProjectionStore for MemoryProjections {
    async fn snapshot(&self, key: &SnapshotKey) -> Result<(Option<Snapshot>, Revision), StoreError> {
        Ok(load(&self.0, key))
    }

    async fn save_snapshot(&self, key: &SnapshotKey, snapshot: &Snapshot, seen: Revision) -> Result<Kept, StoreError> {
        Ok(if save(&self.0, key, &Some(snapshot.clone()), seen) { Kept::Yes } else { Kept::Overtaken })
    }

    async fn remove_snapshot(&self, key: &SnapshotKey) -> Result<(), StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        Ok(())
    }
}
