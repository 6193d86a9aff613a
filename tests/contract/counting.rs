//! Counters count every change once, however it is delivered.

use event_service_tests::Store;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use shared::adapters::memory::MemoryCounters;
use shared::commands::count_events::count_events;
use shared::domain::counters::{Change, ChangeKind, CounterKey, CounterScope, Period, SequenceNumber, ShardId};
use shared::domain::statistics::StatisticsScope;
use shared::ports::commit_log::CommitLog;
use shared::ports::counter_store::CounterStore;
use shared::ports::event_reader::EventReader;
use shared::testing::builders::{commit, event, noon};

fn changes(count: u64) -> Vec<Change> {
    (1..=count)
        .map(|number| Change {
            sequence: SequenceNumber((number * 7).to_string()),
            kind: ChangeKind::Committed(Box::new(commit("acme/order:1", number, vec![event(&format!("type.{}", number % 3))])), None),
        })
        .collect()
}

/// Lambda delivers a shard in order, but any batch again, whole, in part, or out of its order.
#[test]
fn redelivered_split_and_shuffled_batches_are_counted_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let deliveries = proptest::collection::vec((0..20_usize, 1..20_usize), 1..30);
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, max_shrink_iters: 300, ..Config::default() });
    let checked = runner.run(&(deliveries, any::<prop::sample::Index>()), |(deliveries, turn)| {
        runtime.block_on(async {
            let (counters, all) = (MemoryCounters::default(), changes(40));
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
                    count_events(&counters, shard, batch).await.unwrap();
                    reached = reached.max(end);
                }
                count_events(&counters, shard, all[reached..].to_vec()).await.unwrap();
            }
            for period in [Period::Total, Period::Day(noon().hour().day()), Period::Hour(noon().hour())] {
                for scope in [CounterScope::All, CounterScope::Organization("acme".parse().unwrap())] {
                    let (tally, _) = counters.tally(&CounterKey { scope, period }).await.unwrap();
                    prop_assert_eq!(tally.total(), 2 * all.len() as u64);
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
