//! Counts changes of the table, exactly once however often and in whatever pieces they are delivered.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt as _};

use crate::domain::counters::{Change, ChangeKind, CounterKey, Period, SequenceNumber, ShardId, keys_of};
use crate::domain::definitions::Definitions;
use crate::ports::counter_store::CounterStore;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::store_error::StoreError;

/// What counting needs.
#[derive(Clone, Copy)]
pub struct CountEventsPorts<'a> {
    /// Keeps the counts.
    pub counters: &'a dyn CounterStore,
    /// Knows which events processors are given.
    pub definitions: &'a dyn DefinitionStore,
}

/// How many counter items are saved at a time.
const AT_ONCE: usize = 16;
/// How often an item is tried that other shards save as well.
const MOST_ROUNDS: usize = 30;

/// Not all changes were counted.
#[derive(Debug, thiserror::Error)]
#[error("counting stopped at change {}", .from.0)]
pub struct CountEventsError {
    /// The first change that has not been counted everywhere. Those after it may be delivered again.
    pub from: SequenceNumber,
    /// Why.
    #[source]
    pub cause: StoreError,
}

/// Counts changes of one shard, each of them once.
///
/// Every counter item remembers for each shard the last change that it has counted, in the same
/// write as the counts. So a batch that is delivered again, whole or in part, changes nothing.
/// Lambda delivers a shard's changes in order: a later one never comes before an earlier one has
/// been counted.
///
/// An event that no processor is given is counted as processed with its commit; any other by its
/// commit's outcome. Both agree on which is which, because it depends on the processors when the
/// event was recorded. A processor is given events from a moment on that lies ahead when it is
/// saved, so whoever counts an event that was recorded at that moment or later finds it saved.
///
/// # Errors
/// [`CountEventsError`] names the first change to deliver again.
pub async fn count_events(ports: &CountEventsPorts<'_>, shard: &ShardId, mut changes: Vec<Change>) -> Result<(), CountEventsError> {
    changes.sort_by(|one, other| one.sequence.cmp(&other.sequence));
    let Some(first) = changes.first() else { return Ok(()) };
    let definitions = match ports.definitions.definitions(Freshness::Current).await {
        Ok(definitions) => definitions,
        Err(cause) => return Err(CountEventsError { from: first.sequence.clone(), cause }),
    };
    settle(&mut changes, &definitions);
    let mut by_key: BTreeMap<CounterKey, Vec<&Change>> = BTreeMap::new();
    for change in &changes {
        for key in keys_of(&change.kind) {
            by_key.entry(key).or_default().push(change);
        }
    }
    let counting = Counting { counters: ports.counters, definitions: &definitions, shard };
    let mut saved = stream::iter(by_key)
        .map(async |(key, changes)| (changes.first().map(|change| change.sequence.clone()), counting.save(&key, &changes).await))
        .buffer_unordered(AT_ONCE);
    let mut failure: Option<CountEventsError> = None;
    while let Some((first, result)) = saved.next().await {
        if let (Some(from), Err(cause)) = (first, result)
            && failure.as_ref().is_none_or(|failure| from < failure.from)
        {
            failure = Some(CountEventsError { from, cause });
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Says of each commit how many of its events there is nothing to do with.
fn settle(changes: &mut [Change], definitions: &Definitions) {
    for change in changes {
        match &mut change.kind {
            ChangeKind::Committed { commit, settled, .. } | ChangeKind::Archived { commit, settled } => {
                *settled = (commit.events.len() - definitions.count_to_process(commit)) as u64;
            }
            ChangeKind::Concluded { .. } => {}
        }
    }
}

/// Changes of a shard on their way into the counters.
struct Counting<'a> {
    counters: &'a dyn CounterStore,
    definitions: &'a Definitions,
    shard: &'a ShardId,
}

impl Counting<'_> {
    /// Counts these changes in one item.
    async fn save(&self, key: &CounterKey, changes: &[&Change]) -> Result<(), StoreError> {
        for _ in 0..MOST_ROUNDS {
            let saved = match key.period {
                Period::Users => {
                    let (mut ranking, revision) = self.counters.ranking(&key.scope).await?;
                    !ranking.apply(self.shard, changes) || self.counters.save_ranking(&key.scope, &ranking, revision).await?
                }
                Period::Processors => {
                    let (mut tallies, revision) = self.counters.processor_tallies().await?;
                    !tallies.apply(self.shard, changes, self.definitions)
                        || self.counters.save_processor_tallies(&tallies, revision).await?
                }
                Period::Total | Period::Day(_) | Period::Hour(_) => {
                    let (mut tally, revision) = self.counters.tally(key).await?;
                    !tally.apply(key, self.shard, changes) || self.counters.save_tally(key, &tally, revision).await?
                }
            };
            if saved {
                return Ok(());
            }
        }
        Err(StoreError::Contended)
    }
}
