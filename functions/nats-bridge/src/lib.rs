//! Publishes events and domain events on NATS: hears the queue `nats`. Takes messages in from there, and looks whether NATS is there: runs
//! on a schedule, every minute.

use std::time::Duration;

use aws_lambda_events::event::sqs::SqsEvent;
use futures::future::join_all;
use lambda_runtime::{Error, LambdaEvent};
use serde_json::{Value, json};
use shared::commands::bridge_events::{BridgeEventsPorts, QueuedWork, bridge_events};
use shared::commands::ingest_messages::{IngestMessagesPorts, Ingested, ingest_messages};
use shared::domain::bridge::IngestFeed;
use shared::domain::queue::{Queue, Receipt, WorkQueue};
use shared::domain::retry_policy::doubled;
use shared::domain::timestamp::Timestamp;
use shared::ports::bridge_status::{BridgeStatus, BridgeStatusStore};
use shared::ports::message_broker::{BrokerCheck, BrokerError};
use shared::ports::queue::QueueReceiver;
use shared::telemetry::{Chain, Unit, measure};

/// Whether NATS was reached: 1, or 0.
pub const NATS_CONNECTED: &str = "NatsConnected";
/// How many messages of others wait to be taken in.
pub const NATS_INGEST_WAITING: &str = "NatsIngestWaiting";
/// How long ago the oldest event was stored that was published just now, if that is ten seconds or more.
pub const NATS_LAG_SECONDS: &str = "NatsLagSeconds";
/// A lag below this is how it always is, and not worth a line.
const LAG_WORTH_TELLING: Duration = Duration::from_secs(10);

/// How many messages are taken in at a time: of a megabyte each, if they are as large as most servers allow.
const BATCH: usize = 100;
/// How long before its time is up an invocation takes nothing more in.
const RESERVE: Duration = Duration::from_secs(15);
/// How long it takes in at least: for who calls it without a time limit.
const USUAL_TIME: Duration = Duration::from_secs(40);
/// How long a message waits that was not published, the first time; twice as long each further time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest that it waits.
const LONGEST_PAUSE: Duration = Duration::from_mins(3);

/// How long it may take to say so.
const MOST_HIDING: Duration = Duration::from_secs(3);

/// What the bridge needs.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// To publish.
    pub bridge: BridgeEventsPorts<'a>,
    /// To take messages in.
    pub ingest: IngestMessagesPorts<'a>,
    /// Where messages wait that were not published.
    pub queues: &'a dyn QueueReceiver,
    /// To see whether NATS is there.
    pub broker: &'a dyn BrokerCheck,
    /// Where others see it.
    pub status: &'a dyn BridgeStatusStore,
}

/// Publishes what the messages of a batch ask for, and answers with those that failed; or, on the schedule, looks at NATS and takes
/// messages in until there are none, or time is nearly up.
///
/// # Errors
/// If NATS does not answer on the schedule, so that its failures are seen. The next run goes on.
pub async fn handle(ports: &Ports<'_>, event: LambdaEvent<Value>) -> Result<Value, Error> {
    let LambdaEvent { payload, context } = event;
    if payload.get("Records").is_some() {
        return publish(ports, serde_json::from_value(payload)?).await;
    }
    let now = ports.ingest.clock.now();
    let limit = i64::try_from(context.deadline).ok().and_then(|millis| Timestamp::from_micros(millis.checked_mul(1000)?).ok());
    let until = limit
        .filter(|limit| limit.since(now).is_some_and(|left| left > RESERVE))
        .map_or_else(|| now.plus(USUAL_TIME), |limit| limit.plus_micros(-i64::try_from(RESERVE.as_micros()).unwrap_or_default()));
    take_in(ports, until).await
}

async fn publish(ports: &Ports<'_>, event: SqsEvent) -> Result<Value, Error> {
    let (mut failed, mut queued, mut handed) = (Vec::new(), Vec::new(), Vec::new());
    for record in event.records {
        let id = record.message_id.unwrap_or_default();
        let attribute = |name: &str| record.attributes.get(name).cloned();
        let receives: u32 = attribute("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1);
        handed.push((id.clone(), Receipt(record.receipt_handle.unwrap_or_default()), receives));
        match serde_json::from_str(record.body.as_deref().unwrap_or_default()) {
            Ok(work) => queued.push(QueuedWork { id, group: attribute("MessageGroupId").unwrap_or_default(), work }),
            // It goes to the dead letters, where a person sees it.
            Err(error) => {
                tracing::error!(%error, message_id = id, "a message cannot be read");
                failed.push(id);
            }
        }
    }
    let bridged = bridge_events(&ports.bridge, queued).await;
    if let Some(error) = &bridged.error {
        tracing::error!(error = %Chain(error), messages = bridged.failed.len(), "events were not published and are tried again");
    }
    let lag = bridged.oldest.and_then(|oldest| ports.ingest.clock.now().since(oldest));
    if let Some(lag) = lag.filter(|lag| *lag >= LAG_WORTH_TELLING) {
        measure(NATS_LAG_SECONDS, Unit::Seconds, lag.as_secs_f64());
    }
    failed.extend(bridged.failed);
    let left = handed.iter().filter(|(id, ..)| failed.contains(id)).map(async |(_, receipt, receives)| {
        let pause = doubled(FIRST_PAUSE, *receives, LONGEST_PAUSE);
        if let Err(error) = ports.queues.hide(&Queue::Work(WorkQueue::Nats), receipt, pause).await {
            tracing::warn!(error = %Chain(&error), "a message waits longer than it has to");
        }
    });
    // In a network without a way to SQS nobody answers: then messages come again when their time is up.
    if tokio::time::timeout(MOST_HIDING, join_all(left)).await.is_err() {
        tracing::warn!("messages wait longer than they have to: the queue was not reached");
    }
    let failures: Vec<Value> = failed.into_iter().map(|id| json!({ "itemIdentifier": id })).collect();
    Ok(json!({ "batchItemFailures": failures }))
}

async fn take_in(ports: &Ports<'_>, until: Timestamp) -> Result<Value, Error> {
    look(ports).await?;
    let mut all = Ingested::default();
    let mut waiting = 0;
    for feed in ports.ingest.source.feeds() {
        let ingested = drain(ports, feed, until).await?;
        all = all.and(ingested);
        waiting += ports.ingest.source.waiting(feed).await?;
    }
    #[expect(clippy::cast_precision_loss, reason = "metrics are numbers that people look at")]
    measure(NATS_INGEST_WAITING, Unit::Count, waiting as f64);
    Ok(json!({
        "taken": all.taken, "stored": all.stored, "repeated": all.repeated, "own": all.own, "rejected": all.rejected, "again": all.again,
        "waiting": waiting,
    }))
}

/// Looks whether NATS is there, and tells those who cannot see it.
///
/// # Errors
/// [`BrokerError`] if it is not.
pub async fn look(ports: &Ports<'_>) -> Result<(), BrokerError> {
    let checked = ports.broker.check().await;
    let status = BridgeStatus { checked_at: ports.ingest.clock.now(), connected: checked.is_ok() };
    if let Err(error) = ports.status.save_bridge_status(&status).await {
        tracing::warn!(error = %Chain(&error), "nobody is told how the bridge is");
    }
    measure(NATS_CONNECTED, Unit::Count, f64::from(u8::from(checked.is_ok())));
    checked
}

/// Takes in what a feed has, until it has no more, something is to come again, or time is up.
async fn drain(ports: &Ports<'_>, feed: &IngestFeed, until: Timestamp) -> Result<Ingested, BrokerError> {
    let mut all = Ingested::default();
    while ports.ingest.clock.now() < until {
        let ingested = ingest_messages(&ports.ingest, feed, BATCH, Duration::ZERO).await?;
        all = all.and(ingested);
        // What is stored after something that comes again would overtake it.
        if ingested.taken == 0 || ingested.again > 0 {
            break;
        }
    }
    Ok(all)
}
