//! A store of one size, and the service on it.

use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use chrono::{DateTime, TimeDelta, Utc};
use hyper::body::Bytes;
use local::app::App;
use local::background::Background;
use local::server;
use local::tail::Tail;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use shared::adapters::aws::Connection;
use shared::adapters::dynamodb::{DynamoEvents, Meter, TimeShards, Usage, connect, connect_metered, table};
use shared::adapters::embedded::{DataLocation, EmbeddedDynamo};
use shared::adapters::embedded_queues::{EmbeddedQueues, QueuesLocation};
use shared::adapters::memory::{MemoryBus, MemoryEvents, MemoryObjects};
use shared::commands::append::{AppendPorts, AppendRequest, Appended, KnownHeads, append};
use shared::commands::archive_events::{ArchiveEventsPorts, ArchiveReach, ArchiveRun, Archived, archive_events};
use shared::domain::access::ApiKeySecret;
use shared::domain::queue::WorkQueue;
use shared::domain::timestamp::Timestamp;
use shared::domain::webhook_url::WebhookUrl;
use shared::http::draft;
use shared::ports::clock::Clock;
use shared::ports::commit_log::CommitLog;
use shared::ports::counter_store::CounterStore;
use shared::ports::random::Random;
use shared::ports::timer::Timer;
use shared::ports::webhook_sender::{SendError, WebhookAnswer, WebhookRequest, WebhookSender};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tools::counting;
use tools::http_client::HttpClient;

use crate::BenchError;
use crate::wiring::Surroundings;

/// The moment that every store's history ends at, so that the numbers are the same every day: a
/// Wednesday evening.
pub(crate) const NOW: DateTime<Utc> = match DateTime::from_timestamp(1_781_114_400, 0) {
    Some(moment) => moment,
    None => DateTime::<Utc>::UNIX_EPOCH,
};

/// Starts at [`NOW`], and goes on by a millisecond whenever somebody looks.
#[derive(Debug)]
struct SteppingClock(AtomicI64);

impl Clock for SteppingClock {
    fn now(&self) -> Timestamp {
        let millis = self.0.fetch_add(1, Ordering::Relaxed);
        Timestamp::new(NOW + TimeDelta::milliseconds(millis)).unwrap_or(Timestamp::MAX)
    }
}

/// Waiting moves the clock.
#[async_trait]
impl Timer for SteppingClock {
    async fn wait_until(&self, moment: Timestamp) {
        let millis = (moment.to_chrono() - NOW).num_milliseconds() + 1;
        self.0.fetch_max(millis, Ordering::Relaxed);
    }
}

/// A receiver that is not there: whatever is sent to it has its answer at once.
#[derive(Debug)]
pub(crate) struct InstantReceiver(AtomicU16);

impl InstantReceiver {
    /// Answers with this status from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.0.store(status, Ordering::Relaxed);
    }
}

#[async_trait]
impl WebhookSender for InstantReceiver {
    async fn vet(&self, _url: &WebhookUrl) -> Result<(), SendError> {
        Ok(())
    }

    async fn send(&self, _request: &WebhookRequest) -> Result<WebhookAnswer, SendError> {
        let status = self.0.load(Ordering::Relaxed);
        Ok(WebhookAnswer { status, body: String::new(), retry_after: None, took: Duration::from_millis(5) })
    }
}

/// The same numbers in every run: items that hold them have the same size then.
#[derive(Debug)]
struct SeededRandom(Mutex<StdRng>);

impl SeededRandom {
    fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Random for SeededRandom {
    fn secret(&self) -> [u8; 32] {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random()
    }

    fn number(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random()
    }
}

/// An embedded store, and the service's handlers on it, every call of theirs metered.
pub(crate) struct Store {
    /// How many events it is filled with.
    pub(crate) size: u32,
    /// The service. What filling and counting do is not metered.
    pub(crate) app: Arc<App>,
    /// What the service's calls used.
    pub(crate) meter: Meter,
    /// The only key that the service accepts.
    pub(crate) key: ApiKeySecret,
    /// Where webhooks go.
    pub(crate) receiver: Arc<InstantReceiver>,
    /// What happens after an answer, metered.
    background: Background,
    /// The same while the store is filled, not metered.
    filling: Background,
    embedded: EmbeddedDynamo,
    /// The archive.
    objects: Arc<MemoryObjects>,
    events: DynamoEvents,
    metered: DynamoEvents,
    clock: Arc<SteppingClock>,
    heads: KnownHeads,
    appends: AtomicU64,
}

impl Store {
    /// An empty store.
    pub(crate) async fn open(size: u32) -> Result<Arc<Self>, BenchError> {
        Self::logging(size, None).await
    }

    /// An empty store whose service keeps events in a log that answers at once, so that what is left is the service itself.
    pub(crate) async fn in_memory() -> Result<Arc<Self>, BenchError> {
        Self::logging(0, Some(Arc::new(MemoryEvents::default()))).await
    }

    async fn logging(size: u32, log: Option<Arc<dyn CommitLog>>) -> Result<Arc<Self>, BenchError> {
        let embedded = EmbeddedDynamo::open(DataLocation::Temporary).await?;
        let meter = Meter::default();
        let client = connect(Connection::local(embedded.endpoint()));
        table::create(&client, table::DEFAULT_NAME).await?;
        let objects = Arc::new(MemoryObjects::default());
        let ports = |client| DynamoEvents::new(client, table::DEFAULT_NAME.to_owned(), TimeShards::default()).with_archive(objects.clone());
        let metered = ports(connect_metered(Connection::local(embedded.endpoint()), meter.clone()));
        let events = ports(client);
        let clock = Arc::new(SteppingClock(AtomicI64::new(0)));
        let random = Arc::new(SeededRandom::new(1));
        let key = ApiKeySecret::from_random(random.secret());
        let queues = EmbeddedQueues::open(QueuesLocation::Memory, clock.clone())?;
        let receiver = Arc::new(InstantReceiver(AtomicU16::new(200)));
        let surroundings =
            Surroundings { clock: clock.clone(), timer: clock.clone(), random, queues: queues.clone(), webhooks: receiver.clone() };
        let mut app = surroundings.app(&metered, &key);
        if let Some(log) = log {
            app.stores.log = log;
        }
        let app = Arc::new(app);
        let bus = Arc::new(MemoryBus::default());
        let background = Background::new(app.clone(), queues.clone(), bus.clone());
        let filling = Background::new(Arc::new(surroundings.app(&events, &key)), queues, bus);
        Ok(Arc::new(Self {
            size,
            app,
            meter,
            key,
            receiver,
            background,
            filling,
            embedded,
            objects,
            events,
            metered,
            clock,
            heads: KnownHeads::default(),
            appends: AtomicU64::new(2),
        }))
    }

    /// Appends events without the service's knowledge: it has not seen where their streams end.
    pub(crate) async fn append(&self, events: &impl serde::Serialize) -> Result<Appended, BenchError> {
        let body = serde_json::value::to_raw_value(events)?;
        let drafts =
            draft::batch_drafts(&body).map_err(|problem| BenchError::Draft(serde_json::to_string(&problem).unwrap_or_default()))?;
        let random = SeededRandom::new(self.appends.fetch_add(1, Ordering::Relaxed));
        let ports = AppendPorts { log: &self.events, random: &random, heads: &self.heads };
        Ok(append(&ports, &AppendRequest { drafts, key: None, now: self.clock.now() }).await?)
    }

    /// Where the counters are kept, not metered.
    pub(crate) const fn counters(&self) -> &dyn CounterStore {
        &self.events
    }

    /// Starts metering anew.
    pub(crate) fn forget_usage(&self) {
        let Usage { .. } = self.meter.take();
    }

    /// Does `work` while counters and dispatcher follow it, as in the running service, and returns when all is counted.
    pub(crate) async fn counted<T>(&self, work: impl Future<Output = T>) -> T {
        let (stop, stopped) = watch::channel(false);
        let working = async {
            let done = work.await;
            stop.send_replace(true);
            done
        };
        let tail = Tail::new(&self.embedded, table::DEFAULT_NAME, &self.events, &self.filling);
        tokio::join!(working, tail.follow(stopped)).0
    }

    /// Where the table's stream ends.
    pub(crate) async fn end_of_stream(&self) -> Result<Option<String>, BenchError> {
        let mut after = None;
        loop {
            let batch = self.embedded.read_stream(table::DEFAULT_NAME, after.as_deref(), 1000).await?;
            if batch.records.is_empty() {
                return Ok(after);
            }
            after = batch.last_sequence;
        }
    }

    /// Hands the next `most` records of the stream to the metered counters, and moves `after`. Returns
    /// how many there were.
    pub(crate) async fn hand_over(&self, after: &mut Option<String>, most: usize) -> Result<usize, BenchError> {
        Ok(counting::hand_over(&self.embedded, &self.metered, after, most, NOW).await?)
    }

    /// Does all that follows from what was stored after `after`, metered, and moves it: dispatches it, processes and delivers it, and
    /// what comes of that again.
    pub(crate) async fn settle(&self, after: &mut Option<String>) -> Result<(), BenchError> {
        loop {
            let batch = self.embedded.read_stream(table::DEFAULT_NAME, after.as_deref(), 1000).await?;
            let mut done = batch.records.len();
            if done > 0 {
                self.background.dispatch(batch.event()).await?;
                *after = batch.last_sequence;
            }
            for queue in WorkQueue::ALL {
                done += self.background.take(*queue, 10).await?;
            }
            if done == 0 {
                return Ok(());
            }
        }
    }

    /// Archives all that is stored and counted, metered.
    pub(crate) async fn archive(&self) -> Result<Archived, BenchError> {
        let ports = ArchiveEventsPorts { archive: &self.metered, objects: &*self.objects, clock: &*self.clock };
        let (until, deadline) = (Timestamp::MAX, Timestamp::MAX);
        Ok(archive_events(&ports, &ArchiveRun { until, recorded_until: until, deadline, reach: ArchiveReach::All }).await?)
    }

    /// Closes the store and deletes it.
    pub(crate) async fn close(self: Arc<Self>) -> Result<(), BenchError> {
        if let Some(store) = Arc::into_inner(self) {
            drop((store.app, store.background, store.filling));
            store.embedded.stop().await?;
        }
        Ok(())
    }
}

/// The service behind a socket, and a client of it.
pub(crate) struct Service {
    /// Sends what is measured.
    pub(crate) client: HttpClient,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Service {
    /// Serves the store's app at a free port.
    pub(crate) async fn start(store: &Store) -> Result<Self, BenchError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(BenchError::Socket)?;
        let address = listener.local_addr().map_err(BenchError::Socket)?;
        let client = HttpClient::new(&format!("http://{address}"))?.with_key(store.key.reveal())?;
        let (stop, stopped) = oneshot::channel::<()>();
        let background = Background::new(Arc::clone(&store.app), store.background.queues.clone(), Arc::new(MemoryBus::default()));
        let shutdown = async move { stopped.await.unwrap_or_default() };
        let serving = tokio::spawn(server::serve(listener, Arc::new(background), 0, shutdown));
        Ok(Self { client, stop, serving })
    }

    /// What a service costs that does nothing: it reads a request to its end, and says that all is well.
    pub(crate) async fn empty() -> Result<Self, BenchError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(BenchError::Socket)?;
        let address = listener.local_addr().map_err(BenchError::Socket)?;
        let client = HttpClient::new(&format!("http://{address}"))?;
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new().fallback(async |_: Bytes| "{}");
        let shutdown = async move { stopped.await.unwrap_or_default() };
        let serving = tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(shutdown).into_future());
        Ok(Self { client, stop, serving })
    }

    /// Stops serving, once its connections are closed.
    pub(crate) async fn stop(self) -> Result<(), BenchError> {
        let Self { client, stop, serving } = self;
        drop(client);
        drop(stop);
        serving.await?.map_err(BenchError::Socket)
    }
}

/// A JSON value's list of events, by what holds it.
pub(crate) fn events_in(answer: &[u8]) -> Option<usize> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    answer.as_array().or_else(|| answer.get("events")?.as_array()).map(Vec::len)
}
