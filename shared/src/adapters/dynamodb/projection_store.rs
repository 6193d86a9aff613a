//! Snapshots of projections on DynamoDB: one partition for each entity.

use async_trait::async_trait;

use super::DynamoEvents;
use super::failure::store_error;
use super::items::snapshots::{read_snapshot, write_snapshot};
use super::items::text;
use super::keys::{PK, SK, snapshot_pk, snapshot_sk};
use super::revised::revision;
use crate::domain::projection::{Snapshot, SnapshotKey};
use crate::ports::projection_store::{Kept, ProjectionStore};
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;

#[async_trait]
impl ProjectionStore for DynamoEvents {
    async fn snapshot(&self, key: &SnapshotKey) -> Result<(Option<Snapshot>, Revision), StoreError> {
        let item = self.get(snapshot_pk(&key.stream), snapshot_sk(&key.rules)).await?;
        item.as_ref().map_or(Ok((None, Revision::default())), |item| Ok((Some(read_snapshot(item)?), revision(item)?)))
    }

    async fn save_snapshot(&self, key: &SnapshotKey, snapshot: &Snapshot, seen: Revision) -> Result<Kept, StoreError> {
        let Some(item) = write_snapshot(key, snapshot)? else { return Ok(Kept::TooLarge) };
        Ok(if self.put_over(item, seen).await? { Kept::Yes } else { Kept::Overtaken })
    }

    async fn remove_snapshot(&self, key: &SnapshotKey) -> Result<(), StoreError> {
        let delete = self.client.delete_item().table_name(&self.table);
        let delete = delete.key(PK, text(snapshot_pk(&key.stream))).key(SK, text(snapshot_sk(&key.rules)));
        delete.send().await.map_err(store_error)?;
        Ok(())
    }
}
