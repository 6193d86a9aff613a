//! Whatever was kept on the way, and however little a request folds, a projection is what its events and rules say.

use event_service_tests::Store;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use shared::adapters::memory::{MemoryEvents, MemoryProjections};
use shared::domain::access::Caller;
use shared::domain::commit::Commit;
use shared::domain::event::Event;
use shared::domain::projection::{Effect, Projection, Rules};
use shared::domain::timestamp::Timestamp;
use shared::domain::version::Version;
use shared::ports::commit_log::CommitLog;
use shared::ports::definition_store::{DefinitionStore, Freshness};
use shared::ports::projection_store::{ProjectionDefinitionStore, ProjectionStore};
use shared::ports::revision::Revision;
use shared::ports::stream_reader::StreamReader;
use shared::queries::read_projection::{
    EntityState, Moment, ProjectionRequest, ReadProjectionError, ReadProjectionPorts, WithHistory, read_projection, rebuild_projection,
};
use shared::testing::builders::{commit, details, event, noon, projection, stream};

const CASES_IN_MEMORY: u32 = 200;
const CASES_ON_DYNAMODB: u32 = 20;

/// What happens to an order.
#[derive(Debug, Clone)]
enum Turn {
    /// Events are recorded: their types and numbers, and how many seconds by the clock of whoever records them.
    Recorded { events: Vec<(u8, i32)>, seconds: i64 },
    /// The projection gets these rules.
    Defined(u8),
    /// It is read, by a request that folds so many events at most.
    Read { standard: bool, most: usize },
    /// It is folded anew.
    Rebuilt { most: usize },
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let recorded = (prop::collection::vec((0..4_u8, -9..99_i32), 1..6), -20..20_i64);
    let turn = prop_oneof![
        6 => recorded.prop_map(|(events, seconds)| Turn::Recorded { events, seconds }),
        2 => (0..5_u8).prop_map(Turn::Defined),
        5 => (any::<bool>(), 1..12_usize).prop_map(|(standard, most)| Turn::Read { standard, most }),
        1 => (1..12_usize).prop_map(|most| Turn::Rebuilt { most }),
    ];
    prop::collection::vec(turn, 1..40)
}

fn rules(number: u8) -> Value {
    match number {
        0 => json!({"*": [{"count": "n"}]}),
        1 => json!({"order.t*": [{"increment": {"sum": "$data.number"}}], "order.t1": [{"set": {"last": "$stream_version"}}]}),
        2 => json!({"*": [{"append": {"log": "$data.number"}, "keep": 3}], "order.t2": [{"remove": "log"}]}),
        3 => json!({"order.t0": [{"merge": "$data"}], "order.t3": [{"set": {"number.of": "$event_type"}}]}),
        _ => json!({"order.t1": [{"increment": {"sum": "$data.missing"}}], "*": [{"set": {"at": "$timestamp"}}]}),
    }
}

/// The same store, by all of its ports.
struct Ports<'a> {
    log: &'a dyn CommitLog,
    streams: &'a dyn StreamReader,
    definitions: &'a dyn DefinitionStore,
    projections: &'a dyn ProjectionDefinitionStore,
    snapshots: &'a dyn ProjectionStore,
}

/// What the test knows of the order.
#[derive(Default)]
struct Known {
    commits: Vec<Commit>,
    /// The rules of each version of the projection.
    rules: Vec<Value>,
}

impl Known {
    fn events(&self) -> Vec<Event> {
        self.commits.iter().flat_map(Commit::to_events).collect()
    }

    /// The rules of a version; the standard ones for none.
    fn rules(&self, version: Option<u32>) -> Rules {
        version.map_or_else(Rules::standard, |version| parsed(&self.rules[version as usize - 1]))
    }
}

fn parsed(rules: &Value) -> Rules {
    Rules::parse(&shared::domain::json::JsonObject::parse(&rules.to_string()).unwrap()).unwrap()
}

/// The state after these events, and the versions at which it changed.
fn folded(rules: &Rules, events: &[Event]) -> (Projection, Vec<Version>) {
    let mut projection = Projection::default();
    let mut changed = Vec::new();
    for event in events {
        if projection.fold(rules, event) == Effect::Changed {
            changed.push(event.stream_version);
        }
    }
    (projection, changed)
}

fn anybody() -> Caller {
    Caller { name: "test".to_owned(), scopes: Vec::new(), organization: None }
}

fn request(standard: bool, moment: Moment, history: WithHistory) -> ProjectionRequest {
    let name = (!standard).then(|| "summary".parse().unwrap());
    ProjectionRequest { stream: stream("order:1").stream, organization: None, name, moment, history }
}

impl Ports<'_> {
    fn reading(&self, most_events: usize) -> ReadProjectionPorts<'_> {
        ReadProjectionPorts { streams: self.streams, snapshots: self.snapshots, definitions: self.definitions, most_events }
    }

    async fn read(&self, most: usize, request: &ProjectionRequest) -> Result<EntityState, ReadProjectionError> {
        read_projection(&self.reading(most), &anybody(), request).await
    }

    async fn define(&self, known: &mut Known, rules: &Value) {
        let definitions = self.definitions.definitions(Freshness::Current).await.unwrap();
        let definition = match definitions.projections().next() {
            None => projection(&json!({ "rules": rules })),
            Some(standing) => {
                let mut definition = (**standing).clone();
                let changed = definition.redefine(shared::domain::json::JsonObject::parse(&rules.to_string()).unwrap(), noon());
                if !changed {
                    return;
                }
                definition
            }
        };
        known.rules.push(rules.clone());
        assert!(self.projections.save_projection(&definition, Revision(definitions.revision)).await.unwrap());
    }

    /// Plays the turns, and holds every answer to the events.
    async fn play(&self, turns: &[Turn]) -> Result<Known, TestCaseError> {
        let mut known = Known::default();
        for turn in turns {
            match turn {
                Turn::Recorded { events, seconds } => {
                    let first = known.commits.last().map_or(1, |commit| commit.last().get() + 1);
                    let events = events.iter().map(|(kind, number)| {
                        let mut made = event("x");
                        made.details = details(&json!({"type": format!("order.t{kind}"), "data": {"number": number}}));
                        made
                    });
                    let mut recorded = commit("order:1", first, events.collect());
                    recorded.recorded_at = noon().plus_micros((i64::try_from(first).unwrap() * 10 + seconds) * 1_000_000);
                    self.log.put(std::slice::from_ref(&recorded)).await.unwrap();
                    known.commits.push(recorded);
                }
                Turn::Defined(number) => self.define(&mut known, &rules(*number)).await,
                Turn::Read { standard, most } => {
                    let found = self.read(*most, &request(*standard, Moment::Now, WithHistory::No)).await;
                    check(&known, *standard, found)?;
                }
                Turn::Rebuilt { most } => {
                    let name = Some("summary".parse().unwrap());
                    let found = rebuild_projection(&self.reading(*most), &anybody(), stream("order:1").stream, None, name).await;
                    check(&known, false, found)?;
                }
            }
        }
        Ok(known)
    }

    /// Holds the state at every version and at every time to the events.
    async fn look_back(&self, known: &Known) -> Result<(), TestCaseError> {
        let events = known.events();
        for standard in [true, false] {
            let newest = (!standard).then_some(u32::try_from(known.rules.len()).unwrap());
            if newest == Some(0) {
                continue;
            }
            let rules = known.rules(newest);
            for version in 1..=events.len() {
                let asked = request(standard, Moment::AtVersion(Version::new(version as u64)), WithHistory::Yes);
                let found = self.read(10_000, &asked).await.unwrap();
                let (expected, changed) = folded(&rules, &events[..version]);
                prop_assert_eq!(&found.projection, &expected, "at version {}", version);
                let history: Vec<Version> = found.history.unwrap().changes.iter().map(|change| change.version).collect();
                prop_assert_eq!(history, changed);
                let plain = self.read(10_000, &ProjectionRequest { history: WithHistory::No, ..asked }).await.unwrap();
                prop_assert_eq!(&plain.projection, &expected);
            }
            for commit in &known.commits {
                for time in [commit.recorded_at, commit.recorded_at.plus_micros(-1)] {
                    let reached = events.iter().take_while(|event| event.recorded_at <= time).count();
                    let found = self.read(10_000, &request(standard, Moment::AtTime(time), WithHistory::No)).await;
                    match found {
                        Ok(found) => prop_assert_eq!(found.projection, folded(&rules, &events[..reached]).0, "at {}", time),
                        Err(ReadProjectionError::NotThen) => prop_assert_eq!(reached, 0),
                        Err(error) => prop_assert!(false, "{error}"),
                    }
                }
            }
            let beyond = self.read(10_000, &request(standard, Moment::AtVersion(Version::new(1000)), WithHistory::No)).await;
            let is_told = match beyond {
                Err(ReadProjectionError::NotYet { version }) => version.get() == events.len() as u64,
                Err(ReadProjectionError::NotFound) => events.is_empty(),
                Ok(_) | Err(_) => false,
            };
            prop_assert!(is_told);
        }
        Ok(())
    }

    /// A projection that takes several requests is built by asking for it often enough.
    async fn ask_until_it_is_built(&self, known: &Known) -> Result<(), TestCaseError> {
        if known.rules.is_empty() || known.commits.is_empty() {
            return Ok(());
        }
        let newest = u32::try_from(known.rules.len()).unwrap();
        for _ in 0..=known.events().len() {
            let found = self.read(1, &request(false, Moment::Now, WithHistory::No)).await;
            if found.as_ref().is_ok_and(|found| found.key.rules.version == newest) {
                return check(known, false, found);
            }
        }
        prop_assert!(false, "it is never built");
        Ok(())
    }
}

/// What a read as of now comes to: the state by the rules that it names, of all events; or that
/// there is none yet.
fn check(known: &Known, standard: bool, found: Result<EntityState, ReadProjectionError>) -> Result<(), TestCaseError> {
    let events = known.events();
    match found {
        Ok(found) => {
            let by = (!standard).then_some(found.key.rules.version);
            prop_assert_eq!(found.projection.progress().version.get(), events.len() as u64);
            prop_assert_eq!(found.projection.progress().last_event_id, events.last().map(|event| event.id));
            prop_assert_eq!(found.projection, folded(&known.rules(by), &events).0);
            prop_assert!(by.is_none_or(|by| by as usize + 1 >= known.rules.len()), "not older than the rules before the newest");
        }
        Err(ReadProjectionError::NotFound) => prop_assert!(events.is_empty() || (!standard && known.rules.is_empty())),
        Err(ReadProjectionError::Building { version }) => prop_assert!(version.get() < events.len() as u64),
        Err(error) => prop_assert!(false, "{error}"),
    }
    Ok(())
}

fn run(cases: u32, mut play: impl AsyncFnMut(&[Turn]) -> Result<(), TestCaseError>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let play = std::cell::RefCell::new(&mut play);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 300, ..Config::default() });
    let checked = runner.run(&turns(), |turns| runtime.block_on((*play.borrow_mut())(&turns)));
    if let Err(error) = checked {
        panic!("{error}");
    }
}

/// BR-PRJ-001. BR-PRJ-002. BR-PRJ-003.
#[test]
fn in_memory_a_projection_is_what_its_events_and_rules_say() {
    run(CASES_IN_MEMORY, async |turns| {
        let (events, snapshots) = (MemoryEvents::default(), MemoryProjections::default());
        let ports = Ports { log: &events, streams: &events, definitions: &events, projections: &events, snapshots: &snapshots };
        let known = ports.play(turns).await?;
        ports.look_back(&known).await?;
        ports.ask_until_it_is_built(&known).await
    });
}

/// BR-PRJ-001. BR-PRJ-002. BR-PRJ-003.
#[test]
fn on_dynamodb_a_projection_is_what_its_events_and_rules_say() {
    run(CASES_ON_DYNAMODB, async |turns| {
        let store = Store::open().await;
        let events = &store.events;
        let ports = Ports { log: events, streams: events, definitions: events, projections: events, snapshots: events };
        let known = ports.play(turns).await?;
        ports.look_back(&known).await?;
        ports.ask_until_it_is_built(&known).await
    });
}

/// Blue and green: while new rules have not come to the end of a long stream, those before them answer, always with all events.
#[tokio::test]
async fn new_rules_answer_for_a_long_stream_once_they_have_come_to_its_end() {
    let (events, snapshots) = (MemoryEvents::default(), MemoryProjections::default());
    let ports = Ports { log: &events, streams: &events, definitions: &events, projections: &events, snapshots: &snapshots };
    let mut known = Known::default();
    ports.define(&mut known, &rules(0)).await;
    let recorded: Vec<Commit> = (1..=50).map(|first| commit("order:1", first, vec![event("order.t1")])).collect();
    for commit in &recorded {
        events.put(std::slice::from_ref(commit)).await.unwrap();
    }
    known.commits = recorded;
    let now = request(false, Moment::Now, WithHistory::No);
    // Built in five requests.
    for version in [10, 20, 30, 40] {
        let error = ports.read(10, &now).await.unwrap_err();
        assert!(matches!(error, ReadProjectionError::Building { version: reached } if reached == Version::new(version)), "{error}");
    }
    assert_eq!(ports.read(10, &now).await.unwrap().key.rules.version, 1);
    ports.define(&mut known, &rules(4)).await;
    for _ in 0..4 {
        let found = ports.read(10, &now).await;
        assert_eq!(found.as_ref().unwrap().key.rules.version, 1, "the rules before");
        check(&known, false, found).unwrap();
    }
    let found = ports.read(10, &now).await;
    assert_eq!(found.as_ref().unwrap().key.rules.version, 2);
    check(&known, false, found).unwrap();
    // A rebuild does at once what takes four requests. Beyond that, reading goes on with it.
    let rebuild = async |most: usize| {
        let name = "summary".parse().ok();
        rebuild_projection(&ports.reading(most), &anybody(), stream("order:1").stream, None, name).await
    };
    for most in [13, 12] {
        let answer = rebuild(most).await;
        assert_eq!(answer.is_ok_and(|state| state.key.rules.version == 2), most == 13, "the rules before answer meanwhile");
        let found = ports.read(10, &now).await;
        assert_eq!(found.as_ref().unwrap().key.rules.version, 2, "and is the state again");
        check(&known, false, found).unwrap();
    }
    // What is asked of the past cannot wait.
    let past = request(false, Moment::AtTime(Timestamp::MIN.plus_micros(1)), WithHistory::No);
    assert!(matches!(ports.read(10, &past).await, Err(ReadProjectionError::NotThen)));
    let past = request(false, Moment::AtVersion(Version::new(35)), WithHistory::No);
    assert!(matches!(ports.read(10, &past).await, Err(ReadProjectionError::TooFar { most: 10 })));
}
