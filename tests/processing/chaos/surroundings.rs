//! All ports in memory, which remember all that happened, and fail now and then.
//!
//! Every call waits once before it takes effect and once after: so whoever polls decides who goes on, and dropping a future in
//! between is a process that was killed there.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher as _};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use event_service_tests::StoppedClock;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use shared::adapters::embedded_queues::{EmbeddedQueues, QueuesLocation};
use shared::adapters::memory::{MemoryBus, MemoryCounters, MemoryDeadLetters, MemoryDeliveries, MemoryEvents};
use shared::domain::claim::{Claim, ClaimKey, Fence, Slot};
use shared::domain::commit::Commit;
use shared::domain::counters::{Change, ChangeKind, CounterKey, CounterScope, ProcessorTallies, SequenceNumber, Tally, UserRanking};
use shared::domain::dead_letter::{DeadLetter, DeadLetterFilter, DeadLetterId};
use shared::domain::definitions::Definitions;
use shared::domain::delivery::{Delivery, DeliveryId, Lane};
use shared::domain::event_id::EventId;
use shared::domain::happening::{Happening, NoticedHappening};
use shared::domain::identifiers::{OrganizationId, SubscriptionId};
use shared::domain::outcome::Outcome;
use shared::domain::processor::Processor;
use shared::domain::query::{EventPage, EventQuery, ObservedEvent};
use shared::domain::queue::{Outgoing, Queue};
use shared::domain::statistics::{Statistics, StatisticsScope};
use shared::domain::stream_id::StreamKey;
use shared::domain::subscription::{Health, Subscription};
use shared::domain::timestamp::Timestamp;
use shared::domain::version::Version;
use shared::domain::webhook_url::WebhookUrl;
use shared::domain::work::StreamRef;
use shared::ports::clock::Clock as _;
use shared::ports::commit_log::{CommitLog, Put, PutNoting, TogetherWith};
use shared::ports::counter_store::CounterStore;
use shared::ports::dead_letters::DeadLetters;
use shared::ports::definition_store::{DefinitionStore, Freshness};
use shared::ports::delivery_log::{DeliveriesRequest, DeliveryLog, DeliveryPage};
use shared::ports::event_bus::{BusEntry, BusError, EventBus};
use shared::ports::event_reader::{EventReader, StreamRequest, StreamSlice};
use shared::ports::outcome_log::{ConcludedCommit, OutcomeLog};
use shared::ports::queue::{QueueError, QueueSender};
use shared::ports::revision::Revision;
use shared::ports::store_error::StoreError;
use shared::ports::webhook_sender::{SendError, WebhookAnswer, WebhookRequest, WebhookSender};

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
struct Weather {
    dice: StdRng,
    /// Whether anything fails that need not.
    storm: bool,
    bus_is_away: bool,
    /// Receivers that are away.
    away: BTreeSet<String>,
    /// How many messages were sent.
    messages: u64,
    /// A request that was overtaken.
    overtaken: Option<Request>,
}

/// All that a service stands on.
pub(super) struct Surroundings {
    pub(super) clock: Arc<StoppedClock>,
    pub(super) events: MemoryEvents,
    pub(super) deliveries: MemoryDeliveries,
    pub(super) letters: MemoryDeadLetters,
    pub(super) counters: MemoryCounters,
    pub(super) queues: EmbeddedQueues,
    pub(super) bus: MemoryBus,
    history: Mutex<History>,
    weather: Mutex<Weather>,
    moment: AtomicU64,
    /// When the call that is polled now began.
    began: AtomicU64,
    flaw: Flaw,
}

/// Waits once.
struct Pause(bool);

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
        let weather = Weather { dice, storm: false, bus_is_away: false, away: BTreeSet::new(), messages: 0, overtaken: None };
        Self {
            queues: EmbeddedQueues::open(QueuesLocation::Memory, clock.clone()).unwrap(),
            clock,
            events: MemoryEvents::default(),
            deliveries: MemoryDeliveries::default(),
            letters: MemoryDeadLetters::default(),
            counters: MemoryCounters::default(),
            bus: MemoryBus::default(),
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
    fn next(&self) -> Moment {
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
            weather.away.clear();
        }
    }

    pub(super) fn bus_goes(&self, away: bool) {
        self.weather.lock().unwrap().bus_is_away = away;
    }

    pub(super) fn receiver_goes(&self, url: &str, away: bool) {
        let mut weather = self.weather.lock().unwrap();
        if away {
            weather.away.insert(url.to_owned());
        } else {
            weather.away.remove(url);
        }
    }

    fn roll(&self, of_ten_thousand: u32) -> bool {
        let mut weather = self.weather.lock().unwrap();
        weather.storm && weather.dice.random_range(0..10_000) < of_ten_thousand
    }

    /// A call to the store: it waits, may fail before it takes effect or after, and takes effect in one step.
    async fn call<T>(&self, effect: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
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

    fn record(&self, shard: usize, happening: Happening, change: Option<ChangeKind>) {
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
        let change = |record: &&Record| Some(Change { sequence: record.sequence.clone(), kind: record.change.clone()? });
        (records.iter().filter_map(change).collect(), end)
    }

    /// Notes commits that were stored.
    fn committed(&self, commits: &[Commit]) {
        for commit in commits {
            let moment = self.next();
            self.history().commits.push((moment, commit.clone()));
            let change = ChangeKind::Committed { commit: Box::new(commit.clone()), list: None, settled: 0 };
            self.record(shard_of(&commit.stream), Happening::Committed(Box::new(commit.clone())), Some(change));
        }
    }

    /// Notes the definitions as they are now.
    fn defined(&self, definitions: Arc<Definitions>) {
        let moment = self.next();
        self.history().definitions.push((moment, definitions));
    }
}

fn shard_of(what: impl std::hash::Hash) -> usize {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    usize::try_from(hasher.finish() % SHARDS as u64).unwrap()
}

#[async_trait]
impl CommitLog for Surroundings {
    async fn head(&self, stream: &StreamKey) -> Result<Version, StoreError> {
        self.call(self.events.head(stream)).await
    }

    async fn commit_at(&self, slot: &Slot) -> Result<Option<Commit>, StoreError> {
        self.call(self.events.commit_at(slot)).await
    }

    async fn commit_holding(&self, stream: &StreamKey, version: Version) -> Result<Option<Commit>, StoreError> {
        self.call(self.events.commit_holding(stream, version)).await
    }

    async fn is_placed(&self, id: EventId, organization: Option<&OrganizationId>) -> Result<bool, StoreError> {
        self.call(self.events.is_placed(id, organization)).await
    }

    async fn put(&self, commits: &[Commit]) -> Result<Put, StoreError> {
        self.call(async {
            let put = self.events.put(commits).await?;
            if put == Put::Stored {
                self.committed(commits);
            }
            Ok(put)
        })
        .await
    }

    async fn put_noting(&self, commits: &[Commit], together: &TogetherWith) -> Result<PutNoting, StoreError> {
        self.call(async {
            let put = self.events.put_noting(commits, together).await?;
            if put == PutNoting::Stored {
                self.committed(commits);
            }
            Ok(put)
        })
        .await
    }

    async fn claim(&self, key: &ClaimKey) -> Result<Option<Claim>, StoreError> {
        self.call(self.events.claim(key)).await
    }

    async fn put_claim(&self, key: &ClaimKey, claim: &Claim) -> Result<Option<Claim>, StoreError> {
        self.call(self.events.put_claim(key, claim)).await
    }

    async fn move_claim(&self, key: &ClaimKey, from: Fence, claim: &Claim) -> Result<bool, StoreError> {
        self.call(self.events.move_claim(key, from, claim)).await
    }
}

#[async_trait]
impl OutcomeLog for Surroundings {
    async fn outcome(&self, commit: EventId) -> Result<(Option<Outcome>, Revision), StoreError> {
        self.call(self.events.outcome(commit)).await
    }

    async fn save_outcome(&self, of: &ConcludedCommit, outcome: &Outcome, seen: Revision) -> Result<bool, StoreError> {
        self.call(async {
            let (before, standing) = self.events.outcome(outcome.commit).await?;
            let seen = if self.flaw == Flaw::UnseenOutcomes { standing } else { seen };
            let saved = self.events.save_outcome(of, outcome, seen).await?;
            if saved {
                self.history().outcomes.push(outcome.clone());
                let change =
                    ChangeKind::Concluded { organization: of.stream.organization.clone(), before: before.clone(), after: outcome.clone() };
                let commit = Slot { stream: of.stream.clone(), first: of.first };
                self.record(shard_of(outcome.commit), Happening::Concluded { commit, before, after: outcome.clone() }, Some(change));
            }
            Ok(saved)
        })
        .await
    }
}

/// As the table's stream shows it.
fn open(subscription: &Subscription) -> Box<Subscription> {
    Box::new(Subscription { secrets: Vec::new(), ..subscription.clone() })
}

#[async_trait]
impl DefinitionStore for Surroundings {
    async fn definitions(&self, freshness: Freshness) -> Result<Arc<Definitions>, StoreError> {
        let old = self.history().definitions.first().map(|(_, definitions)| Arc::clone(definitions));
        match old.filter(|_| self.flaw == Flaw::OldDefinitions && self.weather.lock().unwrap().storm) {
            // Whoever changes them sees them as they are.
            Some(old) if self.began.load(Ordering::Relaxed) > 0 => Ok(old),
            Some(_) | None => self.call(self.events.definitions(freshness)).await,
        }
    }

    async fn save_processor(&self, processor: &Processor, seen: Revision) -> Result<bool, StoreError> {
        self.call(async {
            let saved = self.events.save_processor(processor, seen).await?;
            if saved {
                self.defined(self.events.definitions(Freshness::Current).await?);
            }
            Ok(saved)
        })
        .await
    }

    async fn save_subscription(&self, subscription: &Subscription, seen: Revision) -> Result<bool, StoreError> {
        self.call(async {
            let before = self.events.definitions(Freshness::Current).await?.subscription(&subscription.id).cloned();
            let saved = self.events.save_subscription(subscription, seen).await?;
            if saved {
                self.defined(self.events.definitions(Freshness::Current).await?);
                let after = open(subscription);
                let happening = match before {
                    None => Happening::Subscribed(after),
                    Some(before) => Happening::SubscriptionChanged { before: open(&before), after },
                };
                self.record(shard_of(&subscription.id), happening, None);
            }
            Ok(saved)
        })
        .await
    }

    async fn remove_subscription(&self, id: &SubscriptionId, seen: Revision) -> Result<bool, StoreError> {
        self.call(async {
            let removed = self.events.remove_subscription(id, seen).await?;
            if removed {
                self.defined(self.events.definitions(Freshness::Current).await?);
            }
            Ok(removed)
        })
        .await
    }
}

#[async_trait]
impl EventReader for Surroundings {
    async fn event(&self, id: EventId, organization: Option<&OrganizationId>) -> Result<Option<ObservedEvent>, StoreError> {
        self.call(self.events.event(id, organization)).await
    }

    async fn stream(&self, request: &StreamRequest) -> Result<StreamSlice, StoreError> {
        self.call(self.events.stream(request)).await
    }

    async fn query(&self, query: &EventQuery, now: Timestamp) -> Result<EventPage, StoreError> {
        self.call(self.events.query(query, now)).await
    }

    async fn statistics(&self, scope: &StatisticsScope, now: Timestamp) -> Result<Statistics, StoreError> {
        self.call(self.events.statistics(scope, now)).await
    }
}

#[async_trait]
impl DeliveryLog for Surroundings {
    async fn delivery(&self, subscription: &SubscriptionId, id: &DeliveryId) -> Result<(Option<Delivery>, Revision), StoreError> {
        self.call(self.deliveries.delivery(subscription, id)).await
    }

    async fn save_delivery(&self, delivery: &Delivery, seen: Revision) -> Result<bool, StoreError> {
        self.call(self.deliveries.save_delivery(delivery, seen)).await
    }

    async fn deliveries(&self, request: &DeliveriesRequest) -> Result<DeliveryPage, StoreError> {
        self.call(self.deliveries.deliveries(request)).await
    }

    async fn due_deliveries(&self, now: Timestamp, most: usize) -> Result<Vec<(Delivery, Revision)>, StoreError> {
        self.call(self.deliveries.due_deliveries(now, most)).await
    }

    async fn health(&self, subscription: &SubscriptionId) -> Result<(Health, Revision), StoreError> {
        self.call(self.deliveries.health(subscription)).await
    }

    async fn save_health(&self, subscription: &SubscriptionId, health: &Health, seen: Revision) -> Result<bool, StoreError> {
        self.call(self.deliveries.save_health(subscription, health, seen)).await
    }

    async fn lane(&self, subscription: &SubscriptionId, stream: &StreamRef) -> Result<(Option<Lane>, Revision), StoreError> {
        self.call(self.deliveries.lane(subscription, stream)).await
    }

    async fn save_lane(&self, subscription: &SubscriptionId, stream: &StreamRef, lane: &Lane, seen: Revision) -> Result<bool, StoreError> {
        let ahead = Lane { sent: lane.sent.next(), ..*lane };
        let lane = if self.flaw == Flaw::LanesAhead { &ahead } else { lane };
        self.call(self.deliveries.save_lane(subscription, stream, lane, seen)).await
    }

    async fn take_quota(&self, subscription: &SubscriptionId, now: Timestamp, wanted: u32, limit: u32) -> Result<u32, StoreError> {
        self.call(self.deliveries.take_quota(subscription, now, wanted, limit)).await
    }
}

#[async_trait]
impl DeadLetters for Surroundings {
    async fn park(&self, letter: &DeadLetter) -> Result<(), StoreError> {
        self.call(async {
            self.letters.park(letter).await?;
            let moment = self.next();
            self.history().parked.push((moment, letter.clone()));
            Ok(())
        })
        .await
    }

    async fn letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<&DeadLetterId>,
        most: usize,
    ) -> Result<(Vec<DeadLetter>, Option<DeadLetterId>), StoreError> {
        self.call(self.letters.letters(filter, after, most)).await
    }

    async fn remove_letter(&self, id: &DeadLetterId) -> Result<(), StoreError> {
        self.call(self.letters.remove_letter(id)).await
    }
}

#[async_trait]
impl CounterStore for Surroundings {
    async fn tally(&self, key: &CounterKey) -> Result<(Tally, Revision), StoreError> {
        self.call(self.counters.tally(key)).await
    }

    async fn save_tally(&self, key: &CounterKey, tally: &Tally, revision: Revision) -> Result<bool, StoreError> {
        self.call(self.counters.save_tally(key, tally, revision)).await
    }

    async fn ranking(&self, scope: &CounterScope) -> Result<(UserRanking, Revision), StoreError> {
        self.call(self.counters.ranking(scope)).await
    }

    async fn save_ranking(&self, scope: &CounterScope, ranking: &UserRanking, revision: Revision) -> Result<bool, StoreError> {
        self.call(self.counters.save_ranking(scope, ranking, revision)).await
    }

    async fn processor_tallies(&self) -> Result<(ProcessorTallies, Revision), StoreError> {
        self.call(self.counters.processor_tallies()).await
    }

    async fn save_processor_tallies(&self, tallies: &ProcessorTallies, revision: Revision) -> Result<bool, StoreError> {
        self.call(self.counters.save_processor_tallies(tallies, revision)).await
    }
}

#[async_trait]
impl QueueSender for Surroundings {
    async fn send(&self, queue: &Queue, messages: &[Outgoing]) -> Result<(), QueueError> {
        const FAILS: u32 = 150;
        let failed = || Err(QueueError::Unavailable { queue: queue.to_string(), source: "the queue had a bad moment".into() });
        Pause(false).await;
        if self.roll(FAILS) {
            return failed();
        }
        let kept: Vec<Outgoing> = messages.iter().filter(|_| !self.loses()).cloned().collect();
        self.queues.send(queue, &kept).await?;
        Pause(false).await;
        if self.roll(FAILS) { failed() } else { Ok(()) }
    }
}

impl Surroundings {
    fn loses(&self) -> bool {
        let mut weather = self.weather.lock().unwrap();
        weather.messages += 1;
        self.flaw == Flaw::LostMessages && weather.messages.is_multiple_of(20)
    }
}

#[async_trait]
impl EventBus for Surroundings {
    async fn put(&self, entries: &[BusEntry]) -> Result<(), BusError> {
        const FAILS: u32 = 100;
        let failed = || Err(BusError { failed: (0..entries.len()).collect(), reason: "the bus is away".to_owned() });
        Pause(false).await;
        if self.weather.lock().unwrap().bus_is_away || self.roll(FAILS) {
            return failed();
        }
        self.bus.put(entries).await?;
        Pause(false).await;
        if self.roll(FAILS) { failed() } else { Ok(()) }
    }
}

/// What a receiver does with a request.
#[derive(Debug, Clone, Copy)]
enum Reaction {
    Answer(u16),
    AskForRest(u64),
    Hang,
    TakeAndHang,
    Refuse,
    Garbage,
}

impl Weather {
    fn reaction(&mut self, url: &str) -> Reaction {
        if !self.storm {
            return Reaction::Answer(if is_dead(url) { 503 } else { 200 });
        }
        if self.away.contains(url) || is_dead(url) {
            return [Reaction::Answer(503), Reaction::Hang, Reaction::Refuse][self.dice.random_range(0..3_usize)];
        }
        match self.dice.random_range(0..200) {
            ..130 => Reaction::Answer(200),
            130..150 => Reaction::Answer(500),
            150..155 => Reaction::Answer(408),
            155..165 => Reaction::AskForRest(self.dice.random_range(1..2_000)),
            165..175 => Reaction::Hang,
            175..185 => Reaction::TakeAndHang,
            185..191 => Reaction::Refuse,
            191..196 => Reaction::Garbage,
            196..199 => Reaction::Answer(422),
            _ => Reaction::Answer(410),
        }
    }
}

/// Whether the receiver at this address never comes back.
pub(super) fn is_dead(url: &str) -> bool {
    url.contains("dead")
}

impl Surroundings {
    /// A request reaches its receiver.
    fn arrive(&self, request: Request) {
        let overtaken = {
            let mut weather = self.weather.lock().unwrap();
            if self.flaw == Flaw::Overtaking && request.taken && weather.overtaken.is_none() && weather.dice.random_bool(0.2) {
                weather.overtaken = Some(request);
                return;
            }
            weather.overtaken.take()
        };
        let late = overtaken.map(|overtaken| Request { moment: self.next(), ..overtaken });
        self.history().requests.extend([Some(request), late].into_iter().flatten());
    }
}

#[async_trait]
impl WebhookSender for Surroundings {
    async fn vet(&self, _url: &WebhookUrl) -> Result<(), SendError> {
        Ok(())
    }

    async fn send(&self, request: &WebhookRequest) -> Result<WebhookAnswer, SendError> {
        Pause(false).await;
        let url = request.url.as_str().to_owned();
        let (reaction, waited) = {
            let mut weather = self.weather.lock().unwrap();
            let reaction = weather.reaction(&url);
            let hangs = matches!(reaction, Reaction::Hang | Reaction::TakeAndHang);
            (reaction, hangs.then(|| Duration::from_secs(weather.dice.random_range(0..=request.timeout.as_secs()))))
        };
        let taken = matches!(reaction, Reaction::Answer(200..300) | Reaction::TakeAndHang);
        let (moment, began) = (self.next(), self.began.load(Ordering::Relaxed));
        let (headers, body) = (request.headers.clone(), request.body.clone());
        self.arrive(Request { moment, began, url, headers, body, taken });
        if let Some(waited) = waited {
            self.clock.set(self.clock.now().plus(waited));
        }
        Pause(false).await;
        let answer = |status: u16, retry_after: Option<Duration>| {
            Ok(WebhookAnswer { status, body: "whatever".to_owned(), retry_after, took: Duration::from_millis(5) })
        };
        match reaction {
            Reaction::Answer(status) => answer(status, None),
            Reaction::AskForRest(seconds) => answer(429, Some(Duration::from_secs(seconds))),
            Reaction::Hang | Reaction::TakeAndHang => Err(SendError::Timeout(request.timeout)),
            Reaction::Refuse => Err(SendError::Connection("nobody listens".into())),
            Reaction::Garbage => Err(SendError::Connection("what came is not HTTP".into())),
        }
    }
}
