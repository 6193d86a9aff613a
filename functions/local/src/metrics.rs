//! What the process counts, for whoever scrapes `GET /metrics`: OpenMetrics, as Prometheus reads it.
//!
//! What the store or the queues know is asked of them at each scrape, and so is exact; only what leaves no trace there is counted here, and
//! starts at nothing with the process.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use shared::adapters::dynamodb::Meter;
use shared::commands::ingest_messages::Ingested;
use shared::domain::bridge::{BridgeMessage, BridgeStream, IncomingMessage, IngestFeed, MessageReceipt, Settlement};
use shared::domain::queue::{Queue, WorkQueue};
use shared::domain::webhook_url::WebhookUrl;
use shared::ports::bridge_status::is_connected;
use shared::ports::message_broker::{BrokerCheck, BrokerError, MessageBroker, MessagePublisher, MessageSource, NotPublished};
use shared::ports::queue::QueueReceiver as _;
use shared::ports::webhook_sender::{SendError, WebhookAnswer, WebhookRequest, WebhookSender};
use shared::queries::measure_service::measure_service;
use shared::telemetry::Chain;

use crate::background::Background;

/// The type of what a scrape gets.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;
type Number = Gauge<f64, AtomicU64>;

/// Upper bounds of the histograms, in seconds: BR and the targets are told in milliseconds, a receiver may take fifteen seconds.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0];

/// What is counted here.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<Labels, Counter>,
    request_seconds: Family<Labels, Histogram>,
    webhooks: Family<Labels, Counter>,
    webhook_seconds: Histogram,
    published: Family<Labels, Counter>,
    ingested: Family<Labels, Counter>,
    /// What the calls to the table have used.
    pub meter: Meter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            webhooks: Family::default(),
            webhook_seconds: Histogram::new(SECONDS),
            published: Family::default(),
            ingested: Family::default(),
            meter: Meter::default(),
        }
    }
}

fn label(name: &'static str, value: impl Into<String>) -> Labels {
    vec![(name, value.into())]
}

impl Metrics {
    /// Notes a request that a function has answered.
    pub fn answered(&self, function: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&vec![("function", function.to_owned()), ("status", status.to_string())]).inc();
        self.request_seconds.get_or_create(&label("function", function)).observe(took.as_secs_f64());
    }

    /// Notes what came of messages that were taken in.
    pub fn ingested(&self, ingested: &Ingested) {
        let Ingested { taken: _, stored, repeated, own, rejected, again } = ingested;
        let counts = [("stored", stored), ("repeated", repeated), ("own", own), ("rejected", rejected), ("again", again)];
        for (result, count) in counts.into_iter().filter(|(_, count)| **count > 0) {
            self.ingested.get_or_create(&label("result", result)).inc_by(*count as u64);
        }
    }

    /// All there is to tell at this moment.
    pub async fn scrape(&self, background: &Background) -> String {
        let mut registry = Registry::with_prefix("event_service");
        registry.register("requests", "Requests that were answered", self.requests.clone());
        let took = "How long answers took";
        registry.register_with_unit("request_duration", took, Unit::Seconds, self.request_seconds.clone());
        registry.register("webhook_requests", "Requests to receivers and processors, by the status of the answer", self.webhooks.clone());
        let took = "How long receivers and processors took to answer";
        registry.register_with_unit("webhook_duration", took, Unit::Seconds, self.webhook_seconds.clone());
        self.of_the_table(&mut registry);
        of_the_queues(&mut registry, background).await;
        of_the_store(&mut registry, background).await;
        self.of_the_bridge(&mut registry, background).await;
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &registry) {
            tracing::error!(%error, "the metrics cannot be written");
        }
        text
    }

    fn of_the_table(&self, registry: &mut Registry) {
        let usage = self.meter.read();
        let units: Family<Labels, Counter<f64, AtomicU64>> = Family::default();
        for (kind, used) in [("read", usage.read_units), ("write", usage.write_units)] {
            units.get_or_create(&label("kind", kind)).inc_by(used);
        }
        registry.register("table_units", "Capacity units that the table would have charged, indexes included", units);
        let calls: Counter = Counter::default();
        calls.inc_by(usage.calls);
        registry.register("table_calls", "Calls to the table", calls);
    }

    async fn of_the_bridge(&self, registry: &mut Registry, background: &Background) {
        let Some(bridge) = &background.bridge else { return };
        registry.register(
            "nats_published",
            "Messages that NATS has acknowledged, those included that it had already",
            self.published.clone(),
        );
        registry.register("nats_ingested", "Messages of others, by what came of them", self.ingested.clone());
        let connected = Gauge::<i64>::default();
        connected.set(i64::from(is_connected(&*bridge.status, background.app.clock.now()).await));
        registry.register("nats_connected", "Whether NATS can be reached", connected);
        let lag = Number::default();
        lag.set(oldest_age(background, &Queue::Work(WorkQueue::Nats)));
        registry.register_with_unit("nats_lag", "For how long the oldest event waits to be published", Unit::Seconds, lag);
        let (waiting, reachable): (Family<Labels, Gauge>, Family<Labels, Gauge>) = Default::default();
        for feed in bridge.broker.feeds() {
            let labels = label("feed", feed.to_string());
            // Nobody waits here for long for one that is away.
            let count = tokio::time::timeout(Duration::from_secs(1), bridge.broker.waiting(feed)).await.unwrap_or_else(|_| Err(away()));
            reachable.get_or_create(&labels).set(i64::from(count.is_ok()));
            if let Ok(count) = count {
                waiting.get_or_create(&labels).set(count.try_into().unwrap_or(i64::MAX));
            }
        }
        registry.register("nats_ingest_reachable", "Whether a feed can be taken in: its stream is there, and answers", reachable);
        registry.register("nats_ingest_waiting", "Messages of others that wait to be taken in", waiting);
    }
}

fn away() -> BrokerError {
    BrokerError("it does not answer".to_owned())
}

async fn of_the_queues(registry: &mut Registry, background: &Background) {
    let (depths, ages): (Family<Labels, Gauge>, Family<Labels, Number>) = Default::default();
    for queue in WorkQueue::ALL.iter().flat_map(|queue| [Queue::Work(*queue), Queue::DeadLetters(*queue)]) {
        let name = label("queue", queue.to_string());
        match background.queues.depth(&queue).await {
            Ok(depth) => drop(depths.get_or_create(&name).set(depth.try_into().unwrap_or(i64::MAX))),
            Err(error) => tracing::warn!(error = %Chain(&error), %queue, "a queue is not measured"),
        }
        ages.get_or_create(&name).set(oldest_age(background, &queue));
    }
    registry.register("queue_messages", "Messages in a queue, those included that wait or are being dealt with", depths);
    registry.register_with_unit("queue_oldest_age", "For how long the oldest message is in a queue", Unit::Seconds, ages);
}

/// For how long the oldest message of a queue has been there, in seconds; nothing if there is none.
fn oldest_age(background: &Background, queue: &Queue) -> f64 {
    let oldest = background.queues.oldest_sent_at(queue).ok().flatten();
    oldest.and_then(|oldest| background.app.clock.now().since(oldest)).unwrap_or_default().as_secs_f64()
}

/// What the counters of the table know.
async fn of_the_store(registry: &mut Registry, background: &Background) {
    let ports = background.sweeping().measure;
    match measure_service(&ports).await {
        Ok(statistics) => {
            let recorded: Family<Labels, Counter> = Family::default();
            for (source, count) in &statistics.by_source {
                recorded.get_or_create(&label("source", source.as_str())).inc_by(*count);
            }
            registry.register("events_recorded", "Events that are stored", recorded);
            let by_status: Family<Labels, Gauge> = Family::default();
            for (status, count) in &statistics.by_status {
                by_status.get_or_create(&label("status", status.as_str())).set((*count).try_into().unwrap_or(i64::MAX));
            }
            registry.register("events", "Events by their status", by_status);
        }
        Err(error) => tracing::warn!(error = %Chain(&error), "events are not measured"),
    }
    match ports.counters.processor_tallies().await {
        Ok((tallies, _)) => {
            let runs: Family<Labels, Counter> = Family::default();
            for (id, tally) in &tallies.by_id {
                for (result, count) in [("success", tally.successes), ("failed", tally.errors)] {
                    runs.get_or_create(&vec![("processor_id", id.to_string()), ("result", result.to_owned())]).inc_by(count);
                }
            }
            registry.register("processor_runs", "Attempts of processors", runs);
        }
        Err(error) => tracing::warn!(error = %Chain(&error), "processors are not measured"),
    }
}

/// Webhooks that are counted.
pub struct MeteredWebhooks<T> {
    /// Sends them.
    pub sender: T,
    /// Counts them.
    pub metrics: Metrics,
}

#[async_trait]
impl<T: WebhookSender> WebhookSender for MeteredWebhooks<T> {
    async fn vet(&self, url: &WebhookUrl) -> Result<(), SendError> {
        self.sender.vet(url).await
    }

    async fn send(&self, request: &WebhookRequest) -> Result<WebhookAnswer, SendError> {
        let began = Instant::now();
        let answer = self.sender.send(request).await;
        let status = answer.as_ref().map_or_else(|_| "none".to_owned(), |answer| answer.status.to_string());
        self.metrics.webhooks.get_or_create(&label("status", status)).inc();
        self.metrics.webhook_seconds.observe(began.elapsed().as_secs_f64());
        answer
    }
}

/// A broker whose messages are counted.
pub struct MeteredBroker<T> {
    /// The broker.
    pub broker: T,
    /// Counts what it keeps.
    pub metrics: Metrics,
}

#[async_trait]
impl<T: MessageBroker> MessagePublisher for MeteredBroker<T> {
    async fn publish(&self, message: &BridgeMessage) -> Result<(), NotPublished> {
        self.broker.publish(message).await?;
        let stream = match message.stream {
            BridgeStream::Events => "events",
            BridgeStream::DomainEvents => "domain_events",
        };
        self.metrics.published.get_or_create(&label("stream", stream)).inc();
        Ok(())
    }
}

#[async_trait]
impl<T: MessageBroker> MessageSource for MeteredBroker<T> {
    fn feeds(&self) -> &[IngestFeed] {
        self.broker.feeds()
    }

    async fn fetch(&self, feed: &IngestFeed, most: usize, wait: Duration) -> Result<Vec<IncomingMessage>, BrokerError> {
        self.broker.fetch(feed, most, wait).await
    }

    async fn settle(&self, settled: &[(MessageReceipt, Settlement)]) -> Result<(), BrokerError> {
        self.broker.settle(settled).await
    }

    async fn waiting(&self, feed: &IngestFeed) -> Result<u64, BrokerError> {
        self.broker.waiting(feed).await
    }
}

#[async_trait]
impl<T: MessageBroker> BrokerCheck for MeteredBroker<T> {
    async fn check(&self) -> Result<(), BrokerError> {
        self.broker.check().await
    }
}
