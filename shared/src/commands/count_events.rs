//! Counts changes of the table, exactly once however often and in whatever pieces they are delivered.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt as _};

use crate::domain::counters::{Change, CounterKey, Period, SequenceNumber, ShardId, keys_of};
use crate::ports::counter_store::CounterStore;
use crate::ports::store_error::StoreError;

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
/// # Errors
/// [`CountEventsError`] names the first change to deliver again.
pub async fn count_events(counters: &dyn CounterStore, shard: &ShardId, mut changes: Vec<Change>) -> Result<(), CountEventsError> {
    changes.sort_by(|one, other| one.sequence.cmp(&other.sequence));
    let mut by_key: BTreeMap<CounterKey, Vec<&Change>> = BTreeMap::new();
    for change in &changes {
        for key in keys_of(&change.kind) {
            by_key.entry(key).or_default().push(change);
        }
    }
    let mut saved = stream::iter(by_key)
        .map(async |(key, changes)| (changes.first().map(|change| change.sequence.clone()), save(counters, &key, shard, &changes).await))
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

async fn save(counters: &dyn CounterStore, key: &CounterKey, shard: &ShardId, changes: &[&Change]) -> Result<(), StoreError> {
    for _ in 0..MOST_ROUNDS {
        let saved = if key.period == Period::Users {
            let (mut ranking, revision) = counters.ranking(&key.scope).await?;
            !ranking.apply(shard, changes) || counters.save_ranking(&key.scope, &ranking, revision).await?
        } else {
            let (mut tally, revision) = counters.tally(key).await?;
            !tally.apply(key, shard, changes) || counters.save_tally(key, &tally, revision).await?
        };
        if saved {
            return Ok(());
        }
    }
    Err(StoreError::Contended)
}
