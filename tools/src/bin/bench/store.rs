//! A store of one size, and the service on it.

use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use lambda_runtime::{Context, LambdaEvent};
use local::app::{App, Checking};
use local::{server, tail};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use shared::adapters::dynamodb::{Connection, DynamoEvents, Meter, TimeShards, Usage, connect, table};
use shared::adapters::embedded::{DataLocation, EmbeddedDynamo, TumblingWindow, WindowStage};
use shared::commands::append::{AppendPorts, AppendRequest, Appended, KnownHeads, append};
use shared::domain::access::ApiKeySecret;
use shared::domain::timestamp::Timestamp;
use shared::http::draft;
use shared::ports::clock::Clock;
use shared::ports::random::Random;
use shared::queries::check_access::KeyCache;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tools::http_client::HttpClient;

use crate::BenchError;

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
    embedded: EmbeddedDynamo,
    events: DynamoEvents,
    metered: DynamoEvents,
    clock: Arc<SteppingClock>,
    heads: KnownHeads,
    appends: AtomicU64,
}

impl Store {
    /// An empty store.
    pub(crate) async fn open(size: u32) -> Result<Arc<Self>, BenchError> {
        let embedded = EmbeddedDynamo::open(DataLocation::Temporary).await?;
        let meter = Meter::default();
        let client = connect(Connection::local(embedded.endpoint()));
        table::create(&client, table::DEFAULT_NAME).await?;
        let ports = |client| DynamoEvents::new(client, table::DEFAULT_NAME.to_owned(), TimeShards::default());
        let metered = ports(connect(Connection::local(embedded.endpoint()).metered(meter.clone())));
        let clock = Arc::new(SteppingClock(AtomicI64::new(0)));
        let random = Arc::new(SeededRandom::new(1));
        let key = ApiKeySecret::from_random(random.secret());
        let app = App {
            log: Arc::new(metered.clone()),
            events: Arc::new(metered.clone()),
            keys: Arc::new(metered.clone()),
            tokens: None,
            clock: clock.clone(),
            random,
            heads: KnownHeads::default(),
            cache: KeyCache::new(Some(key.digest())),
            access: Checking::On,
        };
        Ok(Arc::new(Self {
            size,
            app: Arc::new(app),
            meter,
            key,
            embedded,
            events: ports(client),
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

    /// Starts metering anew.
    pub(crate) fn forget_usage(&self) {
        let Usage { .. } = self.meter.take();
    }

    /// Does `work` while the counters follow it, as the running service does, and returns when all is counted.
    pub(crate) async fn counted<T>(&self, work: impl Future<Output = T>) -> T {
        let (stop, stopped) = watch::channel(false);
        let working = async {
            let done = work.await;
            stop.send_replace(true);
            done
        };
        tokio::join!(working, tail::follow(&self.embedded, table::DEFAULT_NAME, &self.events, stopped)).0
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
        let batch = self.embedded.read_stream(table::DEFAULT_NAME, after.as_deref(), most).await?;
        let records = batch.records.len();
        if records > 0 {
            let window = TumblingWindow { start: NOW, end: NOW, state: serde_json::Map::new(), stage: WindowStage::Running };
            let event = LambdaEvent::new(serde_json::from_value(batch.window_event(&window))?, Context::default());
            let answer = count_events::handle(&self.metered, event).await.map_err(BenchError::Counting)?;
            if answer["batchItemFailures"].as_array().is_none_or(|failures| !failures.is_empty()) {
                return Err(BenchError::Uncounted);
            }
        }
        *after = batch.last_sequence;
        Ok(records)
    }

    /// Closes the store and deletes it.
    pub(crate) async fn close(self: Arc<Self>) -> Result<(), BenchError> {
        if let Some(store) = Arc::into_inner(self) {
            drop(store.app);
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
        let serving = tokio::spawn(server::serve(listener, Arc::clone(&store.app), async move { stopped.await.unwrap_or_default() }));
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
