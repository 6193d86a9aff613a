//! Queries, totals, paging and statistics of the DynamoDB adapter are those of the oracle.

use std::collections::BTreeSet;

use event_service_tests::{StoppedClock, Store};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use shared::adapters::memory::{MemoryEvents, MemoryObjects};
use shared::adapters::system::SystemRandom;
use shared::commands::append::{AppendPorts, AppendRequest, KnownHeads, append};
use shared::commands::archive_events::{ArchiveEventsPorts, ArchiveReach, ArchiveRun, archive_events};
use shared::domain::category::EventCategory;
use shared::domain::commit::Commit;
use shared::domain::event::EventDraft;
use shared::domain::event_id::EventId;
use shared::domain::json::JsonObject;
use shared::domain::outcome::EventOutcome;
use shared::domain::processor::{Processor, ProcessorDraft};
use shared::domain::query::{Anonymous, DataFilter, EventFilter, EventQuery, ObservedEvent, PageSize, PageStart};
use shared::domain::source::EventSource;
use shared::domain::statistics::{Statistics, StatisticsScope};
use shared::domain::status::EventStatus;
use shared::domain::timestamp::Timestamp;
use shared::domain::version::ExpectedVersion;
use shared::ports::commit_log::CommitLog;
use shared::ports::definition_store::{DefinitionStore, Freshness};
use shared::ports::event_reader::EventReader;
use shared::ports::outcome_log::OutcomeLog;
use shared::ports::revision::Revision;
use shared::ports::timeline::Timeline;
use shared::testing::builders::{details, noon};
use shared::testing::outcome_log::{concluded, outcome};

const HISTORIES: u32 = 30;
const QUERIES: usize = 25;

/// An event of a small world, so that filters hit, users meet and times collide.
fn drafts() -> impl Strategy<Value = EventDraft> {
    let who =
        (proptest::option::weighted(0.7, 0..3_u8), proptest::option::weighted(0.5, 0..3_u8), proptest::option::weighted(0.5, 0..2_u8));
    let what = (0..3_u8, 0..3_usize, 0..4_usize, 0..3_u8);
    let place = (proptest::option::weighted(0.4, 0..3_u8), proptest::option::weighted(0.3, 0..2_u8));
    // Minutes around noon: hours, days and the month before.
    let when = proptest::option::weighted(0.8, prop_oneof![4 => -300..30_i64, 2 => -4000..0_i64, 1 => -60_000..0_i64, 1 => 0..3000_i64]);
    (who, what, place, when, 0..3_i64).prop_map(
        |((user, session, organization), (kind, source, category, number), (stream, device), minutes, second)| {
            let mut json = serde_json::json!({
                "type": format!("type.{kind}"), "source": EventSource::ALL[source], "category": EventCategory::ALL[category],
                "data": {"number": number, "nested": {"flag": number > 1}}, "correlation": format!("c{number}"),
            });
            for (name, value) in [("user", user), ("session", session), ("device", device)] {
                if let Some(value) = value {
                    json[name] = serde_json::json!(format!("{name}-{value}"));
                }
            }
            EventDraft {
                event_id: None,
                organization: organization.map(|number| format!("org-{number}").parse().unwrap()),
                stream: stream.map(|number| format!("order:{number}").parse().unwrap()),
                expected_version: ExpectedVersion::Any,
                occurred_at: minutes.map(|minutes| noon().plus_micros((minutes * 60 + second) * 1_000_000)),
                trace: None,
                details: details(&json),
            }
        },
    )
}

fn filters() -> impl Strategy<Value = EventFilter> {
    let counted = (
        proptest::option::weighted(0.4, 0..3_u8),
        proptest::option::weighted(0.3, 0..3_usize),
        proptest::option::weighted(0.4, 0..5_usize),
    );
    let rest = (
        proptest::option::weighted(0.15, 0..3_u8),
        proptest::option::weighted(0.15, 0..3_u8),
        proptest::option::weighted(0.3, 0..3_u8),
        proptest::option::weighted(0.15, 0..3_i64),
        proptest::option::weighted(0.25, 0..5_usize),
        proptest::option::weighted(0.1, 0..3_u8),
    );
    let bound = || {
        proptest::option::weighted(0.5, prop_oneof![3 => -300..60_i64, 1 => -4000..3000_i64, 1 => (-10..10_i64).prop_map(|hour| hour * 60)])
    };
    (counted, rest, bound(), bound()).prop_map(
        |((kind, source, category), (user, session, organization, number, status, device), from, to)| {
            let time = |minutes: i64| noon().plus_micros(minutes * 60_000_000);
            EventFilter {
                event_type: kind.map(|number| format!("type.{number}").parse().unwrap()),
                source: source.map(|number| EventSource::ALL[number]),
                category: category.map(|number| EventCategory::ALL[number]),
                user: user.map(|number| format!("user-{number}").parse().unwrap()),
                anonymous: if status.is_none() { Anonymous::Included } else { Anonymous::Excluded },
                session: session.map(|number| format!("session-{number}").parse().unwrap()),
                organization: organization.map(|number| format!("org-{number}").parse().unwrap()),
                device: device.map(|number| format!("device-{number}").parse().unwrap()),
                correlation: None,
                status: status.map(|number| EventStatus::ALL[number]),
                from: from.map(time),
                to: to.map(time),
                data: number.and_then(|number| DataFilter::new(serde_json::json!({"number": number}).as_object().cloned().unwrap())),
            }
        },
    )
}

/// What happens to processors before a batch.
#[derive(Debug, Clone)]
enum Turn {
    /// One is made, for the events of an organization or of all, of a type or of all; it has been there from the start, or is
    /// on from the batch on.
    Made { organization: Option<u8>, event_type: Option<u8>, from_the_start: bool },
    /// One is switched over from the batch on.
    Switched(usize),
    /// One is removed from the batch on.
    Removed(usize),
}

fn turns() -> impl Strategy<Value = Turn> {
    let made = (proptest::option::weighted(0.6, 0..3_u8), proptest::option::weighted(0.6, 0..3_u8), proptest::bool::weighted(0.4));
    prop_oneof![
        4 => made.prop_map(|(organization, event_type, from_the_start)| Turn::Made { organization, event_type, from_the_start }),
        3 => (0..9_usize).prop_map(Turn::Switched),
        1 => (0..9_usize).prop_map(Turn::Removed),
    ]
}

/// What becomes of those of a commit's events that a processor is given.
#[derive(Debug, Clone)]
struct Conclusion {
    commit: usize,
    status: usize,
    /// The one that nothing becomes of yet.
    pending: usize,
}

fn conclusions() -> impl Strategy<Value = Vec<Conclusion>> {
    let conclusion = (0..500_usize, 1..4_usize, prop_oneof![3 => Just(usize::MAX), 1 => 0..4_usize]);
    let conclusion = conclusion.prop_map(|(commit, status, pending)| Conclusion { commit, status, pending });
    prop_oneof![Just(Vec::new()), proptest::collection::vec(conclusion, 0..20)]
}

/// What happened to both stores.
#[derive(Debug, Clone)]
struct History {
    batches: Vec<Vec<EventDraft>>,
    /// Before which batch, and what.
    turns: Vec<(usize, Turn)>,
    conclusions: Vec<Conclusion>,
    /// After which batch the store counts; at the end it does in any case.
    counted: usize,
    /// Up to how many minutes after noon everything is archived in the end, if it is.
    archived: Option<i64>,
}

fn histories() -> impl Strategy<Value = History> {
    let batches = proptest::collection::vec(proptest::collection::vec(drafts(), 1..8), 1..25);
    let turns = prop_oneof![1 => Just(Vec::new()), 2 => proptest::collection::vec((0..25_usize, turns()), 1..8)];
    let archived = proptest::option::weighted(0.6, -300..120_i64);
    (batches, turns, conclusions(), 0..25_usize, archived).prop_map(|(batches, turns, conclusions, counted, archived)| History {
        batches,
        turns,
        conclusions,
        counted,
        archived,
    })
}

/// Two stores with the same history.
struct Twins {
    oracle: MemoryEvents,
    store: Store,
}

impl Twins {
    /// Appends the same batches to both, a second apart, and concludes some commits.
    async fn new(history: &History) -> Self {
        let twins = Self { oracle: MemoryEvents::default(), store: Store::open().await };
        let (random, heads) = (SystemRandom, KnownHeads::default());
        let ports = AppendPorts { log: &twins.oracle, random: &random, heads: &heads };
        let mut stored: BTreeSet<EventId> = BTreeSet::new();
        for (number, drafts) in history.batches.iter().enumerate() {
            let now = noon().plus_micros(i64::try_from(number).unwrap() * 1_000_000);
            for (_, turn) in history.turns.iter().filter(|(before, _)| *before == number) {
                // What was counted cannot be given to anybody later.
                let earliest = if number <= history.counted { Timestamp::MIN } else { now };
                twins.take(turn, now, earliest).await;
            }
            append(&ports, &AppendRequest { drafts: drafts.clone(), key: None, now }).await.unwrap();
            for commit in twins.oracle.commits() {
                if stored.insert(commit.id()) {
                    twins.store.put(&[commit]).await.unwrap();
                }
            }
            if history.counted == number {
                twins.store.count().await;
            }
        }
        let commits = twins.oracle.commits();
        for conclusion in &history.conclusions {
            twins.conclude(&commits[conclusion.commit % commits.len()], conclusion).await;
        }
        twins.store.count().await;
        if let Some(minutes) = history.archived {
            let (until, clock) = (noon().plus_micros(minutes * 60_000_000), StoppedClock::new(noon()));
            let run = ArchiveRun { until, recorded_until: Timestamp::MAX, deadline: Timestamp::MAX, reach: ArchiveReach::All };
            let objects = MemoryObjects::default();
            let of_oracle = ArchiveEventsPorts { archive: &twins.oracle, objects: &objects, clock: &clock };
            let of_store = ArchiveEventsPorts { archive: &twins.store.events, objects: &*twins.store.objects, clock: &clock };
            let archived = archive_events(&of_store, &run).await.unwrap();
            assert_eq!(archived, archive_events(&of_oracle, &run).await.unwrap());
            assert_eq!(twins.store.objects.all(), objects.all());
            twins.store.count().await;
        }
        twins
    }

    async fn take(&self, turn: &Turn, now: Timestamp, earliest: Timestamp) {
        let definitions = self.oracle.definitions(Freshness::Current).await.unwrap();
        let standing = |number: usize| {
            let all: Vec<_> = definitions.processors().collect();
            all.get(number % all.len().max(1)).map(|processor| Processor::clone(processor))
        };
        let processor = match turn {
            Turn::Made { organization, event_type, from_the_start } => {
                let name = format!("processor-{}", definitions.revision);
                let mut filters = serde_json::json!({});
                if let Some(number) = event_type {
                    filters["event_type"] = format!("type.{number}").into();
                }
                let draft = ProcessorDraft {
                    name: name.parse().unwrap(),
                    kind: "internal".to_owned(),
                    enabled: true,
                    priority: 0,
                    filters: JsonObject::parse(&filters.to_string()).unwrap(),
                    config: JsonObject::default(),
                    retry_policy: JsonObject::default(),
                };
                let organization = organization.map(|number| format!("org-{number}").parse().unwrap());
                let from = if *from_the_start { earliest } else { now };
                Some(Processor::new(name.parse().unwrap(), organization, draft, now, from))
            }
            Turn::Switched(number) => standing(*number).map(|mut processor| {
                processor.switch(!processor.enabled, now, now);
                processor
            }),
            Turn::Removed(number) => standing(*number).map(|mut processor| {
                processor.remove(now, now);
                processor
            }),
        };
        if let Some(processor) = processor {
            let seen = Revision(definitions.revision);
            assert!(self.oracle.save_processor(&processor, seen).await.unwrap());
            assert!(self.store.save_processor(&processor, seen).await.unwrap());
        }
    }

    /// Saves an outcome of those events that a processor is given, if there are any.
    async fn conclude(&self, commit: &Commit, conclusion: &Conclusion) {
        let definitions = self.oracle.definitions(Freshness::Current).await.unwrap();
        if definitions.count_to_process(commit) == 0 {
            return;
        }
        let (before, seen) = self.oracle.outcome(commit.id()).await.unwrap();
        let mut after = outcome(commit, EventStatus::ALL[conclusion.status]);
        for (index, (event, outcome)) in commit.to_events().iter().zip(&mut after.events).enumerate() {
            if !definitions.needs_processing(event) {
                *outcome = EventOutcome::NOTHING_TO_DO;
            } else if index == conclusion.pending {
                *outcome = before.as_ref().map_or(EventOutcome::PENDING, |before| before.events[index].clone());
            }
        }
        for log in [&self.oracle as &dyn OutcomeLog, &self.store.events] {
            assert!(log.save_outcome(&concluded(commit), &after, seen).await.unwrap());
        }
    }
}

fn ids(events: &[ObservedEvent]) -> Vec<(EventId, EventStatus)> {
    events.iter().map(|event| (event.event.id, event.outcome.status)).collect()
}

/// All pages of a query, and the totals that they show.
async fn pages(reader: &dyn EventReader, filter: &EventFilter, size: PageSize, now: Timestamp) -> (Vec<(EventId, EventStatus)>, Vec<u64>) {
    let (mut events, mut totals, mut start) = (Vec::new(), Vec::new(), PageStart::Offset(0));
    loop {
        let page = reader.query(&EventQuery { filter: filter.clone(), size, start }, now).await.unwrap();
        events.extend(ids(&page.events));
        totals.push(page.total.count());
        match page.next {
            Some(position) => start = PageStart::Below(position),
            None => return (events, totals),
        }
    }
}

/// What of statistics both stores must agree on.
fn comparable(statistics: Statistics) -> Statistics {
    let mut statistics = statistics;
    statistics.by_status.retain(|_, count| *count > 0);
    statistics
}

/// All pages of commits in the order of time.
async fn timeline(events: &impl Timeline, filter: &EventFilter, size: usize, now: Timestamp) -> Vec<EventId> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = events.commits_since(filter, after, size, now).await.unwrap();
        found.extend(page.commits.iter().map(Commit::id));
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

/// BR-QRY-002. BR-QRY-003. BR-QRY-005. BR-QRY-006.
#[test]
fn queries_totals_pages_and_statistics_are_the_oracles() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let queries = proptest::collection::vec((filters(), 0..40_u64, 1..30_usize), QUERIES);
    let mut runner = TestRunner::new(Config { cases: HISTORIES, failure_persistence: None, max_shrink_iters: 300, ..Config::default() });
    let checked = runner.run(&(histories(), queries, 0..3_i64), |(history, queries, days)| {
        runtime.block_on(async {
            let twins = Twins::new(&history).await;
            let now = noon().plus_micros(days * 86_400_000_000 + 60_000_000);
            for (filter, offset, size) in &queries {
                let size = PageSize::new(*size).unwrap();
                let query = EventQuery { filter: filter.clone(), size, start: PageStart::Offset(*offset) };
                let expected = twins.oracle.query(&query, now).await.unwrap();
                let found = twins.store.query(&query, now).await.unwrap();
                prop_assert_eq!(ids(&found.events), ids(&expected.events), "{:?}", query);
                prop_assert_eq!(found.total, expected.total, "{:?}", query);
                prop_assert_eq!(found.next, expected.next, "{:?}", query);
                let (expected, totals) = pages(&twins.oracle, filter, size, now).await;
                prop_assert_eq!(pages(&twins.store.events, filter, size, now).await, (expected.clone(), totals), "{:?}", filter);
                // With a bound on what a request examines, there are more pages, and the same events.
                let bounded = twins.store.events.clone().examining(3);
                prop_assert_eq!(pages(&bounded, filter, size, now).await.0, expected, "bounded: {:?}", filter);
            }
            for (filter, _, size) in queries.iter().filter(|(filter, _, _)| filter.status.is_none()).step_by(3) {
                let expected = timeline(&twins.oracle, filter, usize::MAX, now).await;
                prop_assert_eq!(timeline(&twins.store.events, filter, *size, now).await, expected, "in the order of time: {:?}", filter);
            }
            for event in twins.oracle.commits().iter().flat_map(Commit::to_events).step_by(5) {
                let expected = twins.oracle.event(event.id, None).await.unwrap();
                prop_assert_eq!(twins.store.event(event.id, None).await.unwrap(), expected, "by id");
            }
            let scopes = [(None, None), (Some("org-0"), None), (None, Some("user-1")), (Some("org-1"), Some("user-0"))];
            for (organization, user) in scopes {
                let scope = StatisticsScope {
                    organization: organization.map(|name| name.parse().unwrap()),
                    user: user.map(|name| name.parse().unwrap()),
                };
                let expected = twins.oracle.statistics(&scope, now).await.unwrap();
                let found = twins.store.statistics(&scope, now).await.unwrap();
                prop_assert_eq!(comparable(found), comparable(expected), "{:?}", scope);
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
