//! Counters count every change once, however it is delivered.

use std::sync::Arc;

use async_trait::async_trait;
use event_service_tests::Store;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use serde_json::json;
use shared::adapters::memory::{MemoryCounters, MemoryEvents};
use shared::commands::count_events::{CountEventsPorts, count_events};
use shared::domain::commit::Commit;
use shared::domain::counters::{Change, ChangeKind, CounterKey, CounterScope, Period, SequenceNumber, ShardId};
use shared::domain::definitions::Definitions;
use shared::domain::identifiers::SubscriptionId;
use shared::domain::outcome::{EventOutcome, Outcome, ProcessingResult, ResultStatus};
use shared::domain::processor::Processor;
use shared::domain::statistics::StatisticsScope;
use shared::domain::status::EventStatus;
use shared::domain::subscription::Subscription;
use shared::ports::commit_log::CommitLog;
use shared::ports::counter_store::CounterStore;
use shared::ports::definition_store::{DefinitionStore, Freshness};
use shared::ports::event_reader::EventReader;
use shared::ports::outcome_log::OutcomeLog;
use shared::ports::revision::Revision;
use shared::ports::store_error::StoreError;
use shared::testing::builders::{commit, event, noon, processor};
use shared::testing::outcome_log::{concluded, outcome};

fn changes(count: u64) -> Vec<Change> {
    (1..=count)
        .map(|number| Change {
            sequence: SequenceNumber((number * 7).to_string()),
            kind: ChangeKind::Committed {
                commit: Box::new(commit("acme/order:1", number, vec![event(&format!("type.{}", number % 3))])),
                list: None,
                settled: 0,
            },
        })
        .collect()
}

/// Definitions with a processor that is given one type of events.
async fn definitions(event_type: &str) -> MemoryEvents {
    let definitions = MemoryEvents::default();
    let processor = processor(&json!({"filters": {"event_type": event_type}}));
    assert!(definitions.save_processor(&processor, Revision(0)).await.unwrap());
    definitions
}

/// Lambda delivers a shard in order, but any batch again, whole, in part, or out of its order.
#[test]
fn redelivered_split_and_shuffled_batches_are_counted_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let deliveries = proptest::collection::vec((0..20_usize, 1..20_usize), 1..30);
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, max_shrink_iters: 300, ..Config::default() });
    let checked = runner.run(&(deliveries, any::<prop::sample::Index>()), |(deliveries, turn)| {
        runtime.block_on(async {
            let (counters, definitions, all) = (MemoryCounters::default(), definitions("type.0").await, changes(40));
            let ports = CountEventsPorts { counters: &counters, definitions: &definitions };
            let shards = [ShardId("shardId-1".to_owned()), ShardId("shardId-2".to_owned())];
            for shard in &shards {
                let mut reached = 0;
                for (back, length) in &deliveries {
                    // A batch starts no later than where the last one ended.
                    let start = reached - back.min(&reached);
                    let end = (start + length).min(all.len());
                    let mut batch = all[start..end].to_vec();
                    let middle = turn.index(batch.len().max(1)).min(batch.len());
                    batch.rotate_left(middle);
                    count_events(&ports, shard, batch).await.unwrap();
                    reached = reached.max(end);
                }
                count_events(&ports, shard, all[reached..].to_vec()).await.unwrap();
            }
            for period in [Period::Total, Period::Day(noon().hour().day()), Period::Hour(noon().hour())] {
                for scope in [CounterScope::All, CounterScope::Organization("acme".parse().unwrap())] {
                    let (tally, _) = counters.tally(&CounterKey { scope, period }).await.unwrap();
                    prop_assert_eq!(tally.total(), 2 * all.len() as u64);
                    // Every third event is given to the processor, from the third on.
                    let settled = if period == Period::Total { 2 * (all.len() - all.len() / 3) as u64 } else { 0 };
                    prop_assert_eq!(tally.settled, settled);
                }
            }
            Ok(())
        })
    });
    match checked {
        Ok(()) => {}
        // The input is large; what differs says enough to find it again with a smaller one.
        Err(TestError::Fail(reason, _) | TestError::Abort(reason)) => panic!("{reason}"),
    }
}

/// What the function hears comes from the table, not from the writer.
#[tokio::test]
async fn events_are_counted_from_the_stream_of_the_table() {
    let store = Store::open().await;
    store.put(&[commit("acme/order:1", 1, vec![event("a"), event("b")])]).await.unwrap();
    let before = store.statistics(&StatisticsScope::default(), noon()).await.unwrap();
    assert_eq!(before.total(), 0);
    store.count().await;
    store.count().await;
    let after = store.statistics(&StatisticsScope::default(), noon()).await.unwrap();
    assert_eq!((after.total(), after.today), (2, 2));
}

/// How many events have each status.
async fn statuses(store: &Store) -> Vec<(EventStatus, u64)> {
    let statistics = store.statistics(&StatisticsScope::default(), noon()).await.unwrap();
    statistics.by_status.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// BR-EVT-007.
#[tokio::test]
async fn an_event_is_pending_until_its_outcome_is_counted_unless_no_processor_is_given_it() {
    let store = Store::open().await;
    assert!(store.save_processor(&processor(&json!({"filters": {"event_type": "a"}})), Revision(0)).await.unwrap());
    let put = commit("acme/order:1", 1, vec![event("a"), event("b"), event("a")]);
    store.put(std::slice::from_ref(&put)).await.unwrap();
    store.count().await;
    assert_eq!(statuses(&store).await, [(EventStatus::Pending, 2), (EventStatus::Processed, 1)]);
    let mut partly = outcome(&put, EventStatus::Failed);
    partly.events[1] = EventOutcome::NOTHING_TO_DO;
    partly.events[2] = EventOutcome::PENDING;
    assert!(store.save_outcome(&concluded(&put), &partly, Revision(0)).await.unwrap());
    store.count().await;
    assert_eq!(statuses(&store).await, [(EventStatus::Pending, 1), (EventStatus::Processed, 1), (EventStatus::Failed, 1)]);
    let (_, seen) = store.outcome(put.id()).await.unwrap();
    let mut done = outcome(&put, EventStatus::Processed);
    done.events[1] = EventOutcome::NOTHING_TO_DO;
    assert!(store.save_outcome(&concluded(&put), &done, seen).await.unwrap());
    store.count().await;
    assert_eq!(statuses(&store).await, [(EventStatus::Processed, 3)]);
    let statistics = store.statistics(&StatisticsScope::default(), noon()).await.unwrap();
    assert_eq!(statistics.processing.1, 2, "nothing took no time");
}

fn results(attempts: u32, last: ResultStatus) -> Vec<ProcessingResult> {
    let result = |attempt: u32| ProcessingResult {
        processor: "logger".to_owned(),
        status: if attempt == attempts { last } else { ResultStatus::Retry },
        message: (attempt < attempts || last != ResultStatus::Success).then(|| format!("attempt {attempt}")),
        at: noon().plus_micros(i64::from(attempt) * 1000),
        ms: 3,
        attempt,
    };
    (1..=attempts).map(result).collect()
}

fn done(commit: &Commit, attempts: u32, last: ResultStatus) -> Outcome {
    Outcome { commit: commit.id(), events: vec![EventOutcome::of(results(attempts, last))] }
}

#[tokio::test]
async fn how_processors_do_is_counted_from_outcomes_with_one_write_for_a_batch() {
    let store = Store::open().await;
    let processor = processor(&json!({}));
    assert!(store.save_processor(&processor, Revision(0)).await.unwrap());
    let commits: Vec<Commit> = (1..=20).map(|number| commit("acme/order:1", number, vec![event("a")])).collect();
    for commit in &commits {
        store.put(std::slice::from_ref(commit)).await.unwrap();
        let first = done(commit, 1, ResultStatus::Retry);
        assert!(store.save_outcome(&concluded(commit), &first, Revision(0)).await.unwrap());
    }
    store.count().await;
    let (tallies, revision) = store.processor_tallies().await.unwrap();
    let tally = &tallies.by_id[&processor.id];
    assert_eq!((tally.errors, tally.successes, tally.last_error.as_deref()), (20, 0, Some("attempt 1")));
    assert_eq!(revision, Revision(1));
    for (number, commit) in commits.iter().enumerate() {
        let last = if number == 0 { ResultStatus::Failed } else { ResultStatus::Success };
        let (_, seen) = store.outcome(commit.id()).await.unwrap();
        assert!(store.save_outcome(&concluded(commit), &done(commit, 2, last), seen).await.unwrap());
    }
    store.count().await;
    store.count().await;
    let (tallies, revision) = store.processor_tallies().await.unwrap();
    let tally = &tallies.by_id[&processor.id];
    assert_eq!((tally.errors, tally.successes, tally.last_error.as_deref()), (21, 19, Some("attempt 2")));
    assert_eq!((tally.last_processed_at, revision), (Some(noon().plus_micros(2000)), Revision(2)));
}

/// A store of definitions that does not answer.
struct Silent;

#[async_trait]
impl DefinitionStore for Silent {
    async fn definitions(&self, _freshness: Freshness) -> Result<Arc<Definitions>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn save_processor(&self, _processor: &Processor, _seen: Revision) -> Result<bool, StoreError> {
        Err(StoreError::Contended)
    }

    async fn save_subscription(&self, _subscription: &Subscription, _seen: Revision) -> Result<bool, StoreError> {
        Err(StoreError::Contended)
    }

    async fn remove_subscription(&self, _id: &SubscriptionId, _seen: Revision) -> Result<bool, StoreError> {
        Err(StoreError::Contended)
    }
}

#[tokio::test]
async fn without_definitions_nothing_is_counted_and_everything_is_delivered_again() {
    let counters = MemoryCounters::default();
    let ports = CountEventsPorts { counters: &counters, definitions: &Silent };
    let shard = ShardId("shardId-1".to_owned());
    let error = count_events(&ports, &shard, changes(3)).await.unwrap_err();
    assert_eq!(error.from, changes(1)[0].sequence);
    let (tally, revision) = counters.tally(&CounterKey { scope: CounterScope::All, period: Period::Total }).await.unwrap();
    assert_eq!((tally.total(), revision), (0, Revision(0)));
    let empty = count_events(&ports, &shard, Vec::new()).await;
    assert!(empty.is_ok(), "{empty:?}");
}
