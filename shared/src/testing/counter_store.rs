//! The contract of [`CounterStore`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::builders::{client_id, large_event, noon, processor};
use crate::domain::category::EventCategory;
use crate::domain::counters::{
    Change, ChangeKind, CounterKey, CounterScope, Fences, IndexList, Kind, Period, ProcessorTallies, ProcessorTally, RankedUser,
    SequenceNumber, ShardId, Tally, UserRanking,
};
use crate::domain::definitions::Definitions;
use crate::domain::outcome::{EventOutcome, Outcome, ProcessingResult, ResultStatus};
use crate::domain::source::EventSource;
use crate::domain::status::EventStatus;
use crate::ports::counter_store::CounterStore;
use crate::ports::revision::Revision;

fn keys() -> Vec<CounterKey> {
    let organization = CounterScope::Organization("*".parse().unwrap());
    let periods = [Period::Total, Period::Day(noon().hour().day()), Period::Hour(noon().hour())];
    [CounterScope::All, organization].iter().flat_map(|scope| periods.map(|period| CounterKey { scope: scope.clone(), period })).collect()
}

fn fences() -> Fences {
    Fences(BTreeMap::from([(ShardId("shardId-1".to_owned()), SequenceNumber("100000000000000000000000000000000000001".to_owned()))]))
}

fn tally(count: u64) -> Tally {
    let kind = |event_type: Option<&str>| Kind {
        event_type: event_type.map(|text| text.parse().unwrap()),
        source: EventSource::Backend,
        category: EventCategory::Order,
    };
    Tally {
        kinds: BTreeMap::from([(kind(Some("a|b.c|frontend|click")), count), (kind(Some("*")), 1), (kind(None), 3)]),
        lists: BTreeSet::from([IndexList("order#20261123#0".to_owned())]),
        statuses: BTreeMap::from([(EventStatus::Failed, 2)]),
        settled: 7,
        archived: 5,
        processing_ms: 500,
        processing_count: 2,
        watermark: Some(noon()),
        fences: fences(),
    }
}

/// Revision 0.
pub async fn an_item_that_was_never_saved_is_empty(store: &impl CounterStore) {
    for key in keys() {
        assert_eq!(store.tally(&key).await.unwrap(), (Tally::default(), Revision(0)));
        assert_eq!(store.ranking(&key.scope).await.unwrap(), (UserRanking::default(), Revision(0)));
    }
}

/// No two keys share an item.
pub async fn an_item_is_read_back_as_it_was_saved(store: &impl CounterStore) {
    for (number, key) in keys().iter().enumerate() {
        assert!(store.save_tally(key, &tally(number as u64 + 1), Revision(0)).await.unwrap());
    }
    for (number, key) in keys().iter().enumerate() {
        let (saved, revision) = store.tally(key).await.unwrap();
        assert_eq!(saved, tally(number as u64 + 1), "{key:?}");
        assert_ne!(revision, Revision(0));
    }
}

/// Of two who read the same, one saves.
pub async fn an_item_is_saved_only_over_the_revision_that_was_read(store: &impl CounterStore) {
    let key = &keys()[0];
    assert!(store.save_tally(key, &tally(1), Revision(0)).await.unwrap());
    assert!(!store.save_tally(key, &tally(2), Revision(0)).await.unwrap());
    let (_, revision) = store.tally(key).await.unwrap();
    assert!(store.save_tally(key, &tally(3), revision).await.unwrap());
    assert!(!store.save_tally(key, &tally(4), revision).await.unwrap());
    assert_eq!(store.tally(key).await.unwrap().0, tally(3));
}

/// And apart from the tallies.
pub async fn a_ranking_is_read_back_as_it_was_saved(store: &impl CounterStore) {
    let users = BTreeMap::from([("u|1".parse().unwrap(), RankedUser { count: 9, excess: 2 })]);
    let ranking = UserRanking { users, fences: fences() };
    assert!(store.save_ranking(&CounterScope::All, &ranking, Revision(0)).await.unwrap());
    assert!(!store.save_ranking(&CounterScope::All, &ranking, Revision(0)).await.unwrap());
    assert_eq!(store.ranking(&CounterScope::All).await.unwrap().0, ranking);
    assert_eq!(store.tally(&keys()[0]).await.unwrap().0, Tally::default());
}

/// And apart from the tallies.
pub async fn how_processors_have_done_is_read_back_as_it_was_saved(store: &impl CounterStore) {
    assert_eq!(store.processor_tallies().await.unwrap(), (ProcessorTallies::default(), Revision(0)));
    let done = ProcessorTally { errors: 2, successes: 40, last_error: Some("no \"route\"".to_owned()), last_processed_at: Some(noon()) };
    let by_id = [("p1", done), ("p2", ProcessorTally::default())].map(|(id, tally)| (id.parse().unwrap(), tally)).into();
    let tallies = ProcessorTallies { by_id, fences: fences() };
    assert!(store.save_processor_tallies(&tallies, Revision(0)).await.unwrap());
    assert!(!store.save_processor_tallies(&ProcessorTallies::default(), Revision(0)).await.unwrap());
    let (saved, revision) = store.processor_tallies().await.unwrap();
    assert_eq!(saved, tallies);
    assert_eq!(store.tally(&keys()[0]).await.unwrap().0, Tally::default());
    assert!(store.save_processor_tallies(&ProcessorTallies::default(), revision).await.unwrap());
    assert_eq!(store.processor_tallies().await.unwrap().0, ProcessorTallies::default());
}

/// Counting them keeps within what an item holds.
pub async fn as_many_processors_as_there_may_be_are_saved_whatever_they_say(store: &impl CounterStore) {
    let noise: Vec<char> = large_event(600_000).details.data.as_str().chars().collect();
    let mut errors = noise.chunks(ProcessorTally::MAX_ERROR).map(|error| error.iter().collect::<String>());
    let ids = (0..=ProcessorTallies::MAX).map(|number| format!("00000000-0000-4000-8000-{number:012}"));
    let mut tallies = ProcessorTallies::default();
    for (number, id) in (1..).zip(ids) {
        let processor = processor(&json!({"id": id, "name": id}));
        let definitions = Definitions::new(1, vec![processor], Vec::new());
        let (at, message) = (noon().plus_micros(number), errors.next());
        let result = ProcessingResult { processor: id, status: ResultStatus::Failed, message, at, ms: 1, attempt: 1 };
        let after = Outcome { commit: client_id(1), events: vec![EventOutcome::of(vec![result])] };
        let kind = ChangeKind::Concluded { organization: None, before: None, after };
        let change = Change { sequence: SequenceNumber(number.to_string()), kind };
        assert!(tallies.apply(&ShardId("shardId-1".to_owned()), &[&change], &definitions));
    }
    assert_eq!(tallies.by_id.len(), ProcessorTallies::MAX);
    assert!(store.save_processor_tallies(&tallies, Revision(0)).await.unwrap());
    assert_eq!(store.processor_tallies().await.unwrap().0, tallies);
}
