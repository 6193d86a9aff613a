//! Shows what was sent to a subscription, and sends it again: one event, what failed, or everything that was missed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use super::dispatch_events::{delivery_messages, event_ref, first_delivery, stream_message};
use super::manage_subscriptions::own;
use crate::domain::access::Caller;
use crate::domain::delivery::{Delivery, DeliveryId, DeliveryState};
use crate::domain::event::{Event, Position};
use crate::domain::event_id::EventId;
use crate::domain::identifiers::SubscriptionId;
use crate::domain::query::{EventFilter, EventQuery, PageSize, PageStart};
use crate::domain::queue::{Queue, WorkQueue};
use crate::domain::subscription::{Health, Ordering, Subscription};
use crate::domain::timestamp::Timestamp;
use crate::domain::version::Version;
use crate::domain::work::{DeliveryWork, StreamRef};
use crate::ports::clock::Clock;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::delivery_log::{DeliveriesRequest, DeliveryLog, DeliveryPage};
use crate::ports::event_reader::EventReader;
use crate::ports::queue::{QueueError, QueueSender};
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;

/// What sending again needs.
#[derive(Clone, Copy)]
pub struct ResendDeliveriesPorts<'a> {
    /// Knows the subscriptions.
    pub definitions: &'a dyn DefinitionStore,
    /// Where deliveries are kept.
    pub deliveries: &'a dyn DeliveryLog,
    /// Finds what was missed.
    pub events: &'a dyn EventReader,
    /// Takes the work.
    pub queues: &'a dyn QueueSender,
    /// Says when.
    pub clock: &'a dyn Clock,
}

/// Why nothing was shown or sent again.
#[derive(Debug, thiserror::Error)]
pub enum ResendDeliveriesError {
    /// There is no such subscription, or the caller may not know of it.
    #[error("subscription not found")]
    NotFound,
    /// The subscription's log has no such delivery.
    #[error("delivery not found")]
    NoSuchDelivery,
    /// Nothing is sent to the subscription.
    #[error("nothing is sent to this subscription: enable it, or give it a callback_url, first")]
    Inactive,
    /// The queue failed.
    #[error("a queue failed")]
    Queue(#[from] QueueError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

type Resending<T> = Result<T, ResendDeliveriesError>;

/// How many events and deliveries one call looks at.
pub const MOST_EXAMINED: usize = 10_000;
/// How many are read at a time.
const PAGE: usize = 500;
/// How many items are written at a time.
const AT_ONCE: usize = 16;
/// How often a change is tried that others get in the way of.
const MOST_ROUNDS: usize = 10;
/// How much longer ago than it was recorded an event may have happened to be found by when it happened.
pub const LATE_BY: Duration = Duration::from_hours(24);
/// After how long a delivery that was asked for and not attempted is asked for again, in case the message was lost.
const REMINDER: Duration = Duration::from_mins(15);

/// Whether something is done or only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// It is done.
    Real,
    /// It is only counted.
    Dry,
}

/// A page of a subscription's deliveries, and how its receiver has answered lately.
///
/// # Errors
/// [`ResendDeliveriesError::NotFound`] if there is no such subscription that the caller may know of.
pub async fn list_deliveries(
    ports: &ResendDeliveriesPorts<'_>,
    caller: &Caller,
    request: &DeliveriesRequest,
) -> Resending<(DeliveryPage, Health)> {
    let definitions = ports.definitions.definitions(Freshness::Current).await?;
    own(&definitions, caller, &request.subscription).ok_or(ResendDeliveriesError::NotFound)?;
    let (health, _) = ports.deliveries.health(&request.subscription).await?;
    Ok((ports.deliveries.deliveries(request).await?, health))
}

/// Sends an event again that the log has, whatever came of it before.
///
/// # Errors
/// [`ResendDeliveriesError`]; nothing is sent then, unless the store or the queue failed.
pub async fn resend_delivery(
    ports: &ResendDeliveriesPorts<'_>,
    caller: &Caller,
    subscription: &SubscriptionId,
    id: &DeliveryId,
) -> Resending<()> {
    let definitions = ports.definitions.definitions(Freshness::Current).await?;
    let subscription = own(&definitions, caller, subscription).ok_or(ResendDeliveriesError::NotFound)?;
    active(subscription)?;
    let now = ports.clock.now();
    let delivery = begin_anew(ports.deliveries, &subscription.id, id, now).await?.ok_or(ResendDeliveriesError::NoSuchDelivery)?;
    let messages = delivery_messages(&subscription.id, &[asked_for(&delivery, now)]);
    Ok(ports.queues.send(&Queue::Work(WorkQueue::Deliver), &messages).await?)
}

fn active(subscription: &Subscription) -> Resending<()> {
    if subscription.is_active() { Ok(()) } else { Err(ResendDeliveriesError::Inactive) }
}

/// The work of sending a delivery again, as its first attempt.
fn asked_for(delivery: &Delivery, now: Timestamp) -> DeliveryWork {
    DeliveryWork { delivery_id: delivery.id.clone(), event: delivery.event.clone(), attempt: 1, since: now, resend: true }
}

/// Opens a delivery again, if the log has it: its next attempt is the first of a new round. This comes before the message that
/// asks for that attempt, which finds a closed delivery done. Should the message be lost, the delivery is due after a while.
///
/// # Errors
/// [`StoreError`] if the store does not answer.
pub(super) async fn begin_anew(
    deliveries: &dyn DeliveryLog,
    subscription: &SubscriptionId,
    id: &DeliveryId,
    now: Timestamp,
) -> Result<Option<Delivery>, StoreError> {
    for _ in 0..MOST_ROUNDS {
        let (standing, revision) = deliveries.delivery(subscription, id).await?;
        let Some(mut delivery) = standing else { return Ok(None) };
        delivery.state = DeliveryState::Retrying;
        delivery.round = 0;
        delivery.next_attempt_at = Some(now);
        delivery.due_at = Some(now.plus(REMINDER));
        if deliveries.save_delivery(&delivery, revision).await? {
            return Ok(Some(delivery));
        }
    }
    Err(StoreError::Contended)
}

/// Opens several deliveries again, of those that the log has.
///
/// # Errors
/// [`StoreError`] if the store does not answer.
pub(super) async fn begin_all_anew(
    deliveries: &dyn DeliveryLog,
    ids: Vec<(SubscriptionId, DeliveryId)>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let reopened =
        stream::iter(ids).map(|(subscription, id)| async move { begin_anew(deliveries, &subscription, &id, now).await.map(|_| ()) });
    reopened.buffer_unordered(AT_ONCE).try_collect().await
}

/// What shall be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoverRequest {
    /// Of events recorded from this moment on.
    pub since: Timestamp,
    /// Which of them.
    pub scope: RecoverScope,
    /// Whether it is done.
    pub run: Run,
    /// Where an earlier call ended.
    pub from: RecoverStep,
}

/// Which events are sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoverScope {
    /// Those whose delivery failed or was canceled.
    #[default]
    Failed,
    /// Those too that the subscription selects, whatever came of them.
    All,
}

impl RecoverScope {
    /// Every scope.
    pub const ALL: &'static [Self] = &[Self::Failed, Self::All];

    /// The word in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::All => "all",
        }
    }
}

/// How far a recovery has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecoverStep {
    /// Deliveries that failed, after this one.
    Failed(Option<DeliveryId>),
    /// Deliveries that were canceled, after this one.
    Canceled(Option<DeliveryId>),
    /// Events, below this place.
    Events(Option<Position>),
}

impl Default for RecoverStep {
    fn default() -> Self {
        Self::Failed(None)
    }
}

/// The text says not how far a recovery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor of a recovery: send next_cursor as it came")]
pub struct RecoverStepError;

impl fmt::Display for RecoverStep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = |id: &Option<DeliveryId>| id.as_ref().map(ToString::to_string).unwrap_or_default();
        match self {
            Self::Failed(id) => write!(formatter, "failed.{}", after(id)),
            Self::Canceled(id) => write!(formatter, "canceled.{}", after(id)),
            Self::Events(None) => formatter.write_str("events."),
            Self::Events(Some(below)) => write!(formatter, "events.{}.{}", below.occurred_at.micros(), below.place),
        }
    }
}

impl FromStr for RecoverStep {
    type Err = RecoverStepError;

    fn from_str(text: &str) -> Result<Self, RecoverStepError> {
        let (step, place) = text.trim().split_once('.').ok_or(RecoverStepError)?;
        let delivery = || if place.is_empty() { Ok(None) } else { place.parse().map(Some).map_err(|_| RecoverStepError) };
        match step {
            "failed" => Ok(Self::Failed(delivery()?)),
            "canceled" => Ok(Self::Canceled(delivery()?)),
            "events" if place.is_empty() => Ok(Self::Events(None)),
            "events" => {
                let (micros, place) = place.split_once('.').ok_or(RecoverStepError)?;
                let micros: i64 = micros.parse().map_err(|_| RecoverStepError)?;
                let occurred_at = Timestamp::from_micros(micros).map_err(|_| RecoverStepError)?;
                let place: EventId = place.parse().map_err(|_| RecoverStepError)?;
                Ok(Self::Events(Some(Position { occurred_at, place })))
            }
            _ => Err(RecoverStepError),
        }
    }
}

/// What a recovery came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// How many events are sent again.
    pub count: usize,
    /// Where to go on, if not everything was looked at.
    pub next: Option<RecoverStep>,
}

/// Sends again what a subscription has missed. One call looks at [`MOST_EXAMINED`] events and deliveries.
///
/// A subscription that wants the order of streams is sent each stream from the first such event on, those after it included.
///
/// # Errors
/// [`ResendDeliveriesError`]; if the store or the queue failed, some may be sent again.
pub async fn recover_deliveries(
    ports: &ResendDeliveriesPorts<'_>,
    caller: &Caller,
    id: &SubscriptionId,
    request: &RecoverRequest,
) -> Resending<Recovered> {
    let definitions = ports.definitions.definitions(Freshness::Current).await?;
    let subscription = own(&definitions, caller, id).ok_or(ResendDeliveriesError::NotFound)?;
    let now = ports.clock.now();
    let mut missed = Missed::default();
    let next = find_missed(ports, subscription, request, &mut missed).await?;
    let count = missed.count();
    if request.run == Run::Real && count > 0 {
        active(subscription)?;
        send_missed(ports, subscription, request.since, missed, now).await?;
    }
    Ok(Recovered { count, next })
}

/// What is to be sent again.
#[derive(Default)]
struct Missed {
    /// One by one.
    deliveries: BTreeMap<DeliveryId, DeliveryWork>,
    /// From the first of these versions of a stream to the last, and how many events that are.
    streams: BTreeMap<StreamRef, (Version, Version, usize)>,
}

impl Missed {
    fn count(&self) -> usize {
        self.deliveries.values().filter(|work| !self.covers(work)).count()
            + self.streams.values().map(|(_, _, events)| events).sum::<usize>()
    }

    /// Whether the event is sent with its stream.
    fn covers(&self, work: &DeliveryWork) -> bool {
        let version = work.event.commit.plus(work.event.index);
        self.streams.get(&work.event.stream).is_some_and(|(first, last, _)| (*first..=*last).contains(&version))
    }

    fn add_to_stream(&mut self, event: &Event) {
        let version = event.stream_version;
        let (first, last, events) = self.streams.entry(event_ref(event).stream).or_insert((version, version, 0));
        (*first, *last) = (version.min(*first), version.max(*last));
        *events += 1;
    }
}

/// Looks for what was missed, from where the request says. Returns where to go on.
async fn find_missed(
    ports: &ResendDeliveriesPorts<'_>,
    subscription: &Subscription,
    request: &RecoverRequest,
    missed: &mut Missed,
) -> Resending<Option<RecoverStep>> {
    let now = ports.clock.now();
    let (mut step, mut examined) = (request.from.clone(), 0);
    while examined < MOST_EXAMINED {
        let (found, next) = match step {
            RecoverStep::Failed(after) => {
                let page = deliveries(ports, subscription, request, DeliveryState::Failed, after).await?;
                let next = page.next.map_or(RecoverStep::Canceled(None), |after| RecoverStep::Failed(Some(after)));
                missed.deliveries.extend(page.deliveries.iter().map(|delivery| (delivery.id.clone(), asked_for(delivery, now))));
                (page.deliveries.len(), Some(next))
            }
            RecoverStep::Canceled(after) => {
                let page = deliveries(ports, subscription, request, DeliveryState::Canceled, after).await?;
                let next = match (page.next, request.scope) {
                    (Some(after), _) => Some(RecoverStep::Canceled(Some(after))),
                    (None, RecoverScope::All) => Some(RecoverStep::Events(None)),
                    (None, RecoverScope::Failed) => None,
                };
                missed.deliveries.extend(page.deliveries.iter().map(|delivery| (delivery.id.clone(), asked_for(delivery, now))));
                (page.deliveries.len(), next)
            }
            RecoverStep::Events(below) => {
                let page = ports.events.query(&events_query(subscription, request.since, below), now).await?;
                let selected = page.events.iter().map(|observed| &observed.event);
                for event in selected.filter(|event| event.recorded_at >= request.since && subscription.selects(event)) {
                    match subscription.ordering {
                        Ordering::Stream => missed.add_to_stream(event),
                        Ordering::None => {
                            let work = DeliveryWork { resend: true, ..first_delivery(&subscription.id, event, now) };
                            missed.deliveries.insert(work.delivery_id.clone(), work);
                        }
                    }
                }
                (page.events.len(), page.next.map(|below| RecoverStep::Events(Some(below))))
            }
        };
        let Some(next) = next else { return Ok(None) };
        // A page may be empty and yet not be the last: it is not for nothing either.
        examined += found.max(1);
        step = next;
    }
    Ok(Some(step))
}

async fn deliveries(
    ports: &ResendDeliveriesPorts<'_>,
    subscription: &Subscription,
    request: &RecoverRequest,
    state: DeliveryState,
    after: Option<DeliveryId>,
) -> Result<DeliveryPage, StoreError> {
    let (subscription, since) = (subscription.id.clone(), Some(request.since));
    ports.deliveries.deliveries(&DeliveriesRequest { subscription, state: Some(state), since, after, limit: PAGE }).await
}

/// The events that may have been missed. They are found by when they happened, which may be before they were recorded.
fn events_query(subscription: &Subscription, since: Timestamp, below: Option<Position>) -> EventQuery {
    let only = |pattern: &crate::domain::selector::TypePattern| (!pattern.as_str().contains('*')).then(|| pattern.as_str().parse().ok());
    let event_type = match subscription.event_types.as_slice() {
        [pattern] => only(pattern).flatten(),
        [] | [_, _, ..] => None,
    };
    let late = i64::try_from(LATE_BY.as_micros()).unwrap_or_default();
    EventQuery {
        filter: EventFilter {
            event_type,
            organization: subscription.organization.clone(),
            from: Some(since.plus_micros(-late)),
            ..EventFilter::default()
        },
        size: PageSize::new(PAGE).unwrap_or_default(),
        start: below.map_or(PageStart::Offset(0), PageStart::Below),
    }
}

async fn send_missed(
    ports: &ResendDeliveriesPorts<'_>,
    subscription: &Subscription,
    since: Timestamp,
    missed: Missed,
    now: Timestamp,
) -> Resending<()> {
    let singly: Vec<DeliveryWork> = missed.deliveries.values().filter(|work| !missed.covers(work)).cloned().collect();
    begin_all_anew(ports.deliveries, singly.iter().map(|work| (subscription.id.clone(), work.delivery_id.clone())).collect(), now).await?;
    let mut messages = delivery_messages(&subscription.id, &singly);
    if !missed.streams.is_empty() {
        reach_back(ports, subscription, since).await?;
        let firsts: Vec<(StreamRef, Version)> = missed.streams.iter().map(|(stream, (first, _, _))| (stream.clone(), *first)).collect();
        let rewound = stream::iter(firsts).map(|(stream, first)| async move { rewind(ports, &subscription.id, &stream, first).await });
        rewound.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        messages.extend(
            missed.streams.iter().map(|(stream, (_, last, _))| stream_message(&subscription.id, stream.clone(), *last, Duration::ZERO)),
        );
    }
    Ok(ports.queues.send(&Queue::Work(WorkQueue::Deliver), &messages).await?)
}

/// Has a subscription sent, in the order of streams, what was recorded before it became active.
async fn reach_back(ports: &ResendDeliveriesPorts<'_>, subscription: &Subscription, since: Timestamp) -> Result<(), StoreError> {
    for _ in 0..MOST_ROUNDS {
        let definitions = ports.definitions.definitions(Freshness::Current).await?;
        let Some(standing) = definitions.subscription(&subscription.id).filter(|standing| !standing.begins_with(since)) else {
            return Ok(());
        };
        let (active_since, selecting_since) = (standing.active_since.min(since), standing.selecting_since.min(since));
        let earlier = Subscription { active_since, selecting_since, ..Subscription::clone(standing) };
        if ports.definitions.save_subscription(&earlier, Revision(definitions.revision)).await? {
            return Ok(());
        }
    }
    Err(StoreError::Contended)
}

/// Has a stream sent again from `first` on, if that was sent already. Who is sending right now keeps the lane until then.
async fn rewind(
    ports: &ResendDeliveriesPorts<'_>,
    subscription: &SubscriptionId,
    stream: &StreamRef,
    first: Version,
) -> Result<(), StoreError> {
    let before = Version::new(first.get().saturating_sub(1));
    for _ in 0..MOST_ROUNDS {
        let (lane, revision) = ports.deliveries.lane(subscription, stream).await?;
        let Some(mut lane) = lane.filter(|lane| lane.sent > before) else { return Ok(()) };
        lane.sent = before;
        lane.waits_until = None;
        if ports.deliveries.save_lane(subscription, stream, &lane, revision).await? {
            return Ok(());
        }
    }
    Err(StoreError::Contended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_recovery_has_come_is_written_and_read() {
        let delivery: DeliveryId = format!("msg_{}", "0".repeat(40)).parse().unwrap();
        let place: EventId = "0190f3a1-7e1b-7c3d-8e4f-5a6b7c8d9e0f".parse().unwrap();
        for step in [
            RecoverStep::Failed(None),
            RecoverStep::Failed(Some(delivery.clone())),
            RecoverStep::Canceled(None),
            RecoverStep::Canceled(Some(delivery)),
            RecoverStep::Events(None),
            RecoverStep::Events(Some(Position { occurred_at: Timestamp::MIN, place })),
            RecoverStep::Events(Some(Position { occurred_at: Timestamp::MAX, place })),
        ] {
            assert_eq!(step.to_string().parse(), Ok(step));
        }
        for text in ["", "failed", "failed.x", "events.1", "events.x.y", "events.1.x", "events.99999999999999999999.x", "other."] {
            assert_eq!(text.parse::<RecoverStep>(), Err(RecoverStepError), "{text}");
        }
    }
}
