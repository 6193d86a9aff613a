//! Publishes events and domain events to other services: what the queue `nats` asks for.
//!
//! Messages hold places, so whoever takes one up reads what is stored. The events of a stream are published one after the other, none
//! before the broker has kept the one before it: so they keep their order, however often a message is taken up again. What is published
//! twice has the same id, by which the broker knows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::{join, join_all};
use tracing::Instrument as _;

use super::dispatch_events::{group_of, to_json};
use super::event_span;
use super::send_webhook::WriteEvent;
use crate::domain::bridge::{BridgeMessage, DATA_OMITTED};
use crate::domain::claim::Slot;
use crate::domain::commit::Commit;
use crate::domain::definitions::Definitions;
use crate::domain::domain_event::{DomainEvent, ProcessedEvent};
use crate::domain::event::{BodyDigest, Event};
use crate::domain::identifiers::{ReplayId, ReplayTargetName};
use crate::domain::json::JsonObject;
use crate::domain::outcome::Outcome;
use crate::domain::query::ObservedEvent;
use crate::domain::queue::{MessageOrder, Outgoing};
use crate::domain::stream_id::StreamKey;
use crate::domain::timestamp::Timestamp;
use crate::domain::trace::TraceParent;
use crate::domain::version::Version;
use crate::domain::work::{NatsWork, PlaceInStream, StreamRef, ToldEvent};
use crate::ports::commit_log::CommitLog;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::message_broker::{BrokerError, MessagePublisher, NotPublished};
use crate::ports::outcome_log::OutcomeLog;
use crate::ports::store_error::StoreError;

/// What publishing needs.
#[derive(Clone, Copy)]
pub struct BridgeEventsPorts<'a> {
    /// Where events are read.
    pub log: &'a dyn CommitLog,
    /// Knows what became of them, when they are published again.
    pub outcomes: &'a dyn OutcomeLog,
    /// Knows the upcasters.
    pub definitions: &'a dyn DefinitionStore,
    /// Where they go.
    pub publisher: &'a dyn MessagePublisher,
    /// Writes events as `GET` answers them, or as webhooks of a replay carry them.
    pub write: WriteBridged,
}

/// Writes events: as they are, and of a replay.
#[derive(Clone, Copy)]
pub struct WriteBridged {
    /// As `GET` answers it.
    pub event: fn(&ObservedEvent) -> String,
    /// Marked with its replay.
    pub replayed: WriteEvent,
}

/// Something was not published. The message is to be taken up again.
#[derive(Debug, thiserror::Error)]
pub enum BridgeEventsError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The broker failed.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// A message of the queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueuedWork {
    /// The message's id in the queue.
    pub id: String,
    /// Its group: those of one are dealt with in their order.
    pub group: String,
    /// What it asks for.
    pub work: NatsWork,
}

/// What came of some messages of the queue.
#[derive(Debug, Default)]
pub struct Bridged {
    /// The ids of those that are to be taken up again, with all that follows them in their groups.
    pub failed: Vec<String>,
    /// When the oldest event was stored that was published now, as far as it was new.
    pub oldest: Option<Timestamp>,
    /// Why the first of them failed.
    pub error: Option<BridgeEventsError>,
}

/// Deals with messages of the queue: those of a group in their order and none after one that failed, groups at the same time.
pub async fn bridge_events(ports: &BridgeEventsPorts<'_>, queued: Vec<QueuedWork>) -> Bridged {
    let mut groups: BTreeMap<String, Vec<QueuedWork>> = BTreeMap::new();
    for work in queued {
        groups.entry(work.group.clone()).or_default().push(work);
    }
    let definitions = match ports.definitions.definitions(Freshness::Current).await {
        Ok(definitions) => definitions,
        Err(error) => {
            let failed = groups.into_values().flatten().map(|work| work.id).collect();
            return Bridged { failed, error: Some(error.into()), ..Bridged::default() };
        }
    };
    let mut all = Bridged::default();
    for of_group in join_all(groups.into_values().map(|group| bridge_group(ports, &definitions, group))).await {
        all.failed.extend(of_group.failed);
        all.oldest = [all.oldest, of_group.oldest].into_iter().flatten().min();
        all.error = all.error.or(of_group.error);
    }
    all
}

async fn bridge_group(ports: &BridgeEventsPorts<'_>, definitions: &Arc<Definitions>, group: Vec<QueuedWork>) -> Bridged {
    let mut bridged = Bridged::default();
    for work in group {
        if bridged.error.is_some() {
            bridged.failed.push(work.id);
            continue;
        }
        if let Err(error) = bridge(ports, definitions, &work.work, &mut bridged).await {
            bridged.failed.push(work.id);
            bridged.error = Some(error);
        }
    }
    bridged
}

async fn bridge(
    ports: &BridgeEventsPorts<'_>,
    definitions: &Definitions,
    work: &NatsWork,
    bridged: &mut Bridged,
) -> Result<(), BridgeEventsError> {
    match work {
        NatsWork::Commits { stream, commits } => {
            for first in commits {
                let Some(commit) = commit(ports, stream, *first).await? else { continue };
                bridged.oldest = Some(bridged.oldest.map_or(commit.recorded_at, |oldest| oldest.min(commit.recorded_at)));
                for event in commit.to_events() {
                    let stored = ToldEvent::from(&DomainEvent::stored(&event));
                    let trace = TraceParent::of(&event.details);
                    // They go to different streams, so neither has to wait for the other.
                    let stored = publish(ports, BridgeMessage::domain_event(stored, trace.as_ref()));
                    let span = event_span::of(&event);
                    let (event, stored) = join(publish_event(ports, definitions, event, None), stored).instrument(span).await;
                    event?;
                    stored?;
                }
            }
        }
        NatsWork::Told { events } => {
            for told in events {
                publish(ports, BridgeMessage::domain_event(told.clone(), None)).await?;
            }
        }
        NatsWork::Again { stream, events, replay_id, name } => {
            let again = Again { stream, replay_id, name: name.as_ref() };
            for of_commit in events.chunk_by(|one, next| one.commit == next.commit) {
                bridge_again(ports, definitions, &again, of_commit).await?;
            }
        }
    }
    Ok(())
}

/// What a replay wants of the events of a stream.
struct Again<'a> {
    stream: &'a StreamRef,
    replay_id: &'a ReplayId,
    name: Option<&'a ReplayTargetName>,
}

/// Publishes events of one commit once more.
async fn bridge_again(
    ports: &BridgeEventsPorts<'_>,
    definitions: &Definitions,
    again: &Again<'_>,
    places: &[PlaceInStream],
) -> Result<(), BridgeEventsError> {
    let Some(first) = places.first() else { return Ok(()) };
    let Some(commit) = commit(ports, again.stream, first.commit).await? else { return Ok(()) };
    let (outcome, _) = ports.outcomes.outcome(commit.id()).await?;
    let events = commit.to_events();
    for (place, event) in places.iter().filter_map(|place| Some((place, events.get(place.index)?.clone()))) {
        let span = event_span::of(&event);
        async {
            if let Some(name) = again.name {
                let observed = definitions.observe_newest(event, outcome.as_ref());
                let body = (ports.write.replayed)(&observed, Some(again.replay_id));
                return publish(ports, BridgeMessage::replayed(&observed.event, again.replay_id, name, body)).await;
            }
            let trace = TraceParent::of(&event.details);
            let told = told_of(&event, place.index, outcome.as_ref());
            publish_event(ports, definitions, event, outcome.as_ref()).await?;
            for told in told {
                publish(ports, BridgeMessage::domain_event(told, trace.as_ref())).await?;
            }
            Ok(())
        }
        .instrument(span)
        .await?;
    }
    Ok(())
}

async fn commit(ports: &BridgeEventsPorts<'_>, stream: &StreamRef, first: Version) -> Result<Option<Commit>, StoreError> {
    let slot = Slot { stream: StreamKey::from(stream), first };
    let commit = ports.log.commit_at(&slot).await?;
    if commit.is_none() {
        tracing::error!(stream_id = %stream.stream, version = first.get(), "there is no commit to publish");
    }
    Ok(commit)
}

/// All that the service has told of an event so far.
fn told_of(event: &Event, index: usize, outcome: Option<&Outcome>) -> Vec<ToldEvent> {
    let of = ProcessedEvent { place: event.place, event_id: event.id, event_type: &event.details.event_type };
    let results = outcome.and_then(|outcome| outcome.events.get(index)).map(|outcome| outcome.results.as_slice()).unwrap_or_default();
    let processed = results.iter().filter_map(|result| DomainEvent::processed(&of, result));
    std::iter::once(DomainEvent::stored(event)).chain(processed).map(|event| ToldEvent::from(&event)).collect()
}

/// Publishes an event as `GET` answers it; without its payload if the broker takes no message of its size.
async fn publish_event(
    ports: &BridgeEventsPorts<'_>,
    definitions: &Definitions,
    event: Event,
    outcome: Option<&Outcome>,
) -> Result<(), BridgeEventsError> {
    let mut observed = definitions.observe_newest(event, outcome);
    let message = BridgeMessage::event(&observed.event, (ports.write.event)(&observed));
    match ports.publisher.publish(&message).await {
        Ok(()) => return Ok(()),
        Err(NotPublished::TooLarge(bytes)) => {
            tracing::warn!(event_id = %observed.event.id, bytes, "an event is published without its payload: the broker takes no message of its size");
        }
        Err(NotPublished::Broker(error)) => return Err(error.into()),
    }
    let details = &mut observed.event.details;
    for object in [&mut details.data, &mut details.metadata, &mut details.context, &mut details.properties] {
        *object = JsonObject::default();
    }
    let mut message = BridgeMessage::event(&observed.event, (ports.write.event)(&observed));
    message.headers.push((DATA_OMITTED, true.to_string()));
    publish(ports, message).await
}

/// Publishes one message. What is too large even so is given up: nobody can ever get it there.
async fn publish(ports: &BridgeEventsPorts<'_>, message: BridgeMessage) -> Result<(), BridgeEventsError> {
    match ports.publisher.publish(&message).await {
        Ok(()) => Ok(()),
        Err(NotPublished::Broker(error)) => Err(error.into()),
        Err(NotPublished::TooLarge(bytes)) => {
            tracing::error!(subject = message.subject, id = message.id, bytes, "a message is too large for the broker and is left out");
            Ok(())
        }
    }
}

/// Messages that have the commits of a stream published.
#[must_use]
pub fn commits_to_bridge(stream: &StreamKey, commits: &[Version]) -> Vec<Outgoing> {
    let work = |commits: &[Version]| NatsWork::Commits { stream: StreamRef::from(stream), commits: commits.to_vec() };
    commits.chunks(NatsWork::MAX_COMMITS).map(|commits| in_group(group_of(stream), &work(commits))).collect()
}

/// Messages that have domain events published, in the order of a group.
#[must_use]
pub fn told_to_bridge(group: &str, events: &[DomainEvent]) -> Vec<Outgoing> {
    let events: Vec<ToldEvent> = events.iter().map(ToldEvent::from).collect();
    let mut messages = Vec::new();
    let mut chunk: Vec<ToldEvent> = Vec::new();
    let mut bytes = 0;
    for event in events {
        // A body is text within text, in which many characters take two.
        let size = 2 * event.body.len() + 200;
        if !chunk.is_empty() && (chunk.len() >= NatsWork::MAX_TOLD || bytes + size > Outgoing::MAX_BYTES) {
            messages.push(in_group(group.to_owned(), &NatsWork::Told { events: std::mem::take(&mut chunk) }));
            bytes = 0;
        }
        bytes += size;
        chunk.push(event);
    }
    if !chunk.is_empty() {
        messages.push(in_group(group.to_owned(), &NatsWork::Told { events: chunk }));
    }
    messages
}

/// A message that has events of a stream published, because a replay has come to them. None if there are none.
#[must_use]
pub fn again_to_bridge(events: &[Event], replay_id: &ReplayId, name: Option<&ReplayTargetName>) -> Option<Outgoing> {
    let stream = StreamRef::from(&events.first()?.stream);
    let group = group_of(&StreamKey::from(&stream));
    let events = events.iter().map(PlaceInStream::from).collect();
    Some(in_group(group, &NatsWork::Again { stream, events, replay_id: replay_id.clone(), name: name.cloned() }))
}

/// The group that work of a stream belongs to; none if it is of no stream.
#[must_use]
pub fn group_of_work(work: &NatsWork) -> Option<String> {
    match work {
        NatsWork::Commits { stream, .. } | NatsWork::Again { stream, .. } => Some(group_of(&StreamKey::from(stream))),
        NatsWork::Told { .. } => None,
    }
}

/// The group of what is told of something that is of no stream.
#[must_use]
pub fn group_of_name(name: &str) -> String {
    BodyDigest::of(name.as_bytes()).to_string()
}

fn in_group(group: String, work: &NatsWork) -> Outgoing {
    let body = to_json(work);
    let deduplication = BodyDigest::of(body.as_bytes()).to_string();
    Outgoing::ordered(MessageOrder { group, deduplication }, body)
}
