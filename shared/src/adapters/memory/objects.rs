//! Objects in memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::domain::archive::ObjectKey;
use crate::ports::object_store::{ObjectStore, ObjectStoreError};

/// Objects in memory.
#[derive(Debug, Default)]
pub struct MemoryObjects(Mutex<BTreeMap<ObjectKey, Vec<u8>>>);

impl MemoryObjects {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All objects, by key.
    #[must_use]
    pub fn all(&self) -> BTreeMap<ObjectKey, Vec<u8>> {
        self.objects().clone()
    }
}

#[async_trait]
impl ObjectStore for MemoryObjects {
    async fn put(&self, key: &ObjectKey, bytes: Vec<u8>) -> Result<(), ObjectStoreError> {
        self.objects().insert(key.clone(), bytes);
        Ok(())
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Vec<u8>>, ObjectStoreError> {
        Ok(self.objects().get(key).cloned())
    }

    async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Option<Vec<u8>>, ObjectStoreError> {
        let bound = |bound: u64| usize::try_from(bound).unwrap_or(usize::MAX);
        let objects = self.objects();
        let Some(bytes) = objects.get(key) else { return Ok(None) };
        let part = bytes.get(bound(range.start)..bound(range.end)).ok_or_else(|| outside(&range))?;
        Ok(Some(part.to_vec()))
    }
}

fn outside(range: &Range<u64>) -> ObjectStoreError {
    ObjectStoreError::Refused { status: 416, reason: format!("bytes {} to {} are not in the object", range.start, range.end) }
}
