//! Runs replays: a chain of messages, each good for a part, with the checkpoint in the table.
//!
//! Whoever goes on with a replay has a lease on it, and saves how far it is after every batch, over the revision that it has seen. So a
//! replay that is interrupted at any point goes on from its last checkpoint: each event is sent at least once, and those of a stream in
//! their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tracing::Instrument as _;

use super::bridge_events::again_to_bridge;
use super::dispatch_events::to_json;
use super::event_span;
use super::replay_batch::{Batch, KnownStreams, ReplayBatchPorts, next_batch};
use super::run_processor::{RunProcessorPorts, run_processor};
use super::send_webhook::send_to_subscription;
use crate::domain::bridge::Bridging;
use crate::domain::definitions::Definitions;
use crate::domain::delivery::{DeliveryId, Verdict};
use crate::domain::domain_event::SOURCE;
use crate::domain::event::Event;
use crate::domain::event_id::EventId;
use crate::domain::identifiers::ReplayTargetName;
use crate::domain::outcome::{Outcome, ResultStatus};
use crate::domain::processor::Processor;
use crate::domain::query::ObservedEvent;
use crate::domain::queue::{Outgoing, Queue, WorkQueue};
use crate::domain::replay::{EventEnd, Lease, Replay, ReplayState, ReplayTally, Target};
use crate::domain::subscription::Subscription;
use crate::domain::timestamp::Timestamp;
use crate::domain::trace::TraceParent;
use crate::domain::work::{NatsWork, ReplayWork, StreamRef};
use crate::ports::definition_store::Freshness;
use crate::ports::event_bus::BusEntry;
use crate::ports::queue::QueueError;
use crate::ports::replay_store::ReplayStore;
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;
use crate::ports::timer::Timer;

/// What running replays takes.
pub struct RunReplaysPorts<'a> {
    /// Where replays are kept.
    pub replays: &'a dyn ReplayStore,
    /// Finds what is sent.
    pub batch: ReplayBatchPorts<'a>,
    /// Waits, so that not too many are sent a second.
    pub timer: &'a dyn Timer,
    /// Sends, and takes what comes later.
    pub run: RunProcessorPorts<'a>,
    /// Whether there is a bridge to NATS.
    pub bridging: Bridging,
    /// Since when nobody but this process runs replays, if that is so: leases of before are nobody's.
    pub alone_since: Option<Timestamp>,
}

/// Why a message was not dealt with. It is to be taken up again.
#[derive(Debug, thiserror::Error)]
pub enum RunReplaysError {
    /// Somebody else is at it.
    #[error("somebody else is at the replay")]
    Busy,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The next message could not be sent. The sweep finds the replay.
    #[error("a queue failed")]
    Queue(#[from] QueueError),
}

/// What is said of replays to NATS if there is none.
pub(super) const NO_NATS: &str = "no NATS server is configured";
/// For how long one message sends.
const BUDGET: Duration = Duration::from_secs(40);
/// For how long a replay is nobody else's: longer than a function may take.
const LEASE: Duration = Duration::from_secs(100);
/// How long after it should have gone on somebody looks whether it does.
const LOOK_AFTER: Duration = Duration::from_mins(2);
/// For how long it sends before it saves how far it is, and looks whether it is to go on and to whom.
const SLICE: Duration = Duration::from_secs(2);
/// How many streams are sent at a time.
const STREAMS_AT_ONCE: usize = 16;
/// How many failures one stands for that took several attempts.
const GIVEN_UP_COUNTS: u32 = 10;

/// Goes on with a replay, and asks for the rest.
///
/// # Errors
/// [`RunReplaysError`]: the message is to be taken up again.
pub async fn run_replay(ports: &RunReplaysPorts<'_>, work: &ReplayWork) -> Result<(), RunReplaysError> {
    let (standing, seen) = ports.replays.replay(&work.replay_id).await?;
    // A message of before, or twice: another goes on with it.
    let Some(mut replay) = standing.filter(|replay| replay.is_active() && replay.ticket == work.ticket) else { return Ok(()) };
    let began = ports.batch.clock.now();
    let held = replay.lease.filter(|lease| ports.alone_since.is_none_or(|alone| lease.since >= alone));
    if held.is_some_and(|lease| lease.until > began) {
        return Err(RunReplaysError::Busy);
    }
    let until = began.plus(LEASE);
    (replay.lease, replay.due_at) = (Some(Lease { since: began, until }), Some(until.plus(LOOK_AFTER)));
    if !ports.replays.save_replay(&replay, seen).await? {
        return Err(RunReplaysError::Busy);
    }
    let mut saved = Saved { ports, revision: Revision(seen.0 + 1) };
    let mut run = Run { known: KnownStreams::default(), pace: Pace::new(replay.rate, began), deadline: began.plus(BUDGET) };
    loop {
        let wait = match run.go_on(ports, &mut replay).await? {
            Step::On if ports.batch.clock.now() < run.deadline => {
                if !saved.save(&mut replay).await? {
                    return Ok(());
                }
                continue;
            }
            Step::On => Duration::ZERO,
            Step::Later(wait) => wait,
            Step::Ended(state, reason) => {
                replay.end(state, reason, ports.batch.clock.now());
                saved.save(&mut replay).await?;
                return Ok(());
            }
        };
        let now = ports.batch.clock.now();
        replay.ticket += 1;
        (replay.lease, replay.due_at) = (None, Some(now.plus(wait).plus(LOOK_AFTER)));
        if saved.save(&mut replay).await? {
            let message = Outgoing::after(wait, to_json(&ReplayWork { replay_id: replay.id.clone(), ticket: replay.ticket }));
            ports.run.queues.send(&Queue::Work(WorkQueue::Replay), &[message]).await?;
        }
        return Ok(());
    }
}

/// The message that begins a replay, or goes on with one that nobody goes on with.
#[must_use]
pub fn replay_message(replay: &Replay) -> Outgoing {
    Outgoing::now(to_json(&ReplayWork { replay_id: replay.id.clone(), ticket: replay.ticket }))
}

/// Saves a replay again and again, as long as nobody else does.
struct Saved<'a> {
    ports: &'a RunReplaysPorts<'a>,
    revision: Revision,
}

impl Saved<'_> {
    /// Whether it was saved. If not, somebody has canceled it.
    async fn save(&mut self, replay: &mut Replay) -> Result<bool, StoreError> {
        replay.updated_at = self.ports.batch.clock.now();
        let saved = self.ports.replays.save_replay(replay, self.revision).await?;
        self.revision = Revision(self.revision.0 + 1);
        Ok(saved)
    }
}

/// What comes next.
enum Step {
    /// The next batch.
    On,
    /// The same again, after a while.
    Later(Duration),
    /// Nothing.
    Ended(ReplayState, Option<String>),
}

/// The work on one message.
struct Run {
    known: KnownStreams,
    pace: Pace,
    deadline: Timestamp,
}

impl Run {
    /// Sends the next batch, and notes in the replay how far that got.
    async fn go_on(&mut self, ports: &RunReplaysPorts<'_>, replay: &mut Replay) -> Result<Step, StoreError> {
        let batch = next_batch(&ports.batch, &replay.selection, &replay.checkpoint, &mut self.known).await?;
        let definitions = ports.batch.definitions.definitions(Freshness::Current).await?;
        let receiver = match Receiver::find(&definitions, &replay.target) {
            Ok(receiver) => receiver,
            Err(reason) => return Ok(Step::Ended(ReplayState::Failed, Some(reason))),
        };
        let deadline = self.deadline.min(ports.batch.clock.now().plus(SLICE));
        let failed_in_a_row = AtomicU32::new(replay.tally.failed_in_a_row);
        let sending = Sending { ports, definitions: &definitions, receiver, replay, pace: &self.pace, deadline, failed_in_a_row };
        let streams: Vec<(&StreamRef, &Vec<Event>)> = batch.streams.iter().collect();
        let mut sent: Vec<Sent> = Vec::with_capacity(streams.len());
        // No more at a time than may be sent in a second: each of them may have to wait for its turn.
        for some in streams.chunks(STREAMS_AT_ONCE.min(usize::try_from(replay.rate).unwrap_or(STREAMS_AT_ONCE)).max(1)) {
            let each = some.iter().map(|(_, events)| sending.send_stream(events));
            sent.extend(join_all(each).await.into_iter().collect::<Result<Vec<Sent>, StoreError>>()?);
        }
        let streams: Vec<StreamRef> = batch.streams.keys().cloned().collect();
        Ok(note(replay, batch, streams.into_iter().zip(sent)))
    }
}

/// Notes what became of a batch.
fn note(replay: &mut Replay, batch: Batch, sent: impl Iterator<Item = (StreamRef, Sent)>) -> Step {
    let (mut stopped, mut later) = (false, None);
    for (stream, sent) in sent {
        for (event, end) in &sent.done {
            replay.tally.note(event, end);
            if sent.gave_up == Some(event.id) {
                replay.tally.failed_in_a_row += GIVEN_UP_COUNTS - 1;
            }
        }
        if let Some((last, _)) = sent.done.last() {
            replay.checkpoint.advance(&stream, last.stream_version, batch.until);
        }
        match sent.stop {
            None => {}
            Some(Stop::Gone(reason)) => return Step::Ended(ReplayState::Failed, Some(reason)),
            Some(Stop::Enough) => stopped = true,
            Some(Stop::Again(wait)) => later = later.max(Some(wait)),
        }
    }
    if replay.tally.failed_in_a_row >= ReplayTally::MOST_IN_A_ROW {
        let last = replay.tally.failures.last().map_or("", |failure| failure.reason.as_str());
        return Step::Ended(ReplayState::Failed, Some(format!("the target takes nothing: {last}")));
    }
    if let Some(wait) = later {
        let own = Replay::delay_after(replay.attempt).unwrap_or_default();
        replay.attempt = if Replay::delay_after(replay.attempt).is_some() { replay.attempt + 1 } else { 1 };
        return Step::Later(wait.max(own).min(Outgoing::MAX_DELAY));
    }
    replay.attempt = 1;
    if stopped {
        return Step::On;
    }
    for (stream, through, until) in batch.ahead {
        replay.checkpoint.advance(&stream, through, until);
    }
    if let Some(place) = batch.place {
        replay.checkpoint.reach(place);
    }
    if batch.is_last { Step::Ended(ReplayState::Completed, None) } else { Step::On }
}

/// What became of the events of a stream.
struct Sent {
    done: Vec<(Event, EventEnd)>,
    /// The event that was given up after several attempts.
    gave_up: Option<EventId>,
    stop: Option<Stop>,
}

/// Why the rest of a stream was not sent.
enum Stop {
    /// It is time to save how far it is, or so much was refused that it is to be seen whether to go on.
    Enough,
    /// The target is to be asked again, at the earliest after so long.
    Again(Duration),
    /// The target wants nothing any more.
    Gone(String),
}

/// What a target said to an event.
enum Answer {
    End(EventEnd),
    Again(String, Duration),
    Gone(String),
}

/// Who gets the events, as it is defined now.
enum Receiver {
    /// NATS, on subjects of this name's, or as when the events were new: several of a stream at a time, through the queue.
    Nats(Option<ReplayTargetName>),
    /// Who gets one event after the other.
    Each(Each),
}

/// Who gets one event after the other.
enum Each {
    Subscription(Arc<Subscription>),
    Processor(Arc<Processor>),
    Bus(String),
    Everybody,
}

impl Receiver {
    fn find(definitions: &Definitions, target: &Target) -> Result<Self, String> {
        match target {
            Target::Subscription(id) => match definitions.subscription(id) {
                Some(subscription) if subscription.is_active() => Ok(Self::Each(Each::Subscription(Arc::clone(subscription)))),
                Some(_) => Err("the subscription is disabled".to_owned()),
                None => Err("the subscription is gone".to_owned()),
            },
            Target::Processor(id) => match definitions.processor(id).filter(|processor| processor.removed_at.is_none()) {
                Some(processor) if processor.enabled => Ok(Self::Each(Each::Processor(Arc::clone(processor)))),
                Some(_) => Err("the processor is switched off".to_owned()),
                None => Err("the processor is gone".to_owned()),
            },
            Target::Bus(name) => Ok(Self::Each(Each::Bus(name.as_str().to_owned()))),
            Target::Nats(name) => Ok(Self::Nats(Some(name.clone()))),
            Target::Republish => Ok(Self::Nats(None)),
            Target::Everybody => Ok(Self::Each(Each::Everybody)),
        }
    }
}

/// Sends events to one target.
struct Sending<'a> {
    ports: &'a RunReplaysPorts<'a>,
    definitions: &'a Definitions,
    receiver: Receiver,
    replay: &'a Replay,
    pace: &'a Pace,
    deadline: Timestamp,
    /// How many were refused one after the other.
    failed_in_a_row: AtomicU32,
}

impl Sending<'_> {
    /// Sends the events of a stream, in their order.
    async fn send_stream(&self, events: &[Event]) -> Result<Sent, StoreError> {
        match &self.receiver {
            Receiver::Nats(name) => Ok(self.send_to_nats(name.as_ref(), events).await),
            Receiver::Each(receiver) => self.send_each(receiver, events).await,
        }
    }

    /// Whether no more is to be sent before it is saved how far it is.
    fn is_enough(&self) -> bool {
        self.ports.batch.clock.now() >= self.deadline || self.failed_in_a_row.load(Ordering::Relaxed) >= ReplayTally::MOST_IN_A_ROW
    }

    async fn send_each(&self, receiver: &Each, events: &[Event]) -> Result<Sent, StoreError> {
        let mut sent = Sent { done: Vec::with_capacity(events.len()), gave_up: None, stop: None };
        let mut outcome: Option<(EventId, Option<Outcome>)> = None;
        for event in events {
            if self.is_enough() {
                sent.stop = Some(Stop::Enough);
                break;
            }
            if outcome.as_ref().is_none_or(|(commit, _)| *commit != event.commit) {
                outcome = Some((event.commit, self.ports.batch.outcomes.outcome(event.commit).await?.0));
            }
            let of_commit = outcome.as_ref().and_then(|(_, outcome)| outcome.as_ref());
            let observed = self.definitions.observe_newest(event.clone(), of_commit);
            let answer = self.send(receiver, &observed).instrument(event_span::of(event)).await;
            self.note_answer(&mut sent, std::slice::from_ref(event), answer);
            if sent.stop.is_some() {
                break;
            }
        }
        Ok(sent)
    }

    /// Has events published, in the order of their stream: what is in the queue is not lost any more.
    async fn send_to_nats(&self, name: Option<&ReplayTargetName>, events: &[Event]) -> Sent {
        let mut sent = Sent { done: Vec::with_capacity(events.len()), gave_up: None, stop: None };
        if self.ports.bridging == Bridging::Off {
            self.note_answer(&mut sent, events.get(..1).unwrap_or_default(), Answer::Gone(NO_NATS.to_owned()));
            return sent;
        }
        // All streams together no more at a time than may be sent in a second, as when there is one event after the other.
        let rate = usize::try_from(self.replay.rate).unwrap_or(usize::MAX);
        for some in events.chunks((rate / STREAMS_AT_ONCE).clamp(1, NatsWork::MAX_AGAIN)) {
            if self.is_enough() {
                sent.stop = Some(Stop::Enough);
                break;
            }
            for _ in some {
                self.pace.wait(self.ports).await;
            }
            let Some(message) = again_to_bridge(some, &self.replay.id, name) else { break };
            let answer = match self.ports.run.queues.send(&Queue::Work(WorkQueue::Nats), &[message]).await {
                Ok(()) => Answer::End(EventEnd::Taken),
                Err(error) => Answer::Again(error.to_string(), Duration::ZERO),
            };
            self.note_answer(&mut sent, some, answer);
            if sent.stop.is_some() {
                break;
            }
        }
        sent
    }

    /// Notes what the target said to events that it was given together.
    fn note_answer(&self, sent: &mut Sent, events: &[Event], answer: Answer) {
        let end = match answer {
            Answer::End(end) => {
                match end {
                    EventEnd::Failed(_) => _ = self.failed_in_a_row.fetch_add(1, Ordering::Relaxed),
                    EventEnd::Taken => self.failed_in_a_row.store(0, Ordering::Relaxed),
                    EventEnd::NotWanted => {}
                }
                end
            }
            // What has failed as often as it may holds up nothing after it.
            Answer::Again(reason, _) if sent.gave_up.is_none() && Replay::delay_after(self.replay.attempt).is_none() => {
                sent.gave_up = events.first().map(|event| event.id);
                EventEnd::Failed(reason)
            }
            Answer::Again(_, wait) => {
                sent.stop = Some(Stop::Again(wait));
                return;
            }
            Answer::Gone(reason) => {
                sent.stop = Some(Stop::Gone(reason.clone()));
                EventEnd::Failed(reason)
            }
        };
        sent.done.extend(events.iter().map(|event| (event.clone(), end.clone())));
    }

    async fn send(&self, receiver: &Each, observed: &ObservedEvent) -> Answer {
        match receiver {
            Each::Subscription(subscription) => self.to_subscription(subscription, observed).await,
            Each::Processor(processor) => self.to_processor(processor, observed).await,
            Each::Bus(name) => self.to_bus(name, observed).await,
            Each::Everybody => self.to_everybody(observed).await,
        }
    }

    async fn to_everybody(&self, observed: &ObservedEvent) -> Answer {
        let mut all = EventEnd::NotWanted;
        for subscription in self.definitions.subscriptions().filter(|subscription| subscription.is_active()) {
            // Whoever wants nothing any more wants nothing of this either.
            match self.to_subscription(subscription, observed).await {
                Answer::End(end) => all = worse(all, end),
                Answer::Gone(reason) => all = worse(all, EventEnd::Failed(reason)),
                again @ Answer::Again(..) => return again,
            }
        }
        for processor in self.definitions.processors().filter(|processor| processor.enabled) {
            match self.to_processor(processor, observed).await {
                Answer::End(end) => all = worse(all, end),
                Answer::Gone(reason) => all = worse(all, EventEnd::Failed(reason)),
                again @ Answer::Again(..) => return again,
            }
        }
        Answer::End(all)
    }

    /// What one receiver of this replay gets: another id than the event had when it was new.
    fn id(&self, receiver: &str, event: &Event) -> DeliveryId {
        DeliveryId::of(&format!("{}/{receiver}", self.replay.id), event.place)
    }

    fn body(&self, observed: &ObservedEvent) -> String {
        (self.ports.run.write)(observed, Some(&self.replay.id))
    }

    async fn to_subscription(&self, subscription: &Subscription, observed: &ObservedEvent) -> Answer {
        let event = &observed.event;
        if !subscription.selects(event) {
            return Answer::End(EventEnd::NotWanted);
        }
        self.pace.wait(self.ports).await;
        let id = self.id(subscription.id.as_str(), event);
        let trace = TraceParent::of(&event.details);
        let sent = send_to_subscription(self.ports.run.webhooks, subscription, id.as_str(), self.body(observed), trace).await;
        let Some(sent) = sent else { return Answer::Gone("the subscription has no address".to_owned()) };
        let said =
            sent.attempt.error.clone().unwrap_or_else(|| format!("the receiver answered {}", sent.attempt.status.unwrap_or_default()));
        match sent.attempt.verdict() {
            Verdict::Delivered => Answer::End(EventEnd::Taken),
            Verdict::TryAgain => Answer::Again(said, sent.retry_after.unwrap_or_default()),
            Verdict::Refused => Answer::End(EventEnd::Failed(said)),
            Verdict::Gone => Answer::Gone(said),
        }
    }

    async fn to_processor(&self, processor: &Processor, observed: &ObservedEvent) -> Answer {
        let event = &observed.event;
        let is_its = processor.organization.is_none() || processor.organization.as_ref() == event.organization();
        if !is_its || !processor.selector().matches(&event.details) {
            return Answer::End(EventEnd::NotWanted);
        }
        self.pace.wait(self.ports).await;
        let ports = RunProcessorPorts { replay: Some(&self.replay.id), ..self.ports.run };
        let run = run_processor(&ports, self.definitions, processor, event, self.replay.attempt).await;
        let said = run.result.message.unwrap_or_default();
        match run.result.status {
            ResultStatus::Success => Answer::End(EventEnd::Taken),
            ResultStatus::Skipped => Answer::End(EventEnd::NotWanted),
            ResultStatus::Failed => Answer::End(EventEnd::Failed(said)),
            ResultStatus::Retry => Answer::Again(said, run.again_after.unwrap_or_default()),
        }
    }

    async fn to_bus(&self, name: &str, observed: &ObservedEvent) -> Answer {
        let Some(bus) = self.ports.run.bus else { return Answer::Gone("no event bus is configured".to_owned()) };
        self.pace.wait(self.ports).await;
        let event = &observed.event;
        let entry = BusEntry {
            bus: None,
            source: SOURCE.to_owned(),
            detail_type: format!("events.replay.{name}.{}", event.details.event_type),
            detail: self.body(observed),
            at: event.occurred_at,
        };
        match bus.put(&[entry]).await {
            Ok(()) => Answer::End(EventEnd::Taken),
            Err(error) => Answer::Again(error.to_string(), Duration::ZERO),
        }
    }
}

/// What is said of an event that several receivers have got.
fn worse(one: EventEnd, other: EventEnd) -> EventEnd {
    match (one, other) {
        (failed @ EventEnd::Failed(_), _) | (_, failed @ EventEnd::Failed(_)) => failed,
        (EventEnd::Taken, _) | (_, EventEnd::Taken) => EventEnd::Taken,
        (EventEnd::NotWanted, EventEnd::NotWanted) => EventEnd::NotWanted,
    }
}

/// Lets so many pass a second.
struct Pace {
    began: Timestamp,
    passed: AtomicU64,
    micros_each: u64,
}

impl Pace {
    fn new(rate: u32, began: Timestamp) -> Self {
        Self { began, passed: AtomicU64::new(0), micros_each: 1_000_000 / u64::from(rate.max(1)) }
    }

    async fn wait(&self, ports: &RunReplaysPorts<'_>) {
        let number = self.passed.fetch_add(1, Ordering::Relaxed);
        let at = self.began.plus(Duration::from_micros(number.saturating_mul(self.micros_each)));
        if at > ports.batch.clock.now() {
            ports.timer.wait_until(at).await;
        }
    }
}
