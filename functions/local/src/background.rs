//! What happens after the answer: the functions that hear the table's stream, the queues and the schedule, called as Lambda calls
//! them.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use lambda_runtime::{Context, LambdaEvent};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::adapters::embedded_queues::EmbeddedQueues;
use shared::commands::archive_events::{
    ArchiveAfter, ArchiveEventsError, ArchiveEventsPorts, ArchiveReach, ArchiveRun, Archived, archive_events as archive,
};
use shared::commands::bridge_events::BridgeEventsPorts;
use shared::commands::deliver_webhooks::DeliverWebhooksPorts;
use shared::commands::dispatch_events::{DispatchEventsPorts, DispatchedStreams};
use shared::commands::ingest_messages::{IngestMessagesPorts, Ingested, ingest_messages};
use shared::commands::process_events::{ProcessEventsPorts, ProcessedStreams};
use shared::commands::run_processor::RunProcessorPorts;
use shared::commands::run_replays::RunReplaysPorts;
use shared::commands::send_webhook::SendWebhookPorts;
use shared::commands::sweep::{SweepError, SweepPorts, SweepReach, Swept, sweep};
use shared::domain::bridge::IngestFeed;
use shared::domain::queue::{Queue, Received, WorkQueue};
use shared::domain::timestamp::Timestamp;
use shared::http::collect::nats::read_message;
use shared::http::webhook_body::{WRITE_BRIDGED, webhook_body};
use shared::ports::archive_store::ArchiveStore;
use shared::ports::bridge_status::BridgeStatusStore;
use shared::ports::event_bus::EventBus;
use shared::ports::message_broker::{BrokerError, MessageBroker};
use shared::ports::object_store::ObjectStore;
use shared::ports::queue::{QueueError, QueueReceiver};
use shared::queries::measure_service::MeasureServicePorts;
use shared::telemetry::Chain;

use crate::app::App;
use crate::metrics::Metrics;
use crate::terminal;

/// Something was not done, and is to be done again.
#[derive(Debug, thiserror::Error)]
pub enum BackgroundError {
    /// A queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// What was handed over is not as Lambda has it.
    #[error("a function was not given what Lambda gives it")]
    Form(#[from] serde_json::Error),
    /// A function failed as a whole.
    #[error("a function failed")]
    Function(#[source] lambda_runtime::Error),
    /// A function did not take all records.
    #[error("a function left records")]
    Left,
}

/// The functions behind the answers, on the ports of an [`App`] and a few more.
pub struct Background {
    /// Whose events are worked on.
    pub app: Arc<App>,
    /// The queues between the functions. They are sent to by way of the app.
    pub queues: EmbeddedQueues,
    /// The bus.
    pub bus: Arc<dyn EventBus>,
    /// How far streams have been dispatched.
    pub dispatched: DispatchedStreams,
    /// How far streams have been processed.
    pub processed: ProcessedStreams,
    /// Since when nobody but this process works, if that is so.
    pub alone_since: Option<Timestamp>,
    /// What archiving takes, if events are archived.
    pub archiving: Option<Archiving>,
    /// The bridge to NATS, if there is one.
    pub bridge: Option<Bridge>,
    /// What is counted.
    pub metrics: Metrics,
}

/// The bridge to NATS.
pub struct Bridge {
    /// NATS.
    pub broker: Arc<dyn MessageBroker>,
    /// Where it is noted how the bridge is.
    pub status: Arc<dyn BridgeStatusStore>,
    /// What this service calls itself there.
    pub own_name: String,
}

/// What archiving takes.
pub struct Archiving {
    /// Knows which events are not archived.
    pub store: Arc<dyn ArchiveStore>,
    /// Keeps the archive.
    pub objects: Arc<dyn ObjectStore>,
    /// After how many days events are archived, if they are every hour.
    pub after: Option<ArchiveAfter>,
    /// Up to when everything is archived at the start.
    pub until: Option<Timestamp>,
}

impl Background {
    /// For how long a message that was taken is hidden: longer than any function runs.
    pub const HIDDEN_FOR: Duration = Duration::from_mins(3);

    /// The functions on the ports of an app.
    #[must_use]
    pub fn new(app: Arc<App>, queues: EmbeddedQueues, bus: Arc<dyn EventBus>) -> Self {
        let (dispatched, processed) = (DispatchedStreams::default(), ProcessedStreams::default());
        Self { app, queues, bus, dispatched, processed, alone_since: None, archiving: None, bridge: None, metrics: Metrics::default() }
    }

    fn webhooks(&self) -> SendWebhookPorts<'_> {
        SendWebhookPorts { sender: &*self.app.webhooks, clock: &*self.app.clock }
    }

    /// The ports of `dispatch-events`.
    #[must_use]
    pub fn dispatching(&self) -> DispatchEventsPorts<'_> {
        DispatchEventsPorts {
            log: &*self.app.stores.log,
            definitions: &*self.app.stores.definitions,
            queues: &*self.app.queues,
            bus: Some(&*self.bus),
            bridging: self.app.bridging(),
            clock: &*self.app.clock,
            dispatched: &self.dispatched,
        }
    }

    fn running(&self) -> RunProcessorPorts<'_> {
        RunProcessorPorts {
            append: self.app.append(),
            webhooks: self.webhooks(),
            queues: &*self.app.queues,
            bus: Some(&*self.bus),
            write: webhook_body,
            replay: None,
        }
    }

    /// The ports of `run-replays`.
    #[must_use]
    pub fn replaying(&self) -> RunReplaysPorts<'_> {
        RunReplaysPorts {
            replays: &*self.app.stores.replays,
            batch: self.app.replay_batches(),
            timer: &*self.app.timer,
            run: self.running(),
            bridging: self.app.bridging(),
            alone_since: self.alone_since,
        }
    }

    /// The ports of `process-events` and `retry-processors`.
    #[must_use]
    pub fn processing(&self) -> ProcessEventsPorts<'_> {
        ProcessEventsPorts {
            log: &*self.app.stores.log,
            outcomes: &*self.app.stores.outcomes,
            definitions: &*self.app.stores.definitions,
            dead_letters: &*self.app.stores.dead_letters,
            run: self.running(),
            random: &*self.app.random,
            processed: &self.processed,
        }
    }

    /// The ports of `deliver-webhooks`.
    #[must_use]
    pub fn delivering(&self) -> DeliverWebhooksPorts<'_> {
        DeliverWebhooksPorts {
            log: &*self.app.stores.log,
            outcomes: &*self.app.stores.outcomes,
            definitions: &*self.app.stores.definitions,
            deliveries: &*self.app.stores.deliveries,
            dead_letters: &*self.app.stores.dead_letters,
            queues: &*self.app.queues,
            bus: Some(&*self.bus),
            bridging: self.app.bridging(),
            webhooks: self.webhooks(),
            write: webhook_body,
            random: &*self.app.random,
            alone_since: self.alone_since,
        }
    }

    /// The ports of `nats-bridge`, if there is one.
    #[must_use]
    pub fn bridging(&self) -> Option<nats_bridge::Ports<'_>> {
        let Bridge { broker, status, own_name } = self.bridge.as_ref()?;
        let bridge = BridgeEventsPorts {
            log: &*self.app.stores.log,
            outcomes: &*self.app.stores.outcomes,
            definitions: &*self.app.stores.definitions,
            publisher: &**broker,
            write: WRITE_BRIDGED,
        };
        let ingest = IngestMessagesPorts {
            source: &**broker,
            append: self.app.append(),
            events: &*self.app.stores.events,
            rejected: &*self.app.stores.rejected,
            definitions: &*self.app.stores.definitions,
            gate: &self.app.gate,
            clock: &*self.app.clock,
            read: read_message,
            own_name,
        };
        Some(nats_bridge::Ports { bridge, ingest, queues: &self.queues, broker: &**broker, status: &**status })
    }

    /// The ports of `sweep`.
    #[must_use]
    pub fn sweeping(&self) -> sweep::Ports<'_> {
        let sweep = SweepPorts {
            events: &*self.app.stores.events,
            definitions: &*self.app.stores.definitions,
            deliveries: &*self.app.stores.deliveries,
            dead_letters: &*self.app.stores.dead_letters,
            replays: &*self.app.stores.replays,
            queues: &self.queues,
            dead_queues: &self.queues,
            clock: &*self.app.clock,
        };
        let measure =
            MeasureServicePorts { events: &*self.app.stores.events, counters: &*self.app.stores.counters, clock: &*self.app.clock };
        sweep::Ports { sweep, measure }
    }

    /// Archives as `archive-events` does if it is told so, in all hours: what one machine holds is looked through in no time, and nobody
    /// knows when it runs.
    ///
    /// # Errors
    /// [`ArchiveEventsError`]: the next run goes on.
    pub async fn archive(&self, until: Option<Timestamp>) -> Result<Archived, ArchiveEventsError> {
        let Some(Archiving { store, objects, after, .. }) = &self.archiving else { return Ok(Archived::default()) };
        let ports = ArchiveEventsPorts { archive: &**store, objects: &**objects, clock: &*self.app.clock };
        let now = self.app.clock.now();
        match archive_events::run(*after, until, now) {
            Some(run) => archive(&ports, &ArchiveRun { reach: ArchiveReach::All, ..run }).await,
            None => Ok(Archived::default()),
        }
    }

    /// Hands records of the table's stream to `dispatch-events`, as Lambda writes them.
    ///
    /// # Errors
    /// [`BackgroundError`] if not all were handed on: they are to be handed over again.
    pub async fn dispatch(&self, records: Value) -> Result<(), BackgroundError> {
        let event = lambda_event(records)?;
        let answer = dispatch_events::handle(&self.dispatching(), event).await.map_err(BackgroundError::Function)?;
        if failures(&answer).is_empty() { Ok(()) } else { Err(BackgroundError::Left) }
    }

    /// Takes up to `most` messages of a queue, hands them to its function, and removes those that were dealt with. Returns how many
    /// were taken.
    ///
    /// # Errors
    /// [`BackgroundError`]: what was taken can be seen again once its time is up.
    pub async fn take(&self, queue: WorkQueue, most: usize) -> Result<usize, BackgroundError> {
        let source = Queue::Work(queue);
        let received = self.queues.receive(&source, most, Self::HIDDEN_FOR).await?;
        if received.is_empty() {
            return Ok(0);
        }
        let records: Vec<Value> = received.iter().map(|message| as_lambda_has_it(queue, message)).collect();
        let records = json!({ "Records": records });
        let answer = match queue {
            WorkQueue::Process => process_events::handle(&self.processing(), lambda_event(records)?).await,
            WorkQueue::Retry => retry_processors::handle(&self.processing(), lambda_event(records)?).await,
            WorkQueue::Deliver => deliver_webhooks::handle(&self.delivering(), lambda_event(records)?).await,
            WorkQueue::Replay => run_replays::handle(&self.replaying(), lambda_event(records)?).await,
            WorkQueue::Collect => store_collected::handle(&self.app.storing(), lambda_event(records)?).await,
            WorkQueue::Nats => match &self.bridging() {
                Some(ports) => nats_bridge::handle(ports, lambda_event(records)?).await,
                // What is left of a time when there was a bridge waits for the next.
                None => return Ok(0),
            },
        };
        let answer = answer.map_err(BackgroundError::Function)?;
        let count = received.len();
        let failed = failures(&answer);
        let mut done = Vec::with_capacity(count);
        done.extend(received.into_iter().filter(|message| !failed.contains(&message.id.as_str())).map(|message| message.receipt));
        for receipt in done {
            self.queues.remove(&source, &receipt).await?;
        }
        Ok(count)
    }

    /// Looks for what waits.
    ///
    /// # Errors
    /// [`SweepError`]: the next sweep goes on.
    pub async fn sweep(&self, reach: SweepReach) -> Result<Swept, SweepError> {
        sweep(&SweepPorts { queues: &*self.app.queues, ..self.sweeping().sweep }, reach).await
    }
}

fn lambda_event<T: DeserializeOwned>(payload: Value) -> Result<LambdaEvent<T>, serde_json::Error> {
    Ok(LambdaEvent::new(serde_json::from_value(payload)?, Context::default()))
}

fn as_lambda_has_it(queue: WorkQueue, message: &Received) -> Value {
    let mut attributes = json!({
        "ApproximateReceiveCount": message.receives.to_string(),
        "SentTimestamp": message.sent_at_ms.to_string(),
    });
    if let Some(group) = &message.group {
        attributes["MessageGroupId"] = group.as_str().into();
    }
    json!({
        "messageId": message.id,
        "receiptHandle": message.receipt.0,
        "body": message.body,
        "attributes": attributes,
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": format!("arn:aws:sqs:local:000000000000:{queue}"),
        "awsRegion": "local",
    })
}

/// The ids of what a function did not deal with.
fn failures(answer: &Value) -> Vec<&str> {
    let failures = answer["batchItemFailures"].as_array().into_iter().flatten();
    failures.filter_map(|failure| failure["itemIdentifier"].as_str()).collect()
}

/// How many at a time work on a queue, and how many messages each takes.
const fn crew(queue: WorkQueue) -> (usize, usize) {
    match queue {
        // One message each: those of a group wait for one another, those of others need not.
        WorkQueue::Process => (16, 1),
        WorkQueue::Retry | WorkQueue::Collect => (4, 10),
        WorkQueue::Deliver => (32, 1),
        // All of a batch that is of one group is published one after the other.
        WorkQueue::Nats => (8, 10),
        WorkQueue::Replay => (4, 1),
    }
}

/// How many messages of others are taken in at a time, and how long one waits for them.
const INGEST_BATCH: usize = 256;
const INGEST_WAIT: Duration = Duration::from_secs(20);
/// How long nothing is taken in after something that comes again: a little longer than that takes.
const INGEST_PAUSE: Duration = Duration::from_millis(1_500);
/// How often the schedule runs.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How often old events are archived.
const ARCHIVE_EVERY: Duration = Duration::from_hours(1);
/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// How long to wait at most before looking at a queue again.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Works on the queues and on the schedule until it is dropped. What is under way then is done again by the next process.
pub async fn run(background: &Background) {
    let mut workers: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    // Without a bridge there is nobody to publish anything.
    for queue in WorkQueue::ALL.iter().filter(|queue| **queue != WorkQueue::Nats || background.bridge.is_some()) {
        let (crew, most) = crew(*queue);
        workers.extend((0..crew).map(|_| Box::pin(work(background, *queue, most)) as Pin<Box<dyn Future<Output = ()> + '_>>));
    }
    workers.push(Box::pin(schedule(background)));
    workers.push(Box::pin(archive_hourly(background)));
    if let Some(bridge) = &background.bridge {
        workers.push(Box::pin(look_after_bridge(background)));
        for feed in bridge.broker.feeds() {
            workers.push(Box::pin(take_in(background, feed)));
        }
    }
    join_all(workers).await;
}

/// Takes in what others send, as it comes.
async fn take_in(background: &Background, feed: &IngestFeed) {
    let mut was_told = false;
    loop {
        let Some(ports) = background.bridging() else { return };
        let taken = AssertUnwindSafe(ingest_messages(&ports.ingest, feed, INGEST_BATCH, INGEST_WAIT)).catch_unwind().await;
        let taken = taken.unwrap_or_else(|_| Err(BrokerError("taking messages in panicked".to_owned())));
        if let Ok(ingested) = &taken {
            background.metrics.ingested(ingested);
        }
        let pause = match taken {
            Ok(Ingested { again: 0, .. }) => {
                if std::mem::take(&mut was_told) {
                    tracing::warn!(%feed, "messages are taken in again");
                }
                continue;
            }
            // What is stored now would overtake what comes again.
            Ok(_) => INGEST_PAUSE,
            Err(error) => {
                // Once is enough until it works again.
                if !was_told {
                    tracing::warn!(error = %Chain(&error), %feed, "no messages are taken in");
                }
                was_told = true;
                PAUSE
            }
        };
        background.app.timer.wait_until(background.app.clock.now().plus(pause)).await;
    }
}

/// Looks every few seconds whether NATS is there.
async fn look_after_bridge(background: &Background) {
    let mut was_there = true;
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        let Some(ports) = background.bridging() else { return };
        let looked = nats_bridge::look(&ports).await;
        match &looked {
            Err(error) if was_there => tracing::warn!(error = %Chain(error), "NATS does not answer: what is to be published waits"),
            Ok(()) if !was_there => tracing::warn!("NATS answers again"),
            Ok(()) | Err(_) => {}
        }
        was_there = looked.is_ok();
    }
}

async fn work(background: &Background, queue: WorkQueue, most: usize) {
    let source = Queue::Work(queue);
    loop {
        // A function that panics takes its call with it on AWS, and no other.
        let taken = AssertUnwindSafe(background.take(queue, most)).catch_unwind().await;
        let taken = taken.unwrap_or_else(|_| {
            tracing::error!(%queue, "a function panicked");
            Err(BackgroundError::Left)
        });
        match taken {
            Ok(0) => {
                let now = background.app.clock.now();
                let due = background.queues.next_visible_at(&source).ok().flatten().and_then(|at| at.since(now));
                // A moment later than due: what is due to the microsecond can be seen then.
                let pause = due.map_or(LOOK_EVERY, |due| due.clamp(Duration::from_millis(5), LOOK_EVERY));
                let _ = tokio::time::timeout(pause, background.queues.arrival(&source)).await;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(error = %Chain(&error), %queue, "a queue waits");
                background.app.timer.wait_until(background.app.clock.now().plus(PAUSE)).await;
            }
        }
    }
}

/// Looks for everything that waits, once, and then as the schedule has it.
async fn schedule(background: &Background) {
    if let Err(error) = background.sweep(SweepReach::START).await {
        tracing::error!(error = %Chain(&error), "what waited from before was not all found");
    }
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        // What fails is in the log, and is found the next time.
        let _ = sweep::handle(&background.sweeping(), LambdaEvent::new(Value::Null, Context::default())).await;
    }
}

/// Archives at once, also what is asked for once, and then every hour.
async fn archive_hourly(background: &Background) {
    let mut until = background.archiving.as_ref().and_then(|archiving| archiving.until);
    let mut ticks = tokio::time::interval(ARCHIVE_EVERY);
    loop {
        ticks.tick().await;
        let asked = until.take();
        match background.archive(asked).await {
            Ok(archived) if archived.events > 0 || asked.is_some() => {
                terminal::print(&format!("{} events were archived.", archived.events));
            }
            Ok(_) => {}
            Err(error) => tracing::error!(error = %Chain(&error), "not all was archived; the next run goes on"),
        }
    }
}
