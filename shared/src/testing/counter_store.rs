//! The contract of [`CounterStore`].

use std::collections::{BTreeMap, BTreeSet};

use super::builders::noon;
use crate::domain::category::EventCategory;
use crate::domain::counters::{
    CounterKey, CounterScope, Fences, IndexList, Kind, Period, RankedUser, SequenceNumber, ShardId, Tally, UserRanking,
};
use crate::domain::source::EventSource;
use crate::domain::status::EventStatus;
use crate::ports::counter_store::{CounterStore, Revision};

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
