//! Items of snapshots.

use super::{Item, MAX_STORED_BYTES, body_of, insert_body, read_body, size, text};
use crate::adapters::dynamodb::keys;
#[cfg(feature = "stream")]
use crate::domain::projection::SavedProjection;
use crate::domain::projection::{Snapshot, SnapshotKey};
use crate::ports::store_error::StoreError;

/// What the projection is called, for those who are told of it.
const NAME: &str = "name";

/// A snapshot's item, to be put over the one before; none if it is larger than an item may be.
pub(in crate::adapters::dynamodb) fn write_snapshot(key: &SnapshotKey, snapshot: &Snapshot) -> Result<Option<Item>, StoreError> {
    let mut item = Item::from([
        (keys::PK.to_owned(), text(keys::snapshot_pk(&key.stream))),
        (keys::SK.to_owned(), text(keys::snapshot_sk(&key.rules))),
        (NAME.to_owned(), text(key.name.as_str())),
    ]);
    let body = body_of(size(&item) + super::REVISED_BYTES, snapshot)?;
    if body.len() > MAX_STORED_BYTES {
        return Ok(None);
    }
    insert_body(&mut item, body);
    Ok(Some(item))
}

/// Reads what [`write_snapshot`] wrote.
pub(in crate::adapters::dynamodb) fn read_snapshot(item: &Item) -> Result<Snapshot, StoreError> {
    read_body(item)
}

/// The projection that was saved, if the item is a snapshot.
#[cfg(feature = "stream")]
pub(in crate::adapters::dynamodb) fn read_saved_projection(item: &Item) -> Result<Option<SavedProjection>, StoreError> {
    use super::{corrupt, read_text};
    let pk = read_text(item, keys::PK)?;
    if !pk.starts_with(keys::SNAPSHOTS) {
        return Ok(None);
    }
    let stream = keys::read_snapshot_pk(pk).ok_or_else(|| corrupt(item, keys::PK))?;
    let rules = keys::read_snapshot_sk(read_text(item, keys::SK)?).ok_or_else(|| corrupt(item, keys::SK))?;
    let name = read_text(item, NAME)?.parse().map_err(|_| corrupt(item, NAME))?;
    Ok(Some(SavedProjection { key: SnapshotKey { stream, name, rules }, progress: read_snapshot(item)?.progress }))
}
