//! The contract of [`ArchiveStore`]. Events count as old here as soon as they are counted.

use async_trait::async_trait;

use super::builders::{commit, event, noon};
use crate::domain::archive::{ArchiveProgress, ArchivedCommit, UnarchivedCommit, pack};
use crate::domain::claim::Slot;
use crate::domain::commit::{Commit, Storage};
use crate::domain::query::{EventFilter, EventQuery, PageSize, PageStart};
use crate::domain::status::EventStatus;
use crate::domain::timestamp::Hour;
use crate::domain::version::Version;
use crate::ports::archive_store::ArchiveStore;
use crate::ports::commit_log::{CommitLog, Put};
use crate::ports::event_reader::{EventReader, StreamRequest};
use crate::ports::object_store::ObjectStore;
use crate::ports::revision::Revision;
use crate::ports::stream_reader::StreamReader;
use crate::ports::timeline::Timeline;

/// A store with an archive beside it, that counts what was stored when it is told to.
#[async_trait(?Send)]
pub trait ArchivedStore {
    /// The store.
    type Events: ArchiveStore + CommitLog + EventReader + StreamReader + Timeline;

    /// The store itself.
    fn events(&self) -> &Self::Events;

    /// Where the store reads what is archived.
    fn objects(&self) -> &dyn ObjectStore;

    /// Counts what was stored or archived since the last time.
    async fn count(&self);
}

/// A commit of some events that happened so many minutes after noon.
fn at(stream: &str, first: u64, minutes: i64, events: usize) -> Commit {
    let mut made = commit(stream, first, (0..events).map(|_| event("a")).collect());
    for event in &mut made.events {
        event.occurred_at = noon().plus_micros(minutes * 60_000_000);
    }
    made
}

fn hour(minutes: i64) -> Hour {
    noon().plus_micros(minutes * 60_000_000).hour()
}

async fn put(store: &impl ArchivedStore, commits: &[Commit]) {
    for commit in commits {
        assert_eq!(store.events().put(std::slice::from_ref(commit)).await.unwrap(), Put::Stored);
    }
    store.count().await;
}

async fn unarchived(store: &impl ArchivedStore, hour: Hour, most: usize) -> Vec<UnarchivedCommit> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.events().commits_to_archive(hour, after, most).await.unwrap();
        assert!(page.commits.len() <= most);
        found.extend(page.commits);
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

/// Archives an hour, and returns its commits.
async fn archive(store: &impl ArchivedStore, hour: Hour) -> Vec<ArchivedCommit> {
    let packed = pack(hour, &unarchived(store, hour, 100).await).unwrap();
    store.objects().put(&packed.object.key(), packed.bytes).await.unwrap();
    assert_eq!(store.events().mark_archived(&packed.commits).await.unwrap(), packed.commits.len());
    store.count().await;
    packed.commits
}

fn archived(commit: &Commit) -> Commit {
    Commit { storage: Storage::Archive, ..commit.clone() }
}

/// As far as they have been counted.
pub async fn hours_that_hold_what_is_not_archived_are_found_oldest_first(store: &impl ArchivedStore) {
    let all = [at("order:1", 1, 0, 1), at("order:1", 2, -3000, 2), at("acme/order:1", 1, -61, 1), at("order:2", 1, -59, 1)];
    put(store, &all).await;
    let hours = async |after, before, most| store.events().hours_to_archive(after, before, most).await.unwrap();
    assert_eq!(hours(None, hour(60), 10).await, [hour(-3000), hour(-61), hour(-59), hour(0)]);
    assert_eq!(hours(None, hour(0), 2).await, [hour(-3000), hour(-61)]);
    assert_eq!(hours(Some(hour(-61)), hour(0), 10).await, [hour(-59)]);
    assert_eq!(hours(Some(hour(0)), hour(0), 10).await, []);
    archive(store, hour(-61)).await;
    assert_eq!(hours(None, hour(60), 10).await, [hour(-3000), hour(-59), hour(0)]);
}

/// In pages of any size; those that are archived are not among them.
pub async fn the_commits_of_an_hour_come_in_the_order_of_time(store: &impl ArchivedStore) {
    let all = [at("order:1", 1, 30, 1), at("order:1", 2, 10, 2), at("acme/order:1", 1, 20, 1), at("order:2", 1, 60, 1)];
    put(store, &all).await;
    for most in [1, 2, 100] {
        let found: Vec<Commit> = unarchived(store, hour(0), most).await.into_iter().map(|found| found.commit).collect();
        assert_eq!(found, [all[1].clone(), all[2].clone(), all[0].clone()], "{most} at a time");
    }
    let slot = Slot { stream: all[2].stream.clone(), first: all[2].first };
    let place = pack(hour(0), &unarchived(store, hour(0), 9).await).unwrap().commits[0].place;
    let marked = [ArchivedCommit { slot, place }];
    assert_eq!([store.events().mark_archived(&marked).await.unwrap(), store.events().mark_archived(&marked).await.unwrap()], [1, 0]);
    for most in [1, 100] {
        let found: Vec<Commit> = unarchived(store, hour(0), most).await.into_iter().map(|found| found.commit).collect();
        assert_eq!(found, [all[1].clone(), all[0].clone()]);
    }
    let missing = Slot { stream: all[0].stream.clone(), first: Version::new(9) };
    assert_eq!(store.events().mark_archived(&[ArchivedCommit { slot: missing, place }]).await.unwrap(), 0);
    assert_eq!(store.events().head(&all[0].stream).await.unwrap(), Version::new(3), "nothing was made of it");
}

/// The log, streams, the order of time, ids and queries.
pub async fn what_is_archived_is_read_as_before_wherever_it_is_looked_for(store: &impl ArchivedStore) {
    let all = [at("order:1", 1, 0, 2), at("order:1", 3, 1, 1), at("acme/order:1", 1, 2, 3), at("order:1", 4, 70, 1)];
    put(store, &all).await;
    archive(store, hour(0)).await;
    let now = noon().plus_micros(7_200_000_000);
    let expected = [archived(&all[0]), archived(&all[1]), all[3].clone()];
    let stream = &all[0].stream;
    assert_eq!(store.events().head(stream).await.unwrap(), Version::new(4));
    for commit in &expected {
        let slot = Slot { stream: stream.clone(), first: commit.first };
        assert_eq!(store.events().commit_at(&slot).await.unwrap().as_ref(), Some(commit));
        for version in commit.first.get()..=commit.last().get() {
            assert_eq!(store.events().commit_holding(stream, Version::new(version)).await.unwrap().as_ref(), Some(commit));
        }
        // The slot stays taken.
        let other = Commit { events: vec![event("b")], ..commit.clone() };
        assert_eq!(store.events().put(std::slice::from_ref(&other)).await.unwrap(), Put::Taken(vec![commit.clone()]));
        let together = [other, at("order:9", 1, 0, 1)];
        assert_eq!(store.events().put(&together).await.unwrap(), Put::Taken(vec![commit.clone()]));
    }
    assert_eq!(store.events().commits_after(stream, Version::EMPTY, 100).await.unwrap().commits, expected);
    assert_eq!(store.events().streams_named(&stream.stream, 10).await.unwrap().len(), 2);
    let found = store.events().commits_since(&EventFilter::default(), None, 10, now).await.unwrap().commits;
    assert_eq!(found, [&expected[..2], &[archived(&all[2])], &expected[2..]].concat());
    for commit in &all {
        for event in commit.to_events() {
            let found = store.events().event(event.id, None).await.unwrap().unwrap();
            let is_archived = commit.last_occurred_at().hour() == hour(0);
            assert_eq!((found.event.details, found.event.stream_version), (event.details, event.stream_version));
            assert_eq!(found.outcome.status == EventStatus::Archived, is_archived);
        }
    }
    for organization in [None, Some("acme".parse().unwrap())] {
        let expected = if organization.is_some() { 3 } else { 7 };
        let request = StreamRequest { stream: stream.stream.clone(), organization, from: Version::new(1), to: Version::MAX, limit: 100 };
        let slice = store.events().stream(&request).await.unwrap();
        assert_eq!((slice.events.len(), slice.version), (expected, Version::new(expected as u64)));
    }
    let archived_ones = EventFilter { status: Some(EventStatus::Archived), ..EventFilter::default() };
    let processed = EventFilter { status: Some(EventStatus::Processed), ..EventFilter::default() };
    for (filter, expected) in [(EventFilter::default(), 7), (archived_ones, 6), (processed, 1)] {
        let query = EventQuery { filter, size: PageSize::default(), start: PageStart::Offset(0) };
        let page = store.events().query(&query, now).await.unwrap();
        assert_eq!((page.events.len(), page.total.count(), page.next), (expected, expected as u64, None));
    }
}

/// So that of two runs one goes on.
pub async fn how_far_archiving_has_come_is_saved_only_over_what_was_seen(store: &impl ArchivedStore) {
    assert_eq!(store.events().archive_progress().await.unwrap(), (ArchiveProgress::default(), Revision(0)));
    let object = crate::domain::archive::ArchiveObject::of(hour(0), &[at("order:1", 1, 0, 1)]);
    let first = ArchiveProgress { reached: Some(hour(-60)), writing: Some(object) };
    assert!(store.events().save_archive_progress(&first, Revision(0)).await.unwrap());
    assert_eq!(store.events().archive_progress().await.unwrap(), (first, Revision(1)));
    let second = ArchiveProgress { writing: None, ..first };
    assert!(!store.events().save_archive_progress(&second, Revision(0)).await.unwrap());
    assert!(store.events().save_archive_progress(&second, Revision(1)).await.unwrap());
    assert_eq!(store.events().archive_progress().await.unwrap(), (second, Revision(2)));
}
