//! Takes in messages of other services: each once, those of a stream in their order, acknowledged only when the store has them.

use std::time::Duration;

use super::append::AppendPorts;
use super::check_schemas::{OpenGate, SchemaGate};
use super::collect_events::{StoreHeldPorts, Taken, store_or_leave};
use crate::domain::bridge::{IncomingMessage, IngestFeed, MessageReceipt, Settlement};
use crate::domain::collected_event::CollectedEvent;
use crate::domain::rejected_event::RejectedEvent;
use crate::domain::retry_policy::doubled;
use crate::domain::timestamp::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::definition_store::DefinitionStore;
use crate::ports::event_reader::EventReader;
use crate::ports::message_broker::{BrokerError, MessageSource};
use crate::ports::rejected_events::RejectedEvents;
use crate::ports::store_error::StoreError;
use crate::telemetry::Chain;

/// What taking messages in needs.
#[derive(Clone, Copy)]
pub struct IngestMessagesPorts<'a> {
    /// Where they come from.
    pub source: &'a dyn MessageSource,
    /// Where events go.
    pub append: AppendPorts<'a>,
    /// Knows the events that are stored under an id.
    pub events: &'a dyn EventReader,
    /// Where messages go that cannot be read.
    pub rejected: &'a dyn RejectedEvents,
    /// Knows the schemas.
    pub definitions: &'a dyn DefinitionStore,
    /// What is known of them.
    pub gate: &'a SchemaGate,
    /// Says when.
    pub clock: &'a dyn Clock,
    /// Reads messages. The wire's form is known further out, in `http`.
    pub read: for<'m> fn(&'m IncomingMessage, Timestamp, Option<&'m OpenGate<'m>>) -> ReadMessage,
    /// What this service is called in the header of what it publishes.
    pub own_name: &'a str,
}

/// What a message is.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadMessage {
    /// An event.
    Event(Box<CollectedEvent>),
    /// Something that this service has published.
    Own,
    /// Nothing that can be stored.
    Rejected(Box<RejectedEvent>),
}

/// What came of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ingested {
    /// How many messages there were.
    pub taken: usize,
    /// How many became events.
    pub stored: usize,
    /// How many had become events before.
    pub repeated: usize,
    /// How many this service had published itself.
    pub own: usize,
    /// How many are kept as rejected events.
    pub rejected: usize,
    /// How many come again, because the store did not take them.
    pub again: usize,
}

impl Ingested {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            taken: self.taken + other.taken,
            stored: self.stored + other.stored,
            repeated: self.repeated + other.repeated,
            own: self.own + other.own,
            rejected: self.rejected + other.rejected,
            again: self.again + other.again,
        }
    }
}

/// How long a message waits before it comes again, the first time; twice as long each further time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest that it waits.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Takes up to `most` messages of a feed in, waiting for the first at most so long.
///
/// # Errors
/// [`BrokerError`] if the broker does not answer. What was stored by then is known when it comes again.
pub async fn ingest_messages(
    ports: &IngestMessagesPorts<'_>,
    feed: &IngestFeed,
    most: usize,
    wait: Duration,
) -> Result<Ingested, BrokerError> {
    let messages = ports.source.fetch(feed, most, wait).await?;
    if messages.is_empty() {
        return Ok(Ingested::default());
    }
    let mut ingested = Ingested { taken: messages.len(), ..Ingested::default() };
    let mut settled: Vec<(MessageReceipt, Settlement)> = Vec::with_capacity(messages.len());
    let (mut events, mut rejected) = (Vec::new(), Vec::new());
    let gate = ports.gate.open(ports.definitions, ports.clock.now()).await;
    let gate = gate.inspect_err(|error| tracing::warn!(%error, "messages are not held to their schemas")).ok();
    for message in &messages {
        if message.origin.as_deref() == Some(ports.own_name) {
            ingested.own += 1;
            settled.push((message.receipt.clone(), Settlement::Done));
            continue;
        }
        match (ports.read)(message, ports.clock.now(), gate.as_ref()) {
            ReadMessage::Event(event) => events.push((message, *event)),
            ReadMessage::Rejected(event) => rejected.push((message, *event)),
            ReadMessage::Own => {
                ingested.own += 1;
                settled.push((message.receipt.clone(), Settlement::Done));
            }
        }
    }
    keep_rejected(ports, rejected, &mut ingested, &mut settled).await;
    store(ports, events, &mut ingested, &mut settled).await;
    ports.source.settle(&settled).await?;
    Ok(ingested)
}

async fn keep_rejected(
    ports: &IngestMessagesPorts<'_>,
    rejected: Vec<(&IncomingMessage, RejectedEvent)>,
    ingested: &mut Ingested,
    settled: &mut Vec<(MessageReceipt, Settlement)>,
) {
    if rejected.is_empty() {
        return;
    }
    let (messages, rejected): (Vec<&IncomingMessage>, Vec<RejectedEvent>) = rejected.into_iter().unzip();
    let kept = ports.rejected.keep(&rejected).await;
    if let Err(error) = &kept {
        tracing::error!(error = %Chain(error), messages = messages.len(), "rejected messages were not kept and come again");
    }
    for message in messages {
        settled.push((message.receipt.clone(), if kept.is_ok() { Settlement::Never } else { again(message) }));
    }
    if kept.is_ok() { ingested.rejected += rejected.len() } else { ingested.again += rejected.len() }
}

async fn store(
    ports: &IngestMessagesPorts<'_>,
    events: Vec<(&IncomingMessage, CollectedEvent)>,
    ingested: &mut Ingested,
    settled: &mut Vec<(MessageReceipt, Settlement)>,
) {
    let (mut messages, mut fresh) = (Vec::with_capacity(events.len()), Vec::with_capacity(events.len()));
    for (message, event) in events {
        match is_stored(ports.events, &event).await {
            Ok(false) => {
                messages.push(message);
                fresh.push(event);
            }
            Ok(true) => {
                ingested.repeated += 1;
                settled.push((message.receipt.clone(), Settlement::Done));
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), "a message was not looked up and comes again");
                ingested.again += 1;
                settled.push((message.receipt.clone(), again(message)));
            }
        }
    }
    let held = StoreHeldPorts { append: ports.append, rejected: ports.rejected, clock: ports.clock };
    let stored = store_or_leave(&held, fresh).await;
    for (message, taken) in messages.into_iter().zip(stored) {
        settled.push((message.receipt.clone(), if taken.is_some() { Settlement::Done } else { again(message) }));
        match taken.map(|taken| taken.how) {
            Some(Taken::Stored) => ingested.stored += 1,
            Some(Taken::Before | Taken::Queued) => ingested.repeated += 1,
            None => ingested.again += 1,
        }
    }
}

/// Whether a whole event is stored already: it is one of this service's own, which has come round, or has been taken in before.
async fn is_stored(events: &dyn EventReader, event: &CollectedEvent) -> Result<bool, StoreError> {
    match event.draft.event_id {
        Some(id) => Ok(events.event(id, event.draft.organization.as_ref()).await?.is_some()),
        None => Ok(false),
    }
}

/// When a message that was not dealt with comes again.
fn again(message: &IncomingMessage) -> Settlement {
    Settlement::Again(doubled(FIRST_PAUSE, message.deliveries, LONGEST_PAUSE))
}
