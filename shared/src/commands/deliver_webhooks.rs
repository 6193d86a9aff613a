//! Sends events to subscriptions, and tries again what failed.
//!
//! What goes well the first time leaves no trace but the time of the last success. A failed attempt is kept before the next one is
//! asked for; a message that asks for an attempt that was made is dropped. What waits longer than a queue can delay has its time in the
//! store, where the sweep finds it. What failed for good is parked.
//!
//! A subscription that wants a stream's order has a lane for each stream: how far it was sent, who is sending, and until when
//! it waits. Messages only say that there is something to send.

use std::time::Duration;

use futures::future::join_all;
use tracing::Instrument as _;

use super::bridge_events::{group_of_name, told_to_bridge};
use super::dispatch_events::{delivery_messages, event_ref, stream_message, to_json};
use super::event_span;
use super::send_webhook::{SendWebhookPorts, Sent, WriteEvent, send_to_subscription};
use crate::domain::bridge::Bridging;
use crate::domain::claim::Slot;
use crate::domain::dead_letter::{DeadLetter, DeadLetterId};
use crate::domain::definitions::Definitions;
use crate::domain::delivery::{Delivery, DeliveryAttempt, DeliveryId, DeliveryState, Lane, Verdict};
use crate::domain::domain_event::{DomainEvent, DomainEventKind};
use crate::domain::event::Event;
use crate::domain::identifiers::SubscriptionId;
use crate::domain::outcome::Outcome;
use crate::domain::query::ObservedEvent;
use crate::domain::queue::{Outgoing, Queue, WorkQueue};
use crate::domain::retry_policy::with_jitter;
use crate::domain::stream_id::StreamKey;
use crate::domain::subscription::{DeliveryLogging, DisabledBecause, Health, Subscription};
use crate::domain::timestamp::Timestamp;
use crate::domain::trace::TraceParent;
use crate::domain::version::Version;
use crate::domain::work::{DeliverWork, DeliveryWork, StreamRef};
use crate::ports::commit_log::CommitLog;
use crate::ports::dead_letters::DeadLetters;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::delivery_log::DeliveryLog;
use crate::ports::event_bus::{BusEntry, BusError, EventBus};
use crate::ports::outcome_log::OutcomeLog;
use crate::ports::queue::{QueueError, QueueSender};
use crate::ports::random::Random;
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;

/// What delivering needs.
pub struct DeliverWebhooksPorts<'a> {
    /// Where commits are read.
    pub log: &'a dyn CommitLog,
    /// Where outcomes are read.
    pub outcomes: &'a dyn OutcomeLog,
    /// Knows the subscriptions.
    pub definitions: &'a dyn DefinitionStore,
    /// Where deliveries are kept.
    pub deliveries: &'a dyn DeliveryLog,
    /// Where what was given up is kept.
    pub dead_letters: &'a dyn DeadLetters,
    /// Takes what has to be tried again.
    pub queues: &'a dyn QueueSender,
    /// Is told of receivers in trouble, if there is a bus.
    pub bus: Option<&'a dyn EventBus>,
    /// Whether they are told of on NATS.
    pub bridging: Bridging,
    /// Sends webhooks.
    pub webhooks: SendWebhookPorts<'a>,
    /// Writes events as others get them.
    pub write: WriteEvent,
    /// Spreads retries.
    pub random: &'a dyn Random,
    /// Since when nobody but this process delivers, if that is so: leases of before are nobody's.
    pub alone_since: Option<Timestamp>,
}

/// Why a message was not dealt with. It is to be taken up again.
#[derive(Debug, thiserror::Error)]
pub enum DeliverWebhooksError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// What has to be tried again could not be put into its queue.
    #[error("a queue failed")]
    Queue(#[from] QueueError),
    /// The bus failed.
    #[error("the bus failed")]
    Bus(#[from] BusError),
}

type Delivering<T> = Result<T, DeliverWebhooksError>;

/// How many events of a message are sent at a time.
const AT_ONCE: usize = 8;
/// How often a save is tried that others get in the way of.
const MOST_ROUNDS: usize = 10;
/// How long somebody waits for a lane that another is sending in, who most likely sends what this one came for.
const LANE_BUSY: Duration = Duration::from_secs(1);
/// For how long one call sends in a lane before it puts the rest back.
const LANE_BUDGET: Duration = Duration::from_secs(30);
/// The longest that a receiver's wish to be left alone is obeyed.
const MOST_RETRY_AFTER: Duration = Duration::from_hours(1);
/// For how long a probe has an open circuit for itself: longer than it can take.
const PROBE: Duration = Duration::from_secs(20);

/// Does what a message asks for. Nothing is sent to a subscription that is gone or disabled (BR-SUB-005).
///
/// # Errors
/// [`DeliverWebhooksError`]: the message is to be taken up again. Some of its events may be sent twice then.
pub async fn deliver_webhooks(ports: &DeliverWebhooksPorts<'_>, work: &DeliverWork) -> Delivering<()> {
    let definitions = ports.definitions.definitions(Freshness::Current).await?;
    let subscription = definitions.subscription(work.subscription()).filter(|subscription| subscription.is_active());
    match (subscription, work) {
        (Some(subscription), DeliverWork::Events { deliveries, .. }) => deliver_events(ports, &definitions, subscription, deliveries).await,
        (Some(subscription), DeliverWork::Stream { stream, through, .. }) => {
            deliver_stream(ports, &definitions, subscription, stream, *through).await
        }
        (None, DeliverWork::Events { subscription_id, deliveries }) => cancel(ports, subscription_id, deliveries).await,
        (None, DeliverWork::Stream { .. }) => Ok(()),
    }
}

/// Ends deliveries whose subscription is gone or disabled. Only those that were kept are worth a word.
async fn cancel(ports: &DeliverWebhooksPorts<'_>, subscription: &SubscriptionId, deliveries: &[DeliveryWork]) -> Delivering<()> {
    for work in deliveries {
        cancel_one(ports, subscription, &work.delivery_id).await?;
    }
    Ok(())
}

async fn cancel_one(ports: &DeliverWebhooksPorts<'_>, subscription: &SubscriptionId, id: &DeliveryId) -> Delivering<()> {
    let (standing, revision) = ports.deliveries.delivery(subscription, id).await?;
    if let Some(mut delivery) = standing.filter(|delivery| delivery.state == DeliveryState::Retrying) {
        delivery.state = DeliveryState::Canceled;
        (delivery.due_at, delivery.next_attempt_at) = (None, None);
        delivery.updated_at = ports.webhooks.clock.now();
        ports.deliveries.save_delivery(&delivery, revision).await?;
    }
    Ok(())
}

/// What a circuit, a rate limit or a schedule leaves to be sent now.
enum Admission {
    /// So many.
    Now(usize),
    /// None before so long.
    After(Duration),
    /// None: the subscription was disabled or deleted meanwhile.
    Never,
}

/// How many of `wanted` deliveries may be sent now.
async fn admit(ports: &DeliverWebhooksPorts<'_>, subscription: &Subscription, wanted: usize) -> Delivering<Admission> {
    let now = ports.webhooks.clock.now();
    let definitions = ports.definitions.definitions(Freshness::Recent).await?;
    if !definitions.subscription(&subscription.id).is_some_and(|standing| standing.is_active()) {
        return Ok(Admission::Never);
    }
    let (health, revision) = ports.deliveries.health(&subscription.id).await?;
    let mut allowed = wanted;
    if let Some(left) = health.open_for(now) {
        return Ok(Admission::After(left));
    }
    if health.open_until.is_some() {
        // The circuit was open: one attempt finds out whether it may be closed, and has it for itself.
        let probing = Health { open_until: Some(now.plus(PROBE)), ..health };
        if !ports.deliveries.save_health(&subscription.id, &probing, revision).await? {
            return Ok(Admission::After(PROBE));
        }
        allowed = 1;
    }
    if let Some(limit) = subscription.rate_limit {
        let taken = ports.deliveries.take_quota(&subscription.id, now, u32::try_from(allowed).unwrap_or(u32::MAX), limit).await?;
        if taken == 0 {
            let into_second = Duration::from_micros(u64::try_from(now.micros().rem_euclid(1_000_000)).unwrap_or_default());
            return Ok(Admission::After(Duration::from_secs(1).saturating_sub(into_second)));
        }
        allowed = usize::try_from(taken).unwrap_or(allowed);
    }
    Ok(Admission::Now(allowed))
}

async fn deliver_events(
    ports: &DeliverWebhooksPorts<'_>,
    definitions: &Definitions,
    subscription: &Subscription,
    deliveries: &[DeliveryWork],
) -> Delivering<()> {
    let mut rest = deliveries;
    // A few at a time, so that a receiver that has just gone down is not asked for all of them.
    while !rest.is_empty() {
        let count = match admit(ports, subscription, rest.len().min(AT_ONCE)).await? {
            Admission::Now(count) => count.clamp(1, rest.len()),
            Admission::After(delay) => return postpone(ports, subscription, rest, delay).await,
            Admission::Never => return cancel(ports, &subscription.id, rest).await,
        };
        let (now, later) = rest.split_at(count);
        let sending: Vec<_> = now.iter().map(|work| deliver_event(ports, definitions, subscription, work)).collect();
        join_all(sending).await.into_iter().collect::<Delivering<Vec<()>>>()?;
        rest = later;
    }
    Ok(())
}

/// Puts back deliveries that may not be sent yet, at no cost of attempts. What has waited for longer than its whole schedule is parked.
async fn postpone(
    ports: &DeliverWebhooksPorts<'_>,
    subscription: &Subscription,
    later: &[DeliveryWork],
    delay: Duration,
) -> Delivering<()> {
    let now = ports.webhooks.clock.now();
    let patience = subscription.policy().span().max(Duration::from_hours(1));
    let (waiting, late): (Vec<&DeliveryWork>, Vec<&DeliveryWork>) = later.iter().partition(|work| work.since.plus(patience) > now);
    let waiting: Vec<DeliveryWork> = waiting.into_iter().cloned().collect();
    let messages: Vec<Outgoing> = delivery_messages(&subscription.id, &waiting)
        .into_iter()
        .map(|message| Outgoing::after(with_jitter(delay, ports.random.number()).max(delay), message.body))
        .collect();
    ports.queues.send(&Queue::Work(WorkQueue::Deliver), &messages).await?;
    for work in late {
        let Some(event) = read_event(ports, work).await? else { continue };
        let attempt = DeliveryAttempt {
            at: now,
            status: None,
            ms: 0,
            response: None,
            error: Some("its time ran out while the receiver answered nothing else either".to_owned()),
        };
        conclude(ports, subscription, work, &event, &Sent { attempt, retry_after: None }, Conclusion::GiveUp).await?;
    }
    Ok(())
}

/// The event that is to be sent.
async fn read_event(ports: &DeliverWebhooksPorts<'_>, work: &DeliveryWork) -> Delivering<Option<Event>> {
    let slot = Slot { stream: StreamKey::from(&work.event.stream), first: work.event.commit };
    let Some(commit) = ports.log.commit_at(&slot).await? else {
        tracing::error!(stream = %slot.stream, version = slot.first.get(), "there is no such event to send");
        return Ok(None);
    };
    Ok(commit.to_events().into_iter().nth(work.event.index))
}

/// An event with what became of it, as far as the subscription may know.
fn observed(definitions: &Definitions, subscription: &Subscription, event: Event, outcome: Option<&Outcome>) -> ObservedEvent {
    let ObservedEvent { event, outcome } = definitions.observe(event, outcome);
    ObservedEvent { outcome: definitions.shown_to(subscription.organization.as_ref(), outcome), event }
}

async fn deliver_event(
    ports: &DeliverWebhooksPorts<'_>,
    definitions: &Definitions,
    subscription: &Subscription,
    work: &DeliveryWork,
) -> Delivering<()> {
    if work.attempt > 1 || work.resend {
        match standing(ports, subscription, work).await? {
            Standing::Open => {}
            Standing::Made(delay) => return try_again(ports, subscription, work, work.attempt + 1, delay).await,
            Standing::Over => return Ok(()),
        }
    }
    let Some(event) = read_event(ports, work).await? else { return Ok(()) };
    let span = event_span::of(&event);
    deliver_read(ports, definitions, subscription, work, event).instrument(span).await
}

async fn deliver_read(
    ports: &DeliverWebhooksPorts<'_>,
    definitions: &Definitions,
    subscription: &Subscription,
    work: &DeliveryWork,
    event: Event,
) -> Delivering<()> {
    if !(subscription.organization.is_none() || subscription.organization.as_ref() == event.organization()) {
        tracing::error!(subscription_id = %subscription.id, "an event of another organization was not sent");
        return Ok(());
    }
    let (outcome, _) = ports.outcomes.outcome(event.commit).await?;
    let observed = observed(definitions, subscription, event, outcome.as_ref());
    let (body, trace) = ((ports.write)(&observed, None), TraceParent::of(&observed.event.details));
    let sent = send_to_subscription(ports.webhooks, subscription, work.delivery_id.as_str(), body, trace).await;
    let Some(sent) = sent else { return Ok(()) };
    match conclude(ports, subscription, work, &observed.event, &sent, Conclusion::ByVerdict).await? {
        Next::Over => Ok(()),
        Next::Again { attempt, delay } => try_again(ports, subscription, work, attempt, delay).await,
    }
}

/// Has the next attempt made, unless it waits for longer than a queue can delay: then the sweep finds it.
async fn try_again(
    ports: &DeliverWebhooksPorts<'_>,
    subscription: &Subscription,
    work: &DeliveryWork,
    attempt: u32,
    delay: Duration,
) -> Delivering<()> {
    if delay > Outgoing::MAX_DELAY {
        return Ok(());
    }
    let again = DeliveryWork { attempt, resend: false, ..work.clone() };
    let messages: Vec<Outgoing> =
        delivery_messages(&subscription.id, &[again]).into_iter().map(|message| Outgoing::after(delay, message.body)).collect();
    Ok(ports.queues.send(&Queue::Work(WorkQueue::Deliver), &messages).await?)
}

/// How the attempt that a message asks for stands.
enum Standing {
    /// It is the next.
    Open,
    /// It was made, and the one after it is due after so long. Whoever made it may have ended before that was asked for.
    Made(Duration),
    /// There is nothing to do.
    Over,
}

/// Whether the attempt that the message asks for is the next. A person's wish begins anew what had come to an end.
async fn standing(ports: &DeliverWebhooksPorts<'_>, subscription: &Subscription, work: &DeliveryWork) -> Delivering<Standing> {
    let (standing, revision) = ports.deliveries.delivery(&subscription.id, &work.delivery_id).await?;
    let Some(delivery) = standing else { return Ok(if work.attempt == 1 { Standing::Open } else { Standing::Over }) };
    match delivery.state {
        DeliveryState::Retrying if delivery.round + 1 == work.attempt => Ok(Standing::Open),
        DeliveryState::Retrying if delivery.round == work.attempt => {
            let now = ports.webhooks.clock.now();
            Ok(Standing::Made(delivery.next_attempt_at.and_then(|at| at.since(now)).unwrap_or_default()))
        }
        DeliveryState::Delivered | DeliveryState::Failed | DeliveryState::Canceled if work.resend => {
            let begun = Delivery { state: DeliveryState::Retrying, round: 0, ..delivery };
            let saved = ports.deliveries.save_delivery(&begun, revision).await?;
            Ok(if saved { Standing::Open } else { Standing::Over })
        }
        DeliveryState::Failed if delivery.round == work.attempt => {
            park(ports, subscription, &delivery).await?;
            Ok(Standing::Over)
        }
        DeliveryState::Retrying | DeliveryState::Delivered | DeliveryState::Failed | DeliveryState::Canceled => Ok(Standing::Over),
    }
}

/// Who decides what an attempt means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conclusion {
    /// The receiver's answer.
    ByVerdict,
    /// There will be no other attempt, whatever the answer was.
    GiveUp,
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The delivery is over, well or not.
    Over,
    /// The same event is tried again.
    Again {
        /// Which attempt that will be.
        attempt: u32,
        /// After how long.
        delay: Duration,
    },
}

/// Keeps an attempt and does what follows from it.
async fn conclude(
    ports: &DeliverWebhooksPorts<'_>,
    subscription: &Subscription,
    work: &DeliveryWork,
    event: &Event,
    sent: &Sent,
    conclusion: Conclusion,
) -> Delivering<Next> {
    let now = sent.attempt.at;
    let verdict = sent.attempt.verdict();
    if verdict == Verdict::Delivered {
        note_success(ports, subscription, now).await?;
        if work.attempt > 1 || work.resend || subscription.delivery_log == DeliveryLogging::All {
            let kept = keep(ports, subscription, work, event, sent, |_| (DeliveryState::Delivered, None)).await?;
            if let Some(kept) = kept.filter(|kept| kept.attempt_count > kept.round) {
                // It had been given up: nobody need send it again.
                ports.dead_letters.remove_letter(&letter_id(&kept)).await?;
            }
        }
        return Ok(Next::Over);
    }
    if conclusion == Conclusion::ByVerdict {
        note_failure(ports, subscription, verdict, now).await?;
    }
    let (policy, random) = (subscription.policy(), ports.random.number());
    let asked = sent.retry_after.unwrap_or_default().min(MOST_RETRY_AFTER);
    let decide = |attempt: u32| {
        let planned = match (verdict, conclusion) {
            (Verdict::TryAgain, Conclusion::ByVerdict) => policy.delay_after(attempt),
            (Verdict::TryAgain | Verdict::Refused | Verdict::Gone | Verdict::Delivered, _) => None,
        };
        let delay = planned.map(|planned| with_jitter(planned, random).max(asked));
        (if delay.is_some() { DeliveryState::Retrying } else { DeliveryState::Failed }, delay)
    };
    let Some(kept) = keep(ports, subscription, work, event, sent, decide).await? else { return Ok(Next::Over) };
    if kept.state == DeliveryState::Retrying {
        let delay = kept.next_attempt_at.and_then(|at| at.since(now)).unwrap_or_default();
        return Ok(Next::Again { attempt: kept.round + 1, delay });
    }
    park(ports, subscription, &kept).await?;
    Ok(Next::Over)
}

/// Keeps an attempt in the log, with what `decide` says of an attempt of its number. Nothing is kept, nor follows, if a
/// message came again and the delivery has come to an end since.
async fn keep(
    ports: &DeliverWebhooksPorts<'_>,
    subscription: &Subscription,
    work: &DeliveryWork,
    event: &Event,
    sent: &Sent,
    decide: impl Fn(u32) -> (DeliveryState, Option<Duration>),
) -> Delivering<Option<Delivery>> {
    for _ in 0..MOST_ROUNDS {
        let (standing, revision): (Option<Delivery>, Revision) = ports.deliveries.delivery(&subscription.id, &work.delivery_id).await?;
        let mut delivery = standing.unwrap_or_else(|| Delivery {
            id: work.delivery_id.clone(),
            subscription: subscription.id.clone(),
            event: work.event.clone(),
            event_id: event.id,
            event_type: event.details.event_type.clone(),
            state: DeliveryState::Retrying,
            attempts: Vec::new(),
            attempt_count: 0,
            round: 0,
            due_at: None,
            next_attempt_at: None,
            since: work.since,
            updated_at: sent.attempt.at,
        });
        if delivery.round >= work.attempt && delivery.attempts.last() == Some(&sent.attempt) {
            // The store had taken it, though its answer was lost.
            return Ok(Some(delivery));
        }
        if delivery.state != DeliveryState::Retrying {
            if !work.resend {
                park(ports, subscription, &delivery).await?;
                return Ok(None);
            }
            delivery.round = 0;
        }
        // The message of an attempt may have come twice: what counts is how many were made.
        let (state, delay) = decide(delivery.round + 1);
        delivery.add(sent.attempt.clone(), state);
        delivery.next_attempt_at = delay.map(|delay| sent.attempt.at.plus(delay));
        // What waits for longer than a queue can delay is found by its time.
        delivery.due_at = delivery.next_attempt_at.filter(|_| delay.is_some_and(|delay| delay > Outgoing::MAX_DELAY));
        if ports.deliveries.save_delivery(&delivery, revision).await? {
            return Ok(Some(delivery));
        }
    }
    Err(StoreError::Contended.into())
}

/// Parks a delivery that failed for good. Again does no harm: whoever kept the last attempt may have ended right after.
async fn park(ports: &DeliverWebhooksPorts<'_>, subscription: &Subscription, delivery: &Delivery) -> Delivering<()> {
    match delivery.attempts.last().filter(|_| delivery.state == DeliveryState::Failed) {
        Some(last) => Ok(ports.dead_letters.park(&letter(subscription, delivery, last)).await?),
        None => Ok(()),
    }
}

/// The dead letter of a delivery: one, however often it fails for good.
fn letter_id(delivery: &Delivery) -> DeadLetterId {
    DeadLetterId::of(delivery.since, delivery.id.as_str())
}

/// What is parked of a delivery whose last attempt failed.
fn letter(subscription: &Subscription, delivery: &Delivery, last: &DeliveryAttempt) -> DeadLetter {
    let again =
        DeliveryWork { delivery_id: delivery.id.clone(), event: delivery.event.clone(), attempt: 1, since: delivery.since, resend: true };
    let work = DeliverWork::Events { subscription_id: subscription.id.clone(), deliveries: vec![again] };
    let reason = match (&last.error, last.status) {
        (Some(error), _) => error.clone(),
        (None, Some(status)) => format!("the receiver answered {status}"),
        (None, None) => "there was no answer".to_owned(),
    };
    DeadLetter {
        id: letter_id(delivery),
        queue: WorkQueue::Deliver,
        // It is the subscriber's, whosever event it is about.
        organization: subscription.organization.clone(),
        subscription: Some(subscription.id.clone()),
        processor: None,
        event_id: Some(delivery.event_id),
        reason,
        attempts: delivery.round,
        body: to_json(&work),
        parked_at: last.at,
    }
}

async fn note_success(ports: &DeliverWebhooksPorts<'_>, subscription: &Subscription, now: Timestamp) -> Delivering<()> {
    for _ in 0..MOST_ROUNDS {
        let (health, revision) = ports.deliveries.health(&subscription.id).await?;
        if !health.is_news(now) || ports.deliveries.save_health(&subscription.id, &Health::succeeded(now), revision).await? {
            return Ok(());
        }
    }
    // Others note the same receiver's answers.
    Ok(())
}

async fn note_failure(ports: &DeliverWebhooksPorts<'_>, subscription: &Subscription, verdict: Verdict, now: Timestamp) -> Delivering<()> {
    if verdict == Verdict::Gone {
        return disable(ports, &subscription.id, DisabledBecause::Gone, now).await;
    }
    for _ in 0..MOST_ROUNDS {
        let (health, revision) = ports.deliveries.health(&subscription.id).await?;
        let mut failed = health.failed(now);
        let failing_for = failed.failing_for(now);
        if failing_for >= Health::DISABLED_AFTER {
            disable(ports, &subscription.id, DisabledBecause::Failing, now).await?;
        } else if failing_for >= Health::WARNED_AFTER && !failed.warned {
            failed.warned = true;
            let (kind, because) = (DomainEventKind::SubscriptionFailing, DisabledBecause::Failing);
            let warning = DomainEvent::subscription_troubled(kind, subscription, because, failed.failing_since, now);
            if let Some(bus) = ports.bus {
                bus.put(&[BusEntry::from(&warning)]).await?;
            }
            if ports.bridging == Bridging::On {
                let messages = told_to_bridge(&group_of_name(subscription.id.as_str()), &[warning]);
                ports.queues.send(&Queue::Work(WorkQueue::Nats), &messages).await?;
            }
        }
        if ports.deliveries.save_health(&subscription.id, &failed, revision).await? {
            return Ok(());
        }
    }
    // So many others note failures of the same receiver that one more makes no difference.
    Ok(())
}

async fn disable(ports: &DeliverWebhooksPorts<'_>, id: &SubscriptionId, because: DisabledBecause, now: Timestamp) -> Delivering<()> {
    for _ in 0..MOST_ROUNDS {
        let definitions = ports.definitions.definitions(Freshness::Current).await?;
        let Some(subscription) = definitions.subscription(id).filter(|subscription| subscription.enabled) else { return Ok(()) };
        let disabled =
            Subscription { enabled: false, disabled_because: Some(because), updated_at: now, ..Subscription::clone(subscription) };
        if ports.definitions.save_subscription(&disabled, Revision(definitions.revision)).await? {
            tracing::warn!(subscription_id = %id, reason = because.as_str(), "a subscription was disabled");
            return Ok(());
        }
    }
    Err(StoreError::Contended.into())
}

/// Sends what a stream has that was not sent to the subscription yet, in its order.
async fn deliver_stream(
    ports: &DeliverWebhooksPorts<'_>,
    definitions: &Definitions,
    subscription: &Subscription,
    stream: &StreamRef,
    through: Version,
) -> Delivering<()> {
    let clock = ports.webhooks.clock;
    let began = clock.now();
    let (standing, revision) = ports.deliveries.lane(&subscription.id, stream).await?;
    let lane = match standing {
        Some(lane) => lane,
        None => Lane { sent: before_first(ports, subscription, stream, through).await?, ..Lane::default() },
    };
    if lane.sent >= through {
        return Ok(());
    }
    // What was said before the subscription was changed (another address, enabled again) holds for it no more.
    let waits_until = lane.waits_until.filter(|_| lane.waits_since.is_none_or(|since| since >= subscription.updated_at));
    if let Some(wait) = waits_until.and_then(|until| until.since(began)).filter(|wait| !wait.is_zero()) {
        // The failed event's next attempt goes on with all that follow it. Its message may be lost: this one is good for that as well.
        return nudge(ports, subscription, stream, through, wait).await;
    }
    let is_alive = |until: Timestamp| ports.alone_since.is_none_or(|alone| until >= alone.plus(Lane::LEASE));
    if lane.leased_until.is_some_and(|until| until > began && is_alive(until)) {
        return nudge(ports, subscription, stream, through, LANE_BUSY).await;
    }
    let mut lane = Lane { leased_until: Some(began.plus(Lane::LEASE)), waits_until: None, waits_since: None, ..lane };
    if !ports.deliveries.save_lane(&subscription.id, stream, &lane, revision).await? {
        return nudge(ports, subscription, stream, through, LANE_BUSY).await;
    }
    let revision = Revision(revision.0 + 1);
    let result = send_in_lane(ports, definitions, subscription, stream, began, &mut lane).await;
    // Whatever came of it, others may go on from here.
    lane.leased_until = None;
    let saved = ports.deliveries.save_lane(&subscription.id, stream, &lane, revision).await;
    let rest = result?;
    saved?;
    match rest {
        Some(delay) => nudge(ports, subscription, stream, through.max(lane.sent.next()), delay).await,
        None => Ok(()),
    }
}

/// The version before the first event that the subscription gets of a stream that it got nothing of yet.
async fn before_first(
    ports: &DeliverWebhooksPorts<'_>,
    subscription: &Subscription,
    stream: &StreamRef,
    through: Version,
) -> Delivering<Version> {
    let key = StreamKey::from(stream);
    let mut version = through;
    while version > Version::EMPTY {
        let Some(commit) = ports.log.commit_holding(&key, version).await? else { break };
        if !subscription.begins_with(commit.recorded_at) {
            break;
        }
        version = Version::new(commit.first.get().saturating_sub(1));
    }
    Ok(version)
}

/// Has a lane looked at again.
async fn nudge(
    ports: &DeliverWebhooksPorts<'_>,
    subscription: &Subscription,
    stream: &StreamRef,
    through: Version,
    delay: Duration,
) -> Delivering<()> {
    let message = stream_message(&subscription.id, stream.clone(), through, delay);
    Ok(ports.queues.send(&Queue::Work(WorkQueue::Deliver), &[message]).await?)
}

/// Sends event after event. Returns how long to wait before the lane is looked at again, if it has to be.
async fn send_in_lane(
    ports: &DeliverWebhooksPorts<'_>,
    definitions: &Definitions,
    subscription: &Subscription,
    stream: &StreamRef,
    began: Timestamp,
    lane: &mut Lane,
) -> Delivering<Option<Duration>> {
    let key = StreamKey::from(stream);
    let clock = ports.webhooks.clock;
    // To the end of the stream, beyond what the message speaks of: what was recorded meanwhile need not wait for the lane.
    loop {
        let Some(commit) = ports.log.commit_holding(&key, lane.sent.next()).await? else { return Ok(None) };
        let (outcome, _) = ports.outcomes.outcome(commit.id()).await?;
        for event in commit.to_events() {
            let version = event.stream_version;
            if version <= lane.sent {
                continue;
            }
            let id = DeliveryId::of(subscription.id.as_str(), event.place);
            if !(subscription.is_due(event.recorded_at) && subscription.selects(&event)) {
                if !subscription.is_due(event.recorded_at) {
                    // It may have been tried before the subscription was disabled.
                    cancel_one(ports, &subscription.id, &id).await?;
                }
                lane.sent = version;
                continue;
            }
            let now = clock.now();
            if now.since(began).unwrap_or_default() > LANE_BUDGET {
                return Ok(Some(Duration::ZERO));
            }
            match admit(ports, subscription, 1).await? {
                Admission::Now(_) => {}
                Admission::After(delay) => {
                    (lane.waits_since, lane.waits_until) = (Some(now), Some(now.plus(delay)));
                    return Ok(Some(delay));
                }
                Admission::Never => return Ok(None),
            }
            let (standing, _) = ports.deliveries.delivery(&subscription.id, &id).await?;
            let open = standing.as_ref().filter(|delivery| delivery.state == DeliveryState::Retrying);
            let work = DeliveryWork {
                delivery_id: id.clone(),
                event: event_ref(&event),
                attempt: open.map_or(1, |delivery| delivery.round + 1),
                since: standing.as_ref().map_or(began, |delivery| delivery.since),
                // A lane that was rewound sends again what had come to an end.
                resend: open.is_none() && standing.is_some(),
            };
            let observed = observed(definitions, subscription, event, outcome.as_ref());
            let (body, trace) = ((ports.write)(&observed, None), TraceParent::of(&observed.event.details));
            let sent = send_to_subscription(ports.webhooks, subscription, id.as_str(), body, trace).await;
            let Some(sent) = sent else { return Ok(None) };
            match conclude(ports, subscription, &work, &observed.event, &sent, Conclusion::ByVerdict).await? {
                Next::Over => lane.sent = version,
                Next::Again { delay, .. } => {
                    (lane.waits_since, lane.waits_until) = (Some(sent.attempt.at), Some(sent.attempt.at.plus(delay)));
                    return Ok(Some(delay));
                }
            }
            if sent.attempt.verdict() == Verdict::Gone {
                return Ok(None);
            }
        }
    }
}
