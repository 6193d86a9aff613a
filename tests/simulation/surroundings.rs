//! All ports in memory, which remember all that happened, and fail now and then: what they have in common.
//!
//! Every call waits once before it takes effect and once after: so whoever polls decides who goes on, and dropping a future in
//! between is a process that was killed there.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher as _};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use event_service_tests::StoppedClock;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use shared::adapters::embedded_queues::{EmbeddedQueues, QueuesLocation};
use shared::adapters::memory::{
    MemoryBroker, MemoryBus, MemoryCounters, MemoryDeadLetters, MemoryDeliveries, MemoryEvents, MemoryProjections, MemoryRejectedEvents,
};
use shared::domain::bridge::{BridgeMessage, IngestFeed};
use shared::domain::commit::Commit;
use shared::domain::counters::{Change, ChangeKind, SequenceNumber};
use shared::domain::dead_letter::DeadLetter;
use shared::domain::definitions::Definitions;
use shared::domain::happening::{Happening, NoticedHappening};
use shared::domain::outcome::Outcome;
use shared::domain::timestamp::Timestamp;
use shared::ports::clock::Clock as _;
use shared::ports::store_error::StoreError;

/// What is taken out of the ports, to see that the checks notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    Nothing,
    /// Lanes say that one event more was sent than was.
    LanesAhead,
    /// Some requests are answered at once, and reach their receiver only after the next one.
    Overtaking,
    /// Outcomes are saved whoever has saved them since.
    UnseenOutcomes,
    /// Every twentieth message is lost.
    LostMessages,
    /// Definitions are those of the first who asked.
    OldDefinitions,
    /// Subscriptions are of no organization.
    Leaks,
    /// A record of the table's stream that comes again counts again.
    CountedTwice,
    /// Whoever reads a stream misses the last commit of a page.
    ForgottenPage,
    /// Messages of others count as settled as soon as they were taken.
    SettledEarly,
    /// Some messages reach the broker only after the next one.
    LateMessages,
    /// What waits because the store did not take it is dropped.
    NothingHeld,
}

/// A point in the order of all effects.
pub(super) type Moment = u64;

/// A request, as its receiver got it.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// When it came.
    pub(super) moment: Moment,
    /// When the call of the function that sent it began.
    pub(super) began: Moment,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    pub(super) taken: bool,
}

impl Request {
    pub(super) fn header(&self, wanted: &str) -> &str {
        self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map_or("", |(_, value)| value)
    }
}

/// All that happened.
#[derive(Default)]
pub(super) struct History {
    pub(super) definitions: Vec<(Moment, Arc<Definitions>)>,
    pub(super) commits: Vec<(Moment, Commit)>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) parked: Vec<(Moment, DeadLetter)>,
    pub(super) requests: Vec<Request>,
    /// What others have sent by way of the broker, and when.
    pub(super) sent: Vec<(Timestamp, String)>,
    shards: [Vec<Record>; SHARDS],
}

/// A record of the table's stream.
struct Record {
    sequence: SequenceNumber,
    happening: Happening,
    change: Option<ChangeKind>,
}

/// How many shards the table's stream has.
pub(super) const SHARDS: usize = 3;

/// How things stand outside.
pub(super) struct Weather {
    pub(super) dice: StdRng,
    /// Whether anything fails that need not.
    pub(super) storm: bool,
    pub(super) bus_is_away: bool,
    pub(super) broker_is_away: bool,
    /// Receivers that are away.
    pub(super) away: BTreeSet<String>,
    /// How many messages were sent.
    pub(super) messages: u64,
    /// A request that was overtaken.
    pub(super) overtaken: Option<Request>,
    /// A message to the broker that was overtaken.
    pub(super) late: Option<BridgeMessage>,
}

/// All that a service stands on.
pub(super) struct Surroundings {
    pub(super) clock: Arc<StoppedClock>,
    pub(super) events: MemoryEvents,
    pub(super) deliveries: MemoryDeliveries,
    pub(super) letters: MemoryDeadLetters,
    pub(super) counters: MemoryCounters,
    pub(super) queues: EmbeddedQueues,
    pub(super) rejected: MemoryRejectedEvents,
    pub(super) snapshots: MemoryProjections,
    pub(super) bus: MemoryBus,
    pub(super) broker: MemoryBroker,
    history: Mutex<History>,
    pub(super) weather: Mutex<Weather>,
    moment: AtomicU64,
    /// When the call that is polled now began.
    pub(super) began: AtomicU64,
    pub(super) flaw: Flaw,
}

/// What is taken in from others.
pub(super) fn feed() -> IngestFeed {
    IngestFeed { stream: "EVENTS_INGEST".to_owned(), subject: "events.ingest.>".parse().unwrap() }
}

/// Waits once.
pub(super) struct Pause(pub(super) bool);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Surroundings {
    pub(super) fn new(clock: Arc<StoppedClock>, seed: u64, flaw: Flaw) -> Self {
        let dice = StdRng::seed_from_u64(seed ^ 0x5708_4d00);
        let weather = Weather {
            dice,
            storm: false,
            bus_is_away: false,
            broker_is_away: false,
            away: BTreeSet::new(),
            messages: 0,
            overtaken: None,
            late: None,
        };
        Self {
            queues: EmbeddedQueues::open(QueuesLocation::Memory, clock.clone()).unwrap(),
            clock,
            events: MemoryEvents::default(),
            deliveries: MemoryDeliveries::default(),
            letters: MemoryDeadLetters::default(),
            counters: MemoryCounters::default(),
            rejected: MemoryRejectedEvents::default(),
            snapshots: MemoryProjections::default(),
            bus: MemoryBus::default(),
            broker: MemoryBroker::with_feeds(vec![feed()]),
            history: Mutex::default(),
            weather: Mutex::new(weather),
            moment: AtomicU64::new(1),
            began: AtomicU64::new(0),
            flaw,
        }
    }

    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap()
    }

    /// The moment now.
    pub(super) fn now(&self) -> Moment {
        self.moment.load(Ordering::Relaxed)
    }

    /// The moment of an effect.
    pub(super) fn next(&self) -> Moment {
        self.moment.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Says when the call began that is polled from now on.
    pub(super) fn goes_on(&self, began: Moment) {
        self.began.store(began, Ordering::Relaxed);
    }

    pub(super) fn storm(&self, storm: bool) {
        let mut weather = self.weather.lock().unwrap();
        weather.storm = storm;
        if !storm {
            weather.bus_is_away = false;
            weather.broker_is_away = false;
            weather.away.clear();
        }
    }

    pub(super) fn bus_goes(&self, away: bool) {
        self.weather.lock().unwrap().bus_is_away = away;
    }

    pub(super) fn broker_goes(&self, away: bool) {
        self.weather.lock().unwrap().broker_is_away = away;
    }

    /// Another service sends a message, whatever it says.
    pub(super) fn other_sends(&self, body: &str) {
        self.history().sent.push((self.clock.now(), body.to_owned()));
        self.broker.send(&feed(), "events.ingest.order", None, body.as_bytes());
    }

    pub(super) fn receiver_goes(&self, url: &str, away: bool) {
        let mut weather = self.weather.lock().unwrap();
        if away {
            weather.away.insert(url.to_owned());
        } else {
            weather.away.remove(url);
        }
    }

    pub(super) fn roll(&self, of_ten_thousand: u32) -> bool {
        let mut weather = self.weather.lock().unwrap();
        weather.storm && weather.dice.random_range(0..10_000) < of_ten_thousand
    }

    /// A call to the store: it waits, may fail before it takes effect or after, and takes effect in one step.
    pub(super) async fn call<T>(&self, effect: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        const FAILS: u32 = 15;
        let failed = || Err(StoreError::Unavailable("the store had a bad moment".into()));
        Pause(false).await;
        if self.roll(FAILS) {
            return failed();
        }
        let done = effect.await;
        Pause(false).await;
        if self.roll(FAILS) { failed() } else { done }
    }

    pub(super) fn record(&self, shard: usize, happening: Happening, change: Option<ChangeKind>) {
        let sequence = SequenceNumber(self.next().to_string());
        self.history().shards[shard].push(Record { sequence, happening, change });
    }

    /// Records of a shard for whoever is told of happenings, and the place after them.
    pub(super) fn noticed(&self, shard: usize, from: usize, most: usize) -> (Vec<NoticedHappening>, usize) {
        let history = self.history();
        let records: Vec<&Record> = history.shards[shard].iter().skip(from).take(most).collect();
        let end = from + records.len();
        let noticed = |record: &&Record| NoticedHappening { sequence: record.sequence.clone(), happening: record.happening.clone() };
        (records.iter().map(noticed).collect(), end)
    }

    /// Records of a shard for whoever counts, and the place after them.
    pub(super) fn changes(&self, shard: usize, from: usize, most: usize) -> (Vec<Change>, usize) {
        let history = self.history();
        let records: Vec<&Record> = history.shards[shard].iter().skip(from).take(most).collect();
        let end = from + records.len();
        let sequence = |record: &Record| {
            if self.flaw == Flaw::CountedTwice { SequenceNumber(self.next().to_string()) } else { record.sequence.clone() }
        };
        let change = |record: &&Record| Some(Change { sequence: sequence(record), kind: record.change.clone()? });
        (records.iter().filter_map(change).collect(), end)
    }

    /// Notes commits that were stored.
    pub(super) fn committed(&self, commits: &[Commit]) {
        for commit in commits {
            let moment = self.next();
            self.history().commits.push((moment, commit.clone()));
            let change = ChangeKind::Committed { commit: Box::new(commit.clone()), list: None, settled: 0 };
            self.record(shard_of(&commit.stream), Happening::Committed(Box::new(commit.clone())), Some(change));
        }
    }

    /// Notes the definitions as they are now.
    pub(super) fn defined(&self, definitions: Arc<Definitions>) {
        let moment = self.next();
        self.history().definitions.push((moment, definitions));
    }
}

pub(super) fn shard_of(what: impl std::hash::Hash) -> usize {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    usize::try_from(hasher.finish() % SHARDS as u64).unwrap()
}
