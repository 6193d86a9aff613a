//! Finds what waits: deliveries that are due, events that were never processed, repetitions that were lost, and dead letters of the
//! queues. A message that is lost makes its work late, never undone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::dispatch_events::{delivery_messages, event_ref, process_messages, stream_message, to_json};
use super::run_replays::replay_message;
use crate::domain::dead_letter::{DeadLetter, DeadLetterId};
use crate::domain::definitions::Definitions;
use crate::domain::delivery::Delivery;
use crate::domain::event::Event;
use crate::domain::identifiers::{OrganizationId, ProcessorId, SubscriptionId};
use crate::domain::outcome::ResultStatus;
use crate::domain::query::{EventFilter, EventQuery, ObservedEvent, PageSize, PageStart};
use crate::domain::queue::{Outgoing, Queue, Received, WorkQueue};
use crate::domain::status::EventStatus;
use crate::domain::stream_id::StreamKey;
use crate::domain::subscription::Ordering;
use crate::domain::timestamp::Timestamp;
use crate::domain::version::Version;
use crate::domain::work::{CollectWork, DeliverWork, DeliveryWork, RetryWork};
use crate::ports::clock::Clock;
use crate::ports::dead_letters::DeadLetters;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::delivery_log::DeliveryLog;
use crate::ports::event_reader::EventReader;
use crate::ports::queue::{QueueError, QueueReceiver, QueueSender};
use crate::ports::replay_store::ReplayStore;
use crate::ports::store_error::StoreError;

/// What sweeping needs.
pub struct SweepPorts<'a> {
    /// Where events are found.
    pub events: &'a dyn EventReader,
    /// Knows the processors and subscriptions.
    pub definitions: &'a dyn DefinitionStore,
    /// Where deliveries are kept.
    pub deliveries: &'a dyn DeliveryLog,
    /// Where dead letters are kept.
    pub dead_letters: &'a dyn DeadLetters,
    /// Where replays are kept.
    pub replays: &'a dyn ReplayStore,
    /// Takes the work.
    pub queues: &'a dyn QueueSender,
    /// Holds the dead letters of the queues.
    pub dead_queues: &'a dyn QueueReceiver,
    /// Says when.
    pub clock: &'a dyn Clock,
}

/// How far a sweep looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepReach {
    /// How long an event may be pending before it is dispatched again.
    pub pending_after: Duration,
    /// How far back events are looked for, by when they happened; all of them if it does not say.
    pub back: Option<Duration>,
}

impl SweepReach {
    /// The reach of every sweep.
    pub const USUAL: Self = Self { pending_after: Duration::from_mins(5), back: Some(Duration::from_mins(30)) };
    /// The reach of the sweep that runs once an hour.
    pub const DAY: Self = Self { pending_after: Duration::from_mins(5), back: Some(Duration::from_hours(26)) };
    /// The reach of the sweep of a process that has just started: everything that waits.
    pub const START: Self = Self { pending_after: Duration::ZERO, back: None };
}

/// What a sweep found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Deliveries that were due.
    pub due: usize,
    /// Commits that were dispatched again.
    pub dispatched: usize,
    /// Attempts of processors that were asked for again.
    pub repeated: usize,
    /// Messages that were parked.
    pub parked: usize,
    /// Replays that nobody went on with.
    pub replays: usize,
}

/// A sweep did not get through. The next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A queue failed.
    #[error("a queue failed")]
    Queue(#[from] QueueError),
}

/// How many deliveries are queued at a time, and how many times.
const DUE_A_ROUND: usize = 100;
const MOST_ROUNDS: usize = 100;
/// How many dead letters of each queue are parked.
const MOST_PARKED: usize = 1000;
/// How long a replay is given to go on.
const REPLAY_AGAIN_AFTER: Duration = Duration::from_mins(5);
/// How much later than planned an attempt has to be before it is asked for again.
const LOST_AFTER: Duration = Duration::from_mins(2);

/// Looks for what waits, once.
///
/// # Errors
/// [`SweepError`].
pub async fn sweep(ports: &SweepPorts<'_>, reach: SweepReach) -> Result<Swept, SweepError> {
    let definitions = ports.definitions.definitions(Freshness::Current).await?;
    let (due, parked) = (due_deliveries(ports).await?, dead_letters(ports, &definitions).await?);
    let mut swept = Swept { due, parked, replays: stalled_replays(ports).await?, ..Swept::default() };
    if definitions.may_process(None) {
        swept.dispatched = pending(ports, reach).await?;
        swept.repeated = stuck(ports, &definitions, reach).await?;
    }
    Ok(swept)
}

async fn due_deliveries(ports: &SweepPorts<'_>) -> Result<usize, SweepError> {
    let now = ports.clock.now();
    let mut count = 0;
    for _ in 0..MOST_ROUNDS {
        let due = ports.deliveries.due_deliveries(now, DUE_A_ROUND).await?;
        if due.is_empty() {
            break;
        }
        let definitions = ports.definitions.definitions(Freshness::Current).await?;
        for (mut delivery, revision) in due {
            let ordered =
                definitions.subscription(&delivery.subscription).is_some_and(|subscription| subscription.ordering == Ordering::Stream);
            let through = delivery.event.commit.plus(delivery.event.index);
            let messages = if ordered && !is_past(ports, &delivery, through).await? {
                // The lane knows itself what comes next.
                vec![stream_message(&delivery.subscription, delivery.event.stream.clone(), through, Duration::ZERO)]
            } else {
                let work = DeliveryWork {
                    delivery_id: delivery.id.clone(),
                    event: delivery.event.clone(),
                    attempt: delivery.round + 1,
                    since: delivery.since,
                    resend: false,
                };
                delivery_messages(&delivery.subscription, &[work])
            };
            // Queued first: ending in between queues it twice, and the attempt is made once.
            ports.queues.send(&Queue::Work(WorkQueue::Deliver), &messages).await?;
            delivery.due_at = None;
            ports.deliveries.save_delivery(&delivery, revision).await?;
            count += 1;
        }
    }
    Ok(count)
}

/// Goes on with replays that nobody goes on with: their message was lost.
async fn stalled_replays(ports: &SweepPorts<'_>) -> Result<usize, SweepError> {
    let now = ports.clock.now();
    let stalled = ports.replays.due_replays(now, DUE_A_ROUND).await?;
    let count = stalled.len();
    for (mut replay, revision) in stalled {
        ports.queues.send(&Queue::Work(WorkQueue::Replay), &[replay_message(&replay)]).await?;
        replay.due_at = Some(now.plus(REPLAY_AGAIN_AFTER));
        ports.replays.save_replay(&replay, revision).await?;
    }
    Ok(count)
}

/// Whether the stream has gone on without the event: then it is sent again by itself.
async fn is_past(ports: &SweepPorts<'_>, delivery: &Delivery, version: Version) -> Result<bool, StoreError> {
    let (lane, _) = ports.deliveries.lane(&delivery.subscription, &delivery.event.stream).await?;
    Ok(lane.is_some_and(|lane| lane.sent >= version))
}

/// Events of this status that happened within reach.
async fn events_with(ports: &SweepPorts<'_>, status: EventStatus, reach: SweepReach) -> Result<Vec<Event>, StoreError> {
    let now = ports.clock.now();
    let from = reach.back.map(|back| now.plus_micros(-i64::try_from(back.as_micros()).unwrap_or(i64::MAX)));
    let filter = EventFilter { status: Some(status), from, ..EventFilter::default() };
    let size = PageSize::new(PageSize::MAX).unwrap_or_default();
    let mut start = PageStart::Offset(0);
    let mut found: Vec<Event> = Vec::new();
    for _ in 0..MOST_ROUNDS {
        let page = ports.events.query(&EventQuery { filter: filter.clone(), size, start }, now).await?;
        let late = |observed: &ObservedEvent| observed.event.recorded_at.plus(reach.pending_after) <= now;
        found.extend(page.events.into_iter().filter(late).map(|observed| observed.event));
        match page.next {
            Some(next) => start = PageStart::Below(next),
            None => break,
        }
    }
    Ok(found)
}

async fn pending(ports: &SweepPorts<'_>, reach: SweepReach) -> Result<usize, SweepError> {
    let mut waiting: BTreeMap<StreamKey, BTreeSet<Version>> = BTreeMap::new();
    for event in events_with(ports, EventStatus::Pending, reach).await? {
        waiting.entry(event.stream.clone()).or_default().insert(event_ref(&event).commit);
    }
    // A sweep that finds the same again within five minutes asks for it once.
    let again = ports.clock.now().hour().to_string();
    let (mut messages, mut count) = (Vec::new(), 0);
    for (stream, commits) in &waiting {
        let commits: Vec<Version> = commits.iter().copied().collect();
        count += commits.len();
        messages.extend(process_messages(stream, &commits, &again));
    }
    ports.queues.send(&Queue::Work(WorkQueue::Process), &messages).await?;
    Ok(count)
}

async fn stuck(ports: &SweepPorts<'_>, definitions: &Definitions, reach: SweepReach) -> Result<usize, SweepError> {
    let now = ports.clock.now();
    let filter = EventFilter { status: Some(EventStatus::Processing), ..EventFilter::default() };
    let query = EventQuery { filter, size: PageSize::new(PageSize::MAX).unwrap_or_default(), start: PageStart::Offset(0) };
    let page = ports.events.query(&query, now).await?;
    let mut messages = Vec::new();
    for ObservedEvent { event, outcome } in &page.events {
        for processor in definitions.processors_given(event.organization(), &event.details, event.recorded_at) {
            let last = outcome.last_of(processor.name.as_str()).filter(|last| last.status == ResultStatus::Retry);
            let Some(last) = last else { continue };
            let delay = processor.policy().delay_after(last.attempt).unwrap_or_default();
            let planned = last.at.plus(delay.mul_f64(1.1));
            let lost_after = LOST_AFTER.min(reach.pending_after);
            if planned.plus(lost_after) <= now {
                let work = RetryWork { event: event_ref(event), processor_id: processor.id.clone(), attempt: last.attempt + 1 };
                messages.push(Outgoing::now(to_json(&work)));
            }
        }
    }
    ports.queues.send(&Queue::Work(WorkQueue::Retry), &messages).await?;
    Ok(messages.len())
}

/// Parks what the queues gave up: messages that were handed out again and again and never dealt with.
async fn dead_letters(ports: &SweepPorts<'_>, definitions: &Definitions) -> Result<usize, SweepError> {
    let mut parked = 0;
    for queue in WorkQueue::ALL {
        let source = Queue::DeadLetters(*queue);
        let mut of_queue = 0;
        while of_queue < MOST_PARKED {
            let received = match ports.dead_queues.receive(&source, 10, Duration::from_mins(1)).await {
                Ok(received) => received,
                // A deployment need not have every queue.
                Err(QueueError::Unknown(_)) => break,
                Err(error @ (QueueError::Unavailable { .. } | QueueError::Refused { .. })) => return Err(error.into()),
            };
            if received.is_empty() {
                break;
            }
            for message in received {
                ports.dead_letters.park(&letter(definitions, *queue, &message)).await?;
                ports.dead_queues.remove(&source, &message.receipt).await?;
                of_queue += 1;
            }
        }
        parked += of_queue;
    }
    Ok(parked)
}

/// What is parked of a message that nobody could deal with.
fn letter(definitions: &Definitions, queue: WorkQueue, message: &Received) -> DeadLetter {
    let sent_at = message.sent_at_ms.checked_mul(1000).and_then(|micros| Timestamp::from_micros(micros).ok()).unwrap_or(Timestamp::MIN);
    let about = About::of(definitions, queue, &message.body);
    DeadLetter {
        id: DeadLetterId::of(sent_at, &format!("{queue}/{}", message.id)),
        queue,
        organization: about.organization,
        subscription: about.subscription,
        processor: about.processor,
        event_id: None,
        reason: "the message was handed out again and again and never dealt with: the log of its function says why".to_owned(),
        attempts: queue.most_receives(),
        body: message.body.clone(),
        parked_at: sent_at,
    }
}

/// Whom a message is about.
#[derive(Default)]
struct About {
    organization: Option<OrganizationId>,
    subscription: Option<SubscriptionId>,
    processor: Option<ProcessorId>,
}

impl About {
    /// A dead letter belongs to the owner of what did not get its work done, whosever event that was. What has no owner any more, or
    /// cannot be read, is the platform's.
    fn of(definitions: &Definitions, queue: WorkQueue, body: &str) -> Self {
        let unreadable = |error: serde_json::Error| {
            tracing::error!(%error, %queue, "a dead letter cannot be read");
            Self::default()
        };
        match queue {
            // It is about all processors of an event, a replay, whose owner the table knows, or the platform's own NATS.
            WorkQueue::Process | WorkQueue::Replay | WorkQueue::Nats => Self::default(),
            WorkQueue::Retry => serde_json::from_str::<RetryWork>(body).map_or_else(unreadable, |work| Self {
                organization: definitions.processor(&work.processor_id).and_then(|processor| processor.organization.clone()),
                processor: Some(work.processor_id),
                subscription: None,
            }),
            WorkQueue::Collect => serde_json::from_str::<CollectWork>(body).map_or_else(unreadable, |work| Self {
                organization: match work {
                    CollectWork::Events(held) => held.stream.organization,
                    CollectWork::Rejected(events) => events.first().and_then(|event| event.organization().cloned()),
                },
                ..Self::default()
            }),
            WorkQueue::Deliver => serde_json::from_str::<DeliverWork>(body).map_or_else(unreadable, |work| Self {
                organization: definitions.subscription(work.subscription()).and_then(|subscription| subscription.organization.clone()),
                subscription: Some(work.subscription().clone()),
                processor: None,
            }),
        }
    }
}
