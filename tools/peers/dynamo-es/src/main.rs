//! The event store of cqrs-es on DynamoDB, for `make bench-peers`: does one job for each line of its input, and answers each with a line.
//!
//! What a job and an answer are is written in tools/src/bin/bench-peers/job.rs.

use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, StreamSpecification, StreamViewType,
};
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{PersistedEventRepository as _, PersistenceError, SerializedEvent};
use cqrs_es::{Aggregate, DomainEvent};
use dynamo_es::DynamoEventRepository;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

type AnyError = Box<dyn Error + Send + Sync>;

#[derive(Deserialize)]
struct Job {
    task: String,
    endpoint: String,
    streams: String,
    stream_count: usize,
    writers: usize,
    batch: usize,
    operations: usize,
    events: usize,
}

/// An event is its payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Placed(Value);

impl DomainEvent for Placed {
    fn event_type(&self) -> String {
        "order.placed".to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

/// An aggregate without a state: what is measured is the store.
#[derive(Default, Serialize, Deserialize)]
struct Order;

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Command = ();
    type Event = Placed;
    type Error = Infallible;
    type Services = ();

    async fn handle(&mut self, (): (), (): &(), _sink: &EventSink<Self>) -> Result<(), Infallible> {
        Ok(())
    }

    fn apply(&mut self, _event: Placed) {}
}

struct Store {
    payloads: Vec<Value>,
    next_payload: AtomicUsize,
    /// Where this process last saw streams end: no reading before each append.
    versions: Mutex<HashMap<String, usize>>,
}

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

/// The table as the crate's documentation has it.
async fn create(client: &Client) -> Result<(), AnyError> {
    let attribute =
        |name: &str, kind: ScalarAttributeType| AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build();
    let key = |name: &str, kind: KeyType| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    client
        .create_table()
        .table_name("Events")
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("AggregateTypeAndId", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("AggregateIdSequence", ScalarAttributeType::N)?)
        .key_schema(key("AggregateTypeAndId", KeyType::Hash)?)
        .key_schema(key("AggregateIdSequence", KeyType::Range)?)
        .stream_specification(
            StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewAndOldImages).build()?,
        )
        .send()
        .await?;
    Ok(())
}

impl Store {
    fn known(&self, stream: &str) -> usize {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).get(stream).copied().unwrap_or_default()
    }

    fn learn(&self, stream: &str, version: usize) {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = versions.entry(stream.to_owned()).or_default();
        *known = version.max(*known);
    }

    async fn append(&self, repository: &DynamoEventRepository, stream: &str, batch: usize) -> Result<(), AnyError> {
        loop {
            let known = self.known(stream);
            let event = |number: usize| {
                let payload = self.payloads[self.next_payload.fetch_add(1, Ordering::Relaxed) % self.payloads.len()].clone();
                SerializedEvent::new(
                    stream.to_owned(),
                    known + 1 + number,
                    Order::TYPE.to_owned(),
                    "order.placed".to_owned(),
                    "1.0".to_owned(),
                    payload,
                    json!({"correlation_id": "c-1"}),
                )
            };
            let events: Vec<SerializedEvent> = (0..batch).map(event).collect();
            match repository.persist::<Order>(&events, None).await {
                Ok(()) => {
                    self.learn(stream, known + batch);
                    return Ok(());
                }
                Err(PersistenceError::OptimisticLockError) => {
                    let newer = repository.get_last_events::<Order>(stream, known).await?;
                    if let Some(last) = newer.last() {
                        self.learn(stream, last.sequence);
                    }
                }
                Err(other) => return Err(other.into()),
            }
        }
    }

    async fn read(&self, repository: &DynamoEventRepository, stream: &str, expected: usize) -> Result<(), AnyError> {
        // `get_events` gives the first megabyte and leaves out the rest without a word; this one reads page after page.
        let mut events = repository.stream_events::<Order>(stream).await?;
        let mut count = 0;
        while let Some(event) = events.next::<Order>(&[]).await {
            event?;
            count += 1;
        }
        if count == expected { Ok(()) } else { Err(format!("{stream} has {count} events instead of {expected}").into()) }
    }

    async fn run(&self, client: Client, job: &Job) -> Result<Value, AnyError> {
        if job.task == "create" {
            create(&client).await?;
            return Ok(json!({"times_us": [], "seconds": 0.0}));
        }
        let repository = DynamoEventRepository::new(client);
        let next = AtomicUsize::new(0);
        let writer = async || {
            let mut times = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= job.operations {
                    return Ok::<_, AnyError>(times);
                }
                let stream = format!("{}-{}", job.streams, number % job.stream_count);
                let began = Instant::now();
                match job.task.as_str() {
                    "append" => self.append(&repository, &stream, job.batch).await?,
                    _ => self.read(&repository, &stream, job.events).await?,
                }
                times.push(u64::try_from(began.elapsed().as_micros())?);
            }
        };
        let began = Instant::now();
        let times = try_join_all((0..job.writers).map(|_| writer())).await?.concat();
        Ok(json!({"times_us": times, "seconds": began.elapsed().as_secs_f64()}))
    }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let file = std::env::args().nth(1).ok_or("the file with the payloads is missing")?;
    let payloads = serde_json::from_slice(&std::fs::read(file)?)?;
    let store = Store { payloads, next_payload: AtomicUsize::new(0), versions: Mutex::default() };
    let mut clients = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let job: Job = serde_json::from_str(&line?)?;
        let client = clients.entry(job.endpoint.clone()).or_insert_with(|| client(&job.endpoint)).clone();
        let answer = match store.run(client, &job).await {
            Ok(answer) => answer,
            Err(error) => json!({"error": error.to_string()}),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
