//! Archiving killed at every step, before and after what the step does: nothing is lost, nothing is doubled, and counts are right.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_lambda_events::event::dynamodb::Event as DynamoDbEvent;
use aws_sdk_dynamodb::types::AttributeValue;
use event_service_tests::{StoppedClock, Store};
use serde_json::Value;
use shared::adapters::dynamodb::stream::happening;
use shared::adapters::dynamodb::{DynamoEvents, TimeShards};
use shared::adapters::memory::MemoryObjects;
use shared::commands::archive_events::{ArchiveAfter, ArchiveEventsPorts, ArchiveReach, ArchiveRun, Archived, archive_events};
use shared::domain::archive::{ArchiveProgress, ArchivedCommit, ObjectKey};
use shared::domain::commit::Commit;
use shared::domain::outcome::Outcome;
use shared::domain::replay::CommitPlace;
use shared::domain::statistics::{Statistics, StatisticsScope};
use shared::domain::status::EventStatus;
use shared::domain::timestamp::{Hour, Timestamp};
use shared::domain::version::Version;
use shared::ports::archive_store::{ArchiveStore, UnarchivedPage};
use shared::ports::clock::Clock as _;
use shared::ports::commit_log::CommitLog;
use shared::ports::definition_store::DefinitionStore;
use shared::ports::event_reader::{EventReader, StreamRequest};
use shared::ports::object_store::{ObjectStore, ObjectStoreError};
use shared::ports::outcome_log::OutcomeLog;
use shared::ports::revision::Revision;
use shared::ports::store_error::StoreError;
use shared::testing::builders::{commit, event, noon, processor};
use shared::testing::outcome_log::{concluded, outcome};

/// When a step breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Break {
    /// Before it does anything.
    Before,
    /// In its middle, if it has one.
    Within,
    /// When everything is done and nobody has heard.
    After,
}

/// A store and its objects, of which one call breaks.
#[derive(Debug)]
struct Breaking<'a> {
    events: &'a DynamoEvents,
    objects: &'a MemoryObjects,
    calls: AtomicUsize,
    /// Which call breaks, and how.
    at: (usize, Break),
}

impl<'a> Breaking<'a> {
    fn new(store: &'a Store, at: (usize, Break)) -> Self {
        Self { events: &store.events, objects: &store.objects, calls: AtomicUsize::new(0), at }
    }

    fn broken() -> StoreError {
        StoreError::Unavailable("killed".into())
    }

    /// How the call that begins breaks, if it does.
    fn begin(&self) -> Option<Break> {
        (self.calls.fetch_add(1, Ordering::Relaxed) == self.at.0).then_some(self.at.1)
    }

    async fn step<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        match self.begin() {
            None => work.await,
            Some(Break::Before) => Err(Self::broken()),
            Some(Break::Within | Break::After) => work.await.and_then(|_| Err(Self::broken())),
        }
    }

    async fn object_step<T>(&self, work: impl Future<Output = Result<T, ObjectStoreError>>) -> Result<T, ObjectStoreError> {
        let step = self.step(async { Ok(work.await) }).await;
        step.unwrap_or_else(|error| Err(ObjectStoreError::Unavailable(error.into())))
    }
}

#[async_trait]
impl ArchiveStore for Breaking<'_> {
    async fn hours_to_archive(&self, after: Option<Hour>, before: Hour, most: usize) -> Result<Vec<Hour>, StoreError> {
        self.step(self.events.hours_to_archive(after, before, most)).await
    }

    async fn commits_to_archive(&self, hour: Hour, after: Option<CommitPlace>, most: usize) -> Result<UnarchivedPage, StoreError> {
        // Small pages, so that there are several.
        self.step(self.events.commits_to_archive(hour, after, most.min(2))).await
    }

    async fn mark_archived(&self, commits: &[ArchivedCommit]) -> Result<usize, StoreError> {
        match self.begin() {
            None => self.events.mark_archived(commits).await,
            Some(Break::Before) => Err(Self::broken()),
            Some(Break::Within) => self.events.mark_archived(&commits[..commits.len() / 2]).await.and_then(|_| Err(Self::broken())),
            Some(Break::After) => self.events.mark_archived(commits).await.and_then(|_| Err(Self::broken())),
        }
    }

    async fn archive_progress(&self) -> Result<(ArchiveProgress, Revision), StoreError> {
        self.step(self.events.archive_progress()).await
    }

    async fn save_archive_progress(&self, progress: &ArchiveProgress, seen: Revision) -> Result<bool, StoreError> {
        self.step(self.events.save_archive_progress(progress, seen)).await
    }
}

#[async_trait]
impl ObjectStore for Breaking<'_> {
    async fn put(&self, key: &ObjectKey, bytes: Vec<u8>) -> Result<(), ObjectStoreError> {
        self.object_step(self.objects.put(key, bytes)).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Vec<u8>>, ObjectStoreError> {
        self.object_step(self.objects.get(key)).await
    }

    async fn get_range(&self, key: &ObjectKey, range: std::ops::Range<u64>) -> Result<Option<Vec<u8>>, ObjectStoreError> {
        self.object_step(self.objects.get_range(key, range)).await
    }
}

/// Long after everything that happens here.
fn later() -> Timestamp {
    noon().plus(Duration::from_hours(24 * 40))
}

fn run() -> ArchiveRun {
    let run = ArchiveRun::scheduled(ArchiveAfter::days(30).unwrap(), later(), Duration::from_mins(10));
    assert_eq!(run.reach, ArchiveReach::New);
    run
}

async fn archive(store: &Breaking<'_>, run: &ArchiveRun) -> Result<Archived, String> {
    let clock = StoppedClock::new(later());
    let ports = ArchiveEventsPorts { archive: store, objects: store, clock: &clock };
    archive_events(&ports, run).await.map_err(|error| error.to_string())
}

/// Streams over several hours: some events are processed, some failed, some wait, and of most nothing was to be done.
async fn filled() -> (Store, Vec<Commit>) {
    let store = Store::open().await;
    let given = processor(&serde_json::json!({"filters": {"event_type": "given"}}));
    assert!(store.save_processor(&given, Revision(0)).await.unwrap());
    let mut commits = Vec::new();
    for number in 1..=6_u64 {
        for (stream, kind) in [("acme/order:1", "given"), ("order:2", "a"), ("user:u1", "b")] {
            let mut made = commit(stream, number * 2 - 1, vec![event(kind), event("c")]);
            for event in &mut made.events {
                event.occurred_at = noon().plus_micros(i64::try_from(number / 3).unwrap() * 3_600_000_000);
            }
            store.put(std::slice::from_ref(&made)).await.unwrap();
            let status = match number {
                1 => EventStatus::Failed,
                2 => EventStatus::Pending,
                _ => EventStatus::Processed,
            };
            if kind == "given" && status != EventStatus::Pending {
                let mut done: Outcome = outcome(&made, status);
                done.events[1] = shared::domain::outcome::EventOutcome::NOTHING_TO_DO;
                assert!(store.save_outcome(&concluded(&made), &done, Revision(0)).await.unwrap());
            }
            commits.push(made);
        }
    }
    store.count().await;
    (store, commits)
}

async fn statistics(store: &Store) -> Statistics {
    store.count().await;
    store.statistics(&StatisticsScope::default(), noon()).await.unwrap()
}

/// How often each event is in the archive.
fn in_objects(objects: &MemoryObjects) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for (key, bytes) in objects.all() {
        assert!(key.as_str().starts_with("events/date=2026-11-23/hour=1"), "{key}");
        let text = String::from_utf8(zstd_lines(&bytes)).unwrap();
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            *found.entry(event["event_id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    found
}

/// What any tool makes of an object.
fn zstd_lines(bytes: &[u8]) -> Vec<u8> {
    zstd::decode_all(bytes).unwrap()
}

async fn check(store: &Store, commits: &[Commit], before: &Statistics) {
    let after = statistics(store).await;
    assert_eq!((after.total(), &after.by_type), (before.total(), &before.by_type));
    let count = |status: EventStatus| after.with_status(status);
    // A failed and a waiting commit stay; of each, one event is processed.
    let expected = [(EventStatus::Archived, 32), (EventStatus::Processed, 2), (EventStatus::Failed, 1), (EventStatus::Pending, 1)];
    assert_eq!(expected.map(|(status, _)| (status, count(status))), expected);
    let objects = in_objects(&store.objects);
    for commit in commits {
        let found = store.commit_holding(&commit.stream, commit.last()).await.unwrap().unwrap();
        assert_eq!(found.events, commit.events);
        for event in commit.to_events() {
            let found = store.event(event.id, None).await.unwrap().unwrap();
            let times = objects.get(&event.id.to_string()).copied().unwrap_or_default();
            assert_eq!(times, usize::from(found.outcome.status == EventStatus::Archived), "{} is in the archive once", event.id);
        }
    }
    for (stream, organization) in [("order:1", Some("acme")), ("order:2", None), ("user:u1", None)] {
        let request = StreamRequest {
            stream: stream.parse().unwrap(),
            organization: organization.map(|name| name.parse().unwrap()),
            from: Version::new(1),
            to: Version::MAX,
            limit: 100,
        };
        let slice = store.stream(&request).await.unwrap();
        let versions: Vec<u64> = slice.events.iter().map(|event| event.event.stream_version.get()).collect();
        assert_eq!((versions, slice.version), ((1..=12).collect(), Version::new(12)));
    }
}

#[tokio::test]
async fn archiving_that_is_killed_at_any_step_loses_and_doubles_nothing() {
    let mut steps = 0;
    for how in [Break::Before, Break::Within, Break::After] {
        for step in 0.. {
            let (store, commits) = filled().await;
            let before = statistics(&store).await;
            let killed = archive(&Breaking::new(&store, (step, how)), &run()).await;
            if killed.is_ok() {
                assert!(step > 10, "{step} steps");
                break;
            }
            steps += 1;
            // What is not archived yet is not counted as such either.
            assert_eq!(statistics(&store).await.total(), before.total());
            let again = archive(&Breaking::new(&store, (usize::MAX, how)), &run()).await.unwrap();
            assert!(again.complete, "killed at {step}, {how:?}");
            check(&store, &commits, &before).await;
            let third = archive(&Breaking::new(&store, (usize::MAX, how)), &run()).await.unwrap();
            assert_eq!((third.events, third.complete), (0, true), "killed at {step}, {how:?}");
        }
    }
    assert!(steps > 30, "{steps} steps");
}

/// The schedule does not see to it that there is one: each goes on where it is, and one of them stops.
#[tokio::test]
async fn two_runs_at_once_archive_every_event_once() {
    let (store, commits) = filled().await;
    let before = statistics(&store).await;
    let (one, other) = (Breaking::new(&store, (usize::MAX, Break::After)), Breaking::new(&store, (usize::MAX, Break::After)));
    let run_of_both = run();
    let (first, second) = tokio::join!(archive(&one, &run_of_both), archive(&other, &run_of_both));
    assert!(first.is_ok() || second.is_ok(), "{first:?} {second:?}");
    archive(&one, &run_of_both).await.unwrap();
    check(&store, &commits, &before).await;
}

/// What happened long ago may be recorded today.
#[tokio::test]
async fn events_that_come_late_are_archived_once_they_are_old_and_once_a_day() {
    let (store, _) = filled().await;
    let plain = Breaking::new(&store, (usize::MAX, Break::After));
    assert_eq!(archive(&plain, &run()).await.unwrap().events, 32);
    let mut late = commit("order:2", 13, vec![event("a")]);
    late.events[0].occurred_at = noon();
    late.recorded_at = noon().plus(Duration::from_hours(24 * 5));
    store.put(&[late]).await.unwrap();
    store.count().await;
    let everything = |days: u64| {
        let midnight = later().plus(Duration::from_hours(24 * days + 12));
        ArchiveRun::scheduled(ArchiveAfter::days(30).unwrap(), midnight, Duration::from_mins(10))
    };
    assert_eq!(everything(0).reach, ArchiveReach::All);
    assert_eq!(archive(&plain, &run()).await.unwrap().events, 0);
    assert_eq!(archive(&plain, &everything(0)).await.unwrap().events, 1, "it was recorded more than thirty days before");
    let mut young = commit("order:2", 14, vec![event("a")]);
    young.recorded_at = later();
    store.put(&[young]).await.unwrap();
    store.count().await;
    assert_eq!(archive(&plain, &everything(1)).await.unwrap().events, 0, "it was not");
    assert_eq!(archive(&plain, &everything(31)).await.unwrap().events, 1);
}

#[tokio::test]
async fn a_run_that_has_no_time_left_goes_on_the_next_time() {
    let (store, commits) = filled().await;
    let before = statistics(&store).await;
    let plain = Breaking::new(&store, (usize::MAX, Break::After));
    let clock = StoppedClock::new(later());
    let over = ArchiveRun { deadline: clock.now(), ..run() };
    let stopped = archive(&plain, &over).await.unwrap();
    assert_eq!((stopped.events, stopped.complete), (0, false));
    assert!(archive(&plain, &run()).await.unwrap().complete);
    check(&store, &commits, &before).await;
}

/// An object that is gone or damaged is the store's fault, and says so; it is not an empty stream.
#[tokio::test]
async fn what_cannot_be_read_from_the_archive_is_an_error_and_never_an_absence() {
    let (store, commits) = filled().await;
    archive(&Breaking::new(&store, (usize::MAX, Break::After)), &run()).await.unwrap();
    let last = commits.last().unwrap();
    for (key, mut bytes) in store.objects.all() {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        store.objects.put(&key, bytes).await.unwrap();
    }
    assert!(matches!(store.commit_holding(&last.stream, last.last()).await, Err(StoreError::Corrupt(_))));
    assert!(store.event(last.id(), None).await.is_err());
    assert_eq!(store.head(&last.stream).await.unwrap(), last.last(), "where the stream ends is in the table");
    let without = DynamoEvents::new(store.client.clone(), store.table.clone(), TimeShards::default());
    assert!(matches!(without.commit_holding(&last.stream, last.last()).await, Err(StoreError::Corrupt(_))));
}

/// Restoring a table copies items. An archived commit has nothing to be done with, and was counted where it was stored.
#[tokio::test]
async fn an_archived_commit_that_is_put_back_is_neither_counted_nor_told_again() {
    let (store, _) = filled().await;
    archive(&Breaking::new(&store, (usize::MAX, Break::After)), &run()).await.unwrap();
    let before = statistics(&store).await;
    let items = store.client.scan().table_name(&store.table).send().await.unwrap().items.unwrap();
    let is_archived = |item: &HashMap<String, AttributeValue>| item["pk"].as_s().unwrap().starts_with("S#") && item.contains_key("arc");
    let copies: Vec<_> = items.into_iter().filter(is_archived).collect();
    assert_eq!(copies.len(), 16);
    let end = store.records_after(None, 1000).await.last_sequence;
    for item in copies {
        let key = HashMap::from(["pk", "sk"].map(|name| (name.to_owned(), item[name].clone())));
        store.client.delete_item().table_name(&store.table).set_key(Some(key)).send().await.unwrap();
        store.client.put_item().table_name(&store.table).set_item(Some(item)).send().await.unwrap();
    }
    let after = statistics(&store).await;
    assert_eq!((after.total(), after.by_status), (before.total(), before.by_status));
    let records = store.records_after(end.as_deref(), 1000).await.event();
    let records: DynamoDbEvent = serde_json::from_value(records).unwrap();
    assert_eq!(records.records.len(), 32);
    for record in &records.records {
        assert_eq!(happening(record).unwrap(), None);
    }
}
