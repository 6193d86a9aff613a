//! Reads through to the archive: gives items of commits back the events that are there.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::DynamoEvents;
use super::items::{self, Item};
use crate::domain::archive::{ArchiveFormatError, ArchivePlace, events_of};
use crate::domain::commit::{Commit, CommittedEvent};
use crate::domain::event_id::EventId;
use crate::ports::object_store::ObjectStoreError;
use crate::ports::store_error::StoreError;

/// How many reads of the archive are under way at a time.
const READS_AT_ONCE: usize = 16;
/// The most bytes of neighbouring frames that are read at once.
const MOST_BYTES_A_READ: u64 = 2 * 1024 * 1024;

/// A part of an object, and the commits that are wanted of it.
struct Part {
    place: ArchivePlace,
    commits: BTreeSet<EventId>,
}

impl DynamoEvents {
    /// The commits of these items, in their order.
    pub(super) async fn commits(&self, items: Vec<Item>) -> Result<Vec<Commit>, StoreError> {
        self.with_events(items).await?.iter().map(items::read_commit).collect()
    }

    /// Commits' items with all of their events, wherever these are kept.
    pub(super) async fn with_events(&self, mut items: Vec<Item>) -> Result<Vec<Item>, StoreError> {
        let mut wanted: BTreeMap<ArchivePlace, BTreeSet<EventId>> = BTreeMap::new();
        let mut archived: Vec<(usize, EventId)> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            if let Some(place) = items::archive_place(item)? {
                let id = items::commit_id(item)?;
                wanted.entry(place).or_default().insert(id);
                archived.push((index, id));
            }
        }
        if archived.is_empty() {
            return Ok(items);
        }
        let reads: Vec<_> = parts(wanted).into_iter().map(|part| self.archived_events(part)).collect();
        let found: Vec<BTreeMap<EventId, Vec<CommittedEvent>>> = stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
        let events: BTreeMap<EventId, Vec<CommittedEvent>> = found.into_iter().flatten().collect();
        for (index, id) in archived {
            items::put_back(&mut items[index], events.get(&id).map(Vec::as_slice).unwrap_or_default())?;
        }
        Ok(items)
    }

    async fn archived_events(&self, part: Part) -> Result<BTreeMap<EventId, Vec<CommittedEvent>>, StoreError> {
        let object = part.place.object;
        let Some(objects) = &self.objects else {
            return Err(StoreError::Corrupt(format!("{object} of the archive: nobody said where the archive is")));
        };
        let range = part.place.offset..part.place.end();
        let bytes = objects.get_range(&object.key(), range).await.map_err(|error| unread(part.place, error))?;
        let bytes = bytes.ok_or_else(|| StoreError::Corrupt(format!("{object} of the archive is not there")))?;
        let damaged = |error: ArchiveFormatError| StoreError::Corrupt(format!("{}: {error}", part.place));
        events_of(&bytes, &part.commits).map_err(damaged)
    }
}

/// Trying again helps where the object store is away, and not where it has something else than what was put.
fn unread(place: ArchivePlace, error: ObjectStoreError) -> StoreError {
    match error {
        ObjectStoreError::Unavailable(_) => StoreError::Unavailable(error.into()),
        ObjectStoreError::Refused { .. } => StoreError::Corrupt(format!("{place}: {error}")),
    }
}

/// The frames that are wanted, neighbours together.
fn parts(wanted: BTreeMap<ArchivePlace, BTreeSet<EventId>>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (place, commits) in wanted {
        match parts.last_mut() {
            Some(last)
                if last.place.object == place.object
                    && last.place.end() == place.offset
                    && last.place.length + place.length <= MOST_BYTES_A_READ =>
            {
                last.place.length += place.length;
                last.commits.extend(commits);
            }
            Some(_) | None => parts.push(Part { place, commits }),
        }
    }
    parts
}
