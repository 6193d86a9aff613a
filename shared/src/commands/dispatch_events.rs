//! Hands what was stored to those who act on it: processors, subscribers and the bus.
//!
//! Every change of the table comes here at least once. What is sent on is told by where it lies, so that the same change sent
//! twice does no harm to processors and to subscriptions that want order; other receivers tell it by its id.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::time::Duration;

use super::bridge_events::{commits_to_bridge, group_of_name, told_to_bridge};
use super::known_versions::KnownVersions;
use crate::domain::bridge::Bridging;
use crate::domain::commit::Commit;
use crate::domain::counters::SequenceNumber;
use crate::domain::definitions::Definitions;
use crate::domain::delivery::DeliveryId;
use crate::domain::domain_event::{DomainEvent, DomainEventKind, ProcessedEvent, new_results};
use crate::domain::event::{BodyDigest, Event};
use crate::domain::happening::{Happening, NoticedHappening};
use crate::domain::identifiers::SubscriptionId;
use crate::domain::outcome::Outcome;
use crate::domain::queue::{MessageOrder, Outgoing, Queue, WorkQueue};
use crate::domain::stream_id::StreamKey;
use crate::domain::subscription::Ordering;
use crate::domain::timestamp::Timestamp;
use crate::domain::version::Version;
use crate::domain::work::{DeliverWork, DeliveryWork, EventRef, PlaceInStream, ProcessWork, StreamRef};
use crate::ports::clock::Clock;
use crate::ports::commit_log::CommitLog;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::event_bus::{BusEntry, BusError, EventBus};
use crate::ports::queue::{QueueError, QueueSender};
use crate::ports::store_error::StoreError;

/// What dispatching needs.
pub struct DispatchEventsPorts<'a> {
    /// Where commits are read that the stream has not brought.
    pub log: &'a dyn CommitLog,
    /// Knows the processors and subscriptions.
    pub definitions: &'a dyn DefinitionStore,
    /// Takes the work.
    pub queues: &'a dyn QueueSender,
    /// The bus, if there is one.
    pub bus: Option<&'a dyn EventBus>,
    /// Whether what happens is published on NATS.
    pub bridging: Bridging,
    /// Says when.
    pub clock: &'a dyn Clock,
    /// How far streams have been dispatched by this process.
    pub dispatched: &'a DispatchedStreams,
}

/// How far this process has dispatched each stream. What is forgotten here, or was never known, is caught by
/// `process-events`, which looks back itself.
pub struct DispatchedStreams(KnownVersions);

impl Default for DispatchedStreams {
    fn default() -> Self {
        const STREAMS: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();
        Self(KnownVersions::of(STREAMS))
    }
}

/// Not everything was handed on.
#[derive(Debug, thiserror::Error)]
#[error("dispatching stopped at change {}", .from.0)]
pub struct DispatchEventsError {
    /// The first change that was not handed on. Those after it are delivered again.
    pub from: SequenceNumber,
    /// Why.
    #[source]
    pub cause: DispatchFailure,
}

/// Why something was not handed on.
#[derive(Debug, thiserror::Error)]
pub enum DispatchFailure {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A queue failed.
    #[error("a queue failed")]
    Queue(#[from] QueueError),
    /// The bus failed.
    #[error("the bus failed")]
    Bus(#[from] BusError),
}

/// Hands on what was noticed of one shard, in its order.
///
/// # Errors
/// [`DispatchEventsError`] names the change from which on to notice again.
pub async fn dispatch_events(ports: &DispatchEventsPorts<'_>, noticed: Vec<NoticedHappening>) -> Result<(), DispatchEventsError> {
    let Some(from) = noticed.iter().map(|noticed| noticed.sequence.clone()).min() else { return Ok(()) };
    // Everything of a call is sent together, in a few calls, and so is noticed again together.
    hand_on(ports, &noticed).await.map_err(|cause| DispatchEventsError { from, cause })
}

async fn hand_on(ports: &DispatchEventsPorts<'_>, noticed: &[NoticedHappening]) -> Result<(), DispatchFailure> {
    let commits: Vec<&Commit> = noticed
        .iter()
        .filter_map(|noticed| match &noticed.happening {
            Happening::Committed(commit) => Some(&**commit),
            Happening::Concluded { .. }
            | Happening::Subscribed(_)
            | Happening::SubscriptionChanged { .. }
            | Happening::Projected(_)
            | Happening::ReplayStarted(_)
            | Happening::ReplayEnded(_) => None,
        })
        .collect();
    if !commits.is_empty() {
        // Whatever was defined before an event was recorded is known here.
        let definitions = ports.definitions.definitions(Freshness::Current).await?;
        if definitions.may_process(None) || ports.bridging == Bridging::On {
            let ordered = in_order(ports, &commits).await?;
            hand_to_processors(ports, &definitions, &ordered).await?;
            hand_commits_to_bridge(ports, &ordered).await?;
            for (stream, commits) in ordered {
                if let Some(last) = commits.last() {
                    ports.dispatched.0.saw(stream, last.last());
                }
            }
        }
        hand_to_subscribers(ports, &definitions, &commits).await?;
    }
    tell(ports, noticed).await
}

/// Tells the bus and the bridge what happened. What was stored the bridge finds with its commit.
async fn tell(ports: &DispatchEventsPorts<'_>, noticed: &[NoticedHappening]) -> Result<(), DispatchFailure> {
    if ports.bus.is_none() && ports.bridging == Bridging::Off {
        return Ok(());
    }
    let (mut entries, mut messages): (Vec<BusEntry>, Vec<Outgoing>) = (Vec::new(), Vec::new());
    for noticed in noticed {
        let happening = &noticed.happening;
        if ports.bus.is_none() && matches!(happening, Happening::Committed(_)) {
            continue;
        }
        let events = domain_events(ports, happening).await?;
        entries.extend(events.iter().map(BusEntry::from));
        if ports.bridging == Bridging::On && !matches!(happening, Happening::Committed(_)) {
            messages.extend(told_to_bridge(&group_of_happening(happening), &events));
        }
    }
    if let Some(bus) = ports.bus {
        bus.put(&entries).await?;
    }
    if !messages.is_empty() {
        ports.queues.send(&Queue::Work(WorkQueue::Nats), &messages).await?;
    }
    Ok(())
}

/// What is told of one thing is told in its order.
fn group_of_happening(happening: &Happening) -> String {
    match happening {
        Happening::Committed(commit) => group_of(&commit.stream),
        Happening::Concluded { commit, .. } => group_of(&commit.stream),
        Happening::Projected(saved) => group_of(&saved.key.stream),
        Happening::Subscribed(subscription) => group_of_name(subscription.id.as_str()),
        Happening::SubscriptionChanged { after, .. } => group_of_name(after.id.as_str()),
        Happening::ReplayStarted(replay) | Happening::ReplayEnded(replay) => group_of_name(replay.id.as_str()),
    }
}

async fn hand_commits_to_bridge(ports: &DispatchEventsPorts<'_>, ordered: &[(&StreamKey, Vec<Commit>)]) -> Result<(), DispatchFailure> {
    if ports.bridging == Bridging::Off {
        return Ok(());
    }
    let mut messages = Vec::new();
    for (stream, commits) in ordered {
        let versions: Vec<Version> = commits.iter().map(|commit| commit.first).collect();
        messages.extend(commits_to_bridge(stream, &versions));
    }
    ports.queues.send(&Queue::Work(WorkQueue::Nats), &messages).await?;
    Ok(())
}

/// The commits of each stream in their order, with those in between that the stream of changes has not brought yet: records of
/// one stream may be noticed out of order.
async fn in_order<'a>(ports: &DispatchEventsPorts<'_>, commits: &[&'a Commit]) -> Result<Vec<(&'a StreamKey, Vec<Commit>)>, StoreError> {
    let mut by_stream: BTreeMap<&StreamKey, BTreeMap<Version, &Commit>> = BTreeMap::new();
    for commit in commits {
        by_stream.entry(&commit.stream).or_default().insert(commit.first, commit);
    }
    let mut ordered = Vec::with_capacity(by_stream.len());
    for (stream, commits) in by_stream {
        let mut complete: Vec<Commit> = Vec::with_capacity(commits.len());
        let mut last = ports.dispatched.0.get(stream);
        for (first, commit) in commits {
            if let Some(mut version) = last {
                while version.next() < first {
                    let Some(missing) = ports.log.commit_holding(stream, version.next()).await? else { break };
                    version = missing.last();
                    complete.push(missing);
                }
            }
            last = Some(last.map_or(commit.last(), |last| last.max(commit.last())));
            complete.push(commit.clone());
        }
        ordered.push((stream, complete));
    }
    Ok(ordered)
}

async fn hand_to_processors(
    ports: &DispatchEventsPorts<'_>,
    definitions: &Definitions,
    ordered: &[(&StreamKey, Vec<Commit>)],
) -> Result<(), DispatchFailure> {
    if !definitions.may_process(None) {
        return Ok(());
    }
    let mut messages = Vec::new();
    for (stream, commits) in ordered {
        let versions: Vec<Version> =
            commits.iter().filter(|commit| definitions.count_to_process(commit) > 0).map(|commit| commit.first).collect();
        messages.extend(process_messages(stream, &versions, ""));
    }
    ports.queues.send(&Queue::Work(WorkQueue::Process), &messages).await?;
    Ok(())
}

/// The most commits of a message to `process-events`.
const COMMITS_A_MESSAGE: usize = 20;

/// Messages that have the commits of a stream processed. `again` tells a repetition from what it repeats.
#[must_use]
pub fn process_messages(stream: &StreamKey, commits: &[Version], again: &str) -> Vec<Outgoing> {
    let group = group_of(stream);
    let message = |commits: &[Version]| {
        let body = to_json(&ProcessWork { stream: StreamRef::from(stream), commits: commits.to_vec() });
        let deduplication = BodyDigest::of(format!("{body}{again}").as_bytes()).to_string();
        Outgoing::ordered(MessageOrder { group: group.clone(), deduplication }, body)
    };
    commits.chunks(COMMITS_A_MESSAGE).map(message).collect()
}

/// The group of a stream's messages.
#[must_use]
pub fn group_of(stream: &StreamKey) -> String {
    let organization = stream.organization.as_ref().map_or("", |organization| organization.as_str());
    BodyDigest::of(format!("{organization}/{}", stream.stream).as_bytes()).to_string()
}

pub(super) fn to_json<T: serde::Serialize>(work: &T) -> String {
    // Work is made of texts and numbers, which can always be written.
    serde_json::to_string(work).unwrap_or_default()
}

async fn hand_to_subscribers(
    ports: &DispatchEventsPorts<'_>,
    definitions: &Definitions,
    commits: &[&Commit],
) -> Result<(), DispatchFailure> {
    if definitions.subscriptions().all(|subscription| !subscription.is_active()) {
        return Ok(());
    }
    let now = ports.clock.now();
    let mut unordered: BTreeMap<&SubscriptionId, Vec<DeliveryWork>> = BTreeMap::new();
    let mut ordered: BTreeMap<(&SubscriptionId, &StreamKey), Version> = BTreeMap::new();
    for commit in commits {
        for event in commit.to_events() {
            for subscription in definitions.subscriptions_of(&event) {
                match subscription.ordering {
                    Ordering::None => unordered.entry(&subscription.id).or_default().push(first_delivery(&subscription.id, &event, now)),
                    Ordering::Stream => {
                        let through = ordered.entry((&subscription.id, &commit.stream)).or_insert(event.stream_version);
                        *through = event.stream_version.max(*through);
                    }
                }
            }
        }
    }
    let mut messages: Vec<Outgoing> = Vec::new();
    for (subscription, deliveries) in unordered {
        messages.extend(delivery_messages(subscription, &deliveries));
    }
    for ((subscription, stream), through) in ordered {
        messages.push(stream_message(subscription, StreamRef::from(stream), through, Duration::ZERO));
    }
    ports.queues.send(&Queue::Work(WorkQueue::Deliver), &messages).await?;
    Ok(())
}

/// The first attempt to send an event to a subscription.
#[must_use]
pub fn first_delivery(subscription: &SubscriptionId, event: &Event, now: Timestamp) -> DeliveryWork {
    DeliveryWork {
        delivery_id: DeliveryId::of(subscription.as_str(), event.place),
        event: event_ref(event),
        attempt: 1,
        since: now,
        resend: false,
    }
}

/// Messages that have these events sent.
#[must_use]
pub fn delivery_messages(subscription: &SubscriptionId, deliveries: &[DeliveryWork]) -> Vec<Outgoing> {
    let message = |deliveries: &[DeliveryWork]| {
        Outgoing::now(to_json(&DeliverWork::Events { subscription_id: subscription.clone(), deliveries: deliveries.to_vec() }))
    };
    deliveries.chunks(DeliverWork::MAX_EVENTS).map(message).collect()
}

/// A message that has a stream sent, in its order, up to this version at least.
#[must_use]
pub fn stream_message(subscription: &SubscriptionId, stream: StreamRef, through: Version, delay: Duration) -> Outgoing {
    Outgoing::after(delay, to_json(&DeliverWork::Stream { subscription_id: subscription.clone(), stream, through }))
}

/// Where an event lies.
#[must_use]
pub fn event_ref(event: &Event) -> EventRef {
    let PlaceInStream { commit, index } = event.into();
    EventRef { stream: StreamRef::from(&event.stream), commit, index }
}

/// What the bus is told of a change.
async fn domain_events(ports: &DispatchEventsPorts<'_>, happening: &Happening) -> Result<Vec<DomainEvent>, StoreError> {
    match happening {
        Happening::Committed(commit) => Ok(commit.to_events().iter().map(DomainEvent::stored).collect()),
        Happening::Concluded { commit, before, after } => {
            let events = ports.log.commit_at(commit).await?.map(|commit| commit.to_events()).unwrap_or_default();
            Ok(results(&events, before.as_ref(), after))
        }
        Happening::Projected(saved) => Ok(vec![DomainEvent::projection_created(saved)]),
        Happening::ReplayStarted(replay) => Ok(vec![DomainEvent::replay_started(replay)]),
        Happening::ReplayEnded(replay) => Ok(DomainEvent::replay_ended(replay).into_iter().collect()),
        Happening::Subscribed(subscription) => Ok(vec![DomainEvent::subscription_created(subscription)]),
        Happening::SubscriptionChanged { before, after } => {
            let disabled = after.disabled_because.filter(|_| before.disabled_because.is_none());
            Ok(disabled
                .map(|because| {
                    DomainEvent::subscription_troubled(DomainEventKind::SubscriptionDisabled, after, because, None, after.updated_at)
                })
                .into_iter()
                .collect())
        }
    }
}

fn results(events: &[Event], before: Option<&Outcome>, after: &Outcome) -> Vec<DomainEvent> {
    let mut told = Vec::new();
    let mut known = BTreeSet::new();
    for (index, (event, outcome)) in events.iter().zip(&after.events).enumerate() {
        let of = ProcessedEvent { place: event.place, event_id: event.id, event_type: &event.details.event_type };
        let earlier = before.and_then(|before| before.events.get(index));
        for result in new_results(earlier, outcome) {
            told.extend(DomainEvent::processed(&of, result).filter(|event| known.insert(event.id.clone())));
        }
    }
    told
}
