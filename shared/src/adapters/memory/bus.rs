//! A bus in memory: for tests, and for a process that has no other.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::ports::event_bus::{BusEntry, BusError, EventBus};

/// A bus that keeps its last [`MemoryBus::KEPT`] entries for whoever asks.
#[derive(Debug, Default)]
pub struct MemoryBus(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<BusEntry>,
    /// How many entries were put in all.
    put: u64,
    refused: BTreeSet<String>,
}

impl MemoryBus {
    /// How many entries are kept.
    pub const KEPT: usize = 10_000;

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entries that were put after the first `index` ones, oldest first, and the index to ask with next. Entries that are
    /// no longer kept are left out.
    #[must_use]
    pub fn entries_after(&self, index: u64) -> (Vec<BusEntry>, u64) {
        let state = self.state();
        let gone = state.put - state.entries.len() as u64;
        let skip = usize::try_from(index.saturating_sub(gone)).unwrap_or(usize::MAX);
        (state.entries.iter().skip(skip).cloned().collect(), state.put)
    }

    /// Refuses entries of this detail type from now on.
    pub fn refuse(&self, detail_type: &str) {
        self.state().refused.insert(detail_type.to_owned());
    }

    /// Takes every entry again.
    pub fn refuse_nothing(&self) {
        self.state().refused.clear();
    }
}

#[async_trait]
impl EventBus for MemoryBus {
    async fn put(&self, entries: &[BusEntry]) -> Result<(), BusError> {
        let mut state = self.state();
        let mut failed = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            if state.refused.contains(&entry.detail_type) {
                failed.push(index);
                continue;
            }
            if state.entries.len() == Self::KEPT {
                state.entries.pop_front();
            }
            state.entries.push_back(entry.clone());
            state.put += 1;
        }
        if failed.is_empty() { Ok(()) } else { Err(BusError { failed, reason: "entries of this detail type are refused".to_owned() }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::timestamp::Timestamp;

    fn entry(number: usize) -> BusEntry {
        let (source, detail) = ("event_service".to_owned(), format!("{{\"number\":{number}}}"));
        BusEntry { bus: None, source, detail_type: "event.stored".to_owned(), detail, at: Timestamp::MIN }
    }

    #[tokio::test]
    async fn a_reader_gets_each_entry_once_and_only_the_last_are_kept() {
        let bus = MemoryBus::default();
        bus.put(&[entry(0), entry(1)]).await.unwrap();
        let (first, next) = bus.entries_after(0);
        assert_eq!((first, next), (vec![entry(0), entry(1)], 2));
        bus.put(&[entry(2)]).await.unwrap();
        assert_eq!(bus.entries_after(next), (vec![entry(2)], 3));
        assert_eq!(bus.entries_after(3), (vec![], 3));
        assert_eq!(bus.entries_after(9), (vec![], 3));

        let many: Vec<BusEntry> = (3..MemoryBus::KEPT + 3).map(entry).collect();
        bus.put(&many).await.unwrap();
        let (kept, next) = bus.entries_after(1);
        assert_eq!((kept.len(), kept.first(), next), (MemoryBus::KEPT, many.first(), MemoryBus::KEPT as u64 + 3));
    }
}
