//! Counters and keys in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::domain::access::{ApiKey, KeyDigest};
use crate::domain::counters::{CounterKey, CounterScope, ProcessorTallies, Tally, UserRanking};
use crate::ports::counter_store::CounterStore;
use crate::ports::key_store::KeyStore;
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;

/// Counters in memory.
#[derive(Debug, Default)]
pub struct MemoryCounters {
    tallies: Mutex<BTreeMap<CounterKey, (Tally, Revision)>>,
    rankings: Mutex<BTreeMap<CounterScope, (UserRanking, Revision)>>,
    processors: Mutex<BTreeMap<(), (ProcessorTallies, Revision)>>,
}

/// A value and its revision; of one that was never saved, the default and 0.
pub(super) fn load<K: Ord, V: Clone + Default>(items: &Mutex<BTreeMap<K, (V, Revision)>>, key: &K) -> (V, Revision) {
    items.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned().unwrap_or_default()
}

/// Saves a value if it still has the revision. Returns whether it had.
pub(super) fn save<K: Ord + Clone, V: Clone>(items: &Mutex<BTreeMap<K, (V, Revision)>>, key: &K, value: &V, revision: Revision) -> bool {
    let mut items = items.lock().unwrap_or_else(PoisonError::into_inner);
    let unchanged = items.get(key).map_or(Revision(0), |(_, revision)| *revision) == revision;
    if unchanged {
        items.insert(key.clone(), (value.clone(), Revision(revision.0 + 1)));
    }
    unchanged
}

#[async_trait]
impl CounterStore for MemoryCounters {
    async fn tally(&self, key: &CounterKey) -> Result<(Tally, Revision), StoreError> {
        Ok(load(&self.tallies, key))
    }

    async fn save_tally(&self, key: &CounterKey, tally: &Tally, revision: Revision) -> Result<bool, StoreError> {
        Ok(save(&self.tallies, key, tally, revision))
    }

    async fn ranking(&self, scope: &CounterScope) -> Result<(UserRanking, Revision), StoreError> {
        Ok(load(&self.rankings, scope))
    }

    async fn save_ranking(&self, scope: &CounterScope, ranking: &UserRanking, revision: Revision) -> Result<bool, StoreError> {
        Ok(save(&self.rankings, scope, ranking, revision))
    }

    async fn processor_tallies(&self) -> Result<(ProcessorTallies, Revision), StoreError> {
        Ok(load(&self.processors, &()))
    }

    async fn save_processor_tallies(&self, tallies: &ProcessorTallies, revision: Revision) -> Result<bool, StoreError> {
        Ok(save(&self.processors, &(), tallies, revision))
    }
}

/// API keys in memory.
#[derive(Debug, Default)]
pub struct MemoryKeys(Mutex<BTreeMap<KeyDigest, ApiKey>>);

#[async_trait]
impl KeyStore for MemoryKeys {
    async fn key(&self, digest: &KeyDigest) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned())
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let mut keys: Vec<ApiKey> = self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        keys.sort_by(|one, other| (one.created_at, &one.digest).cmp(&(other.created_at, &other.digest)));
        Ok(keys)
    }

    async fn put_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.digest.clone(), key.clone());
        Ok(())
    }

    async fn remove_key(&self, key_id: &str) -> Result<bool, StoreError> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = keys.len();
        keys.retain(|digest, _| digest.key_id() != key_id);
        Ok(keys.len() < before)
    }
}
