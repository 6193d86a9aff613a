//! What the tests of the whole share: a store of their own, on the embedded DynamoDB or in memory,
//! and a clock that tests move.

pub mod app;
pub mod receivers;
pub mod world;

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use lambda_runtime::{Context, LambdaEvent};
use shared::adapters::aws::Connection;
use shared::adapters::dynamodb::{DynamoEvents, Meter, TimeShards, connect_metered, table};
use shared::adapters::embedded::{DataLocation, EmbeddedDynamo, StreamBatch, TumblingWindow, WindowStage};
use shared::adapters::memory::MemoryObjects;
use shared::adapters::system::SystemRandom;
use shared::commands::count_events::CountEventsPorts;
use shared::config;
use shared::domain::timestamp::Timestamp;
use shared::ports::clock::Clock;
use shared::ports::random::Random as _;
use shared::ports::timer::Timer;

/// The name of the table.
pub const TABLE: &str = "events";

/// A table of its own on an embedded DynamoDB, reached through the AWS client.
pub struct Store {
    /// The ports.
    pub events: DynamoEvents,
    /// What the calls used.
    pub meter: Meter,
    /// The client, to look at the table itself.
    pub client: Client,
    /// The table's name.
    pub table: String,
    /// Its archive.
    pub objects: Arc<MemoryObjects>,
    /// The engine, unless the table is elsewhere.
    embedded: Option<EmbeddedDynamo>,
    counted: Mutex<Option<String>>,
}

impl Deref for Store {
    type Target = DynamoEvents;

    fn deref(&self) -> &DynamoEvents {
        &self.events
    }
}

impl Store {
    /// A new, empty table.
    ///
    /// # Panics
    /// If the engine does not start.
    pub async fn open() -> Self {
        Self::with_shards(TimeShards::default()).await
    }

    /// A new, empty table whose time index has so many partitions.
    ///
    /// # Panics
    /// If the engine does not start.
    #[expect(clippy::expect_used, reason = "a test without its store can only stop")]
    pub async fn with_shards(shards: TimeShards) -> Self {
        let embedded = EmbeddedDynamo::open(DataLocation::Temporary).await.expect("the embedded store opens");
        let meter = Meter::default();
        let client = connect_metered(Connection::local(embedded.endpoint()), meter.clone());
        table::create(&client, TABLE).await.expect("the table is created");
        Self::new(client, TABLE.to_owned(), shards, meter, Some(embedded))
    }

    /// A new, empty table at the endpoint that `AWS_ENDPOINT_URL` names; an embedded one if it names
    /// none.
    ///
    /// # Panics
    /// If the endpoint does not answer.
    #[expect(clippy::expect_used, reason = "a test without its store can only stop")]
    pub async fn at_endpoint() -> Self {
        let Some(endpoint) = config::optional("AWS_ENDPOINT_URL") else { return Self::open().await };
        let meter = Meter::default();
        let client = connect_metered(Connection::local(&endpoint), meter.clone());
        let name = format!("{TABLE}-{:016x}", SystemRandom.number());
        table::create(&client, &name).await.expect("the table is created");
        Self::new(client, name, TimeShards::default(), meter, None)
    }

    fn new(client: Client, table: String, shards: TimeShards, meter: Meter, embedded: Option<EmbeddedDynamo>) -> Self {
        let objects = Arc::new(MemoryObjects::default());
        let events = DynamoEvents::new(client.clone(), table.clone(), shards).with_archive(objects.clone());
        Self { events, meter, client, table, objects, embedded, counted: Mutex::new(None) }
    }

    /// The same table as another process has it, which knows nothing yet.
    #[must_use]
    pub fn another_process(&self) -> DynamoEvents {
        DynamoEvents::new(self.client.clone(), self.table.clone(), TimeShards::default()).with_archive(self.objects.clone())
    }

    /// The records of the table's stream after this one.
    ///
    /// # Panics
    /// If the table is not an embedded one.
    #[expect(clippy::expect_used, reason = "a test without its store can only stop")]
    pub async fn records_after(&self, after: Option<&str>, most: usize) -> StreamBatch {
        let embedded = self.embedded.as_ref().expect("only the embedded store's stream is followed");
        embedded.read_stream(TABLE, after, most).await.expect("the stream is read")
    }

    /// Hands every change that has not been counted yet to `count-events`.
    ///
    /// # Panics
    /// If a change cannot be counted, or the table is not an embedded one.
    #[expect(clippy::expect_used, reason = "a test without its store can only stop")]
    pub async fn count(&self) {
        loop {
            let after = self.counted.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let embedded = self.embedded.as_ref().expect("only the embedded store's stream is followed");
            let batch = embedded.read_stream(TABLE, after.as_deref(), 100).await.expect("the stream is read");
            let end = batch.records.is_empty();
            let last = batch.last_sequence.clone();
            let event = batch.window_event(&window());
            let event = LambdaEvent::new(serde_json::from_value(event).expect("a stream event"), Context::default());
            let ports = CountEventsPorts { counters: &self.events, definitions: &self.events };
            let answer = count_events::handle(&ports, None, event).await.expect("the batch is counted");
            assert_eq!(answer["batchItemFailures"], serde_json::json!([]), "all records are counted");
            if last.is_some() {
                *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = last;
            }
            if end {
                return;
            }
        }
    }
}

/// A tumbling window that nothing looks at.
#[must_use]
pub fn window() -> TumblingWindow {
    let moment = Timestamp::MIN.to_chrono();
    TumblingWindow { start: moment, end: moment, state: serde_json::Map::new(), stage: WindowStage::Running }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct StoppedClock(Mutex<Timestamp>);

impl StoppedClock {
    /// A clock that shows this moment.
    #[must_use]
    pub const fn new(moment: Timestamp) -> Self {
        Self(Mutex::new(moment))
    }

    /// Makes the clock show this moment.
    pub fn set(&self, moment: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = moment;
    }
}

/// Waiting moves the clock.
#[async_trait]
impl Timer for StoppedClock {
    async fn wait_until(&self, moment: Timestamp) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = moment.max(*now);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
