//! Collecting under random schedules: messages that come again in other batches, a store that does not answer and carries things out
//! all the same, crashes, and a queue that hands things out more than once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use futures::FutureExt as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use shared::adapters::memory::{MemoryEvents, MemoryRejectedEvents};
use shared::commands::append::{AppendPorts, KnownHeads};
use shared::commands::check_schemas::SchemaGate;
use shared::commands::collect_events::{
    CollectEventsError, CollectEventsPorts, Collected, StoreHeldPorts, Taken, collect_events, store_held,
};
use shared::domain::claim::{Claim, ClaimKey, Fence, Slot};
use shared::domain::collected_event::CollectedEvent;
use shared::domain::commit::Commit;
use shared::domain::event_id::EventId;
use shared::domain::identifiers::OrganizationId;
use shared::domain::message::Message;
use shared::domain::queue::{Outgoing, Queue};
use shared::domain::stream_id::StreamKey;
use shared::domain::timestamp::Timestamp;
use shared::domain::version::{ExpectedVersion, Version};
use shared::domain::work::CollectWork;
use shared::ports::clock::Clock;
use shared::ports::commit_log::{CommitLog, Put, PutNoting, TogetherWith};
use shared::ports::queue::{QueueError, QueueSender};
use shared::ports::store_error::StoreError;

use super::{Broken, Dice, SlowLog, check_streams, draft, take_effect};

/// What is taken out, to see that it is needed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    None,
    /// Messages are not noted.
    NoNotes,
    /// What waits does not know where it may be stored already.
    Forgetful,
}

/// A store that now and then does not answer, and may carry out what it was asked all the same.
struct UnsteadyLog {
    slow: SlowLog,
    dice: Mutex<StdRng>,
    flaw: Flaw,
}

impl UnsteadyLog {
    fn answers(&self) -> bool {
        !self.dice.lock().unwrap().random_bool(0.2)
    }

    fn nothing<T>() -> Result<T, StoreError> {
        Err(StoreError::Unavailable("no answer".into()))
    }

    /// Writes, or gets no answer. What was sent by then takes effect sooner or later; the rest never.
    async fn write<T>(&self, mut writing: impl Future<Output = Result<T, StoreError>> + Send + Unpin) -> Result<T, StoreError> {
        if self.answers() {
            return writing.await;
        }
        // It has been sent once it is polled.
        if self.dice.lock().unwrap().random_bool(0.7) {
            let _ = (&mut writing).now_or_never();
        }
        Self::nothing()
    }
}

#[async_trait]
impl CommitLog for UnsteadyLog {
    async fn head(&self, stream: &StreamKey) -> Result<Version, StoreError> {
        if self.answers() { self.slow.head(stream).await } else { Self::nothing() }
    }

    async fn commit_at(&self, slot: &Slot) -> Result<Option<Commit>, StoreError> {
        if self.answers() { self.slow.commit_at(slot).await } else { Self::nothing() }
    }

    async fn commit_holding(&self, stream: &StreamKey, version: Version) -> Result<Option<Commit>, StoreError> {
        self.slow.commit_holding(stream, version).await
    }

    async fn is_placed(&self, id: EventId, organization: Option<&OrganizationId>) -> Result<bool, StoreError> {
        self.slow.is_placed(id, organization).await
    }

    async fn put(&self, commits: &[Commit]) -> Result<Put, StoreError> {
        self.write(self.slow.put(commits)).await
    }

    async fn put_noting(&self, commits: &[Commit], together: &TogetherWith) -> Result<PutNoting, StoreError> {
        let unnoted = TogetherWith { notes: Vec::new(), ..together.clone() };
        let together = if self.flaw == Flaw::NoNotes { &unnoted } else { together };
        self.write(self.slow.put_noting(commits, together)).await
    }

    async fn claim(&self, key: &ClaimKey) -> Result<Option<Claim>, StoreError> {
        self.slow.claim(key).await
    }

    async fn put_claim(&self, key: &ClaimKey, claim: &Claim) -> Result<Option<Claim>, StoreError> {
        self.slow.put_claim(key, claim).await
    }

    async fn move_claim(&self, key: &ClaimKey, from: Fence, claim: &Claim) -> Result<bool, StoreError> {
        self.slow.move_claim(key, from, claim).await
    }
}

/// Messages by their groups, those of each in their order.
#[derive(Default)]
struct Groups(Mutex<BTreeMap<String, VecDeque<String>>>);

#[async_trait]
impl QueueSender for Groups {
    async fn send(&self, _: &Queue, messages: &[Outgoing]) -> Result<(), QueueError> {
        for message in messages {
            let group = message.order.as_ref().unwrap().group.clone();
            self.0.lock().unwrap().entry(group).or_default().push_back(message.body.clone());
        }
        Ok(())
    }
}

struct Moment;

impl Clock for Moment {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000).unwrap()
    }
}

/// Messages of two senders, and one that names none.
fn named(number: usize) -> CollectedEvent {
    let sender = ["a", "b"][number % 2];
    let event = draft(&format!("named-{number}"), Some(&format!("user:{sender}")), None, ExpectedVersion::Any);
    let made_at = (number % 5 != 4).then(|| Moment.now());
    let id = format!("m{number}").parse().unwrap();
    CollectedEvent { draft: event, message: Some(Message { id, sender: Some(sender.to_owned()), made_at }) }
}

fn unnamed(request: usize, place: usize) -> CollectedEvent {
    let stream = ["user:a", "user:b"].get(place).copied();
    CollectedEvent { draft: draft(&format!("unnamed-{request}-{place}"), stream, None, ExpectedVersion::Any), message: None }
}

type Answer = Result<Vec<Collected>, CollectEventsError>;
type Running<'a> = Pin<Box<dyn Future<Output = Answer> + 'a>>;
type Storing<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + 'a>>;

/// Runs one random schedule to its end and says what went wrong.
fn run(seed: u64, flaw: Flaw) -> Result<(), String> {
    let mut dice = StdRng::seed_from_u64(seed);
    let store = Arc::new(MemoryEvents::default());
    let in_flight = Arc::new(Mutex::new(VecDeque::new()));
    let slow = SlowLog { store: Arc::clone(&store), in_flight: Arc::clone(&in_flight), broken: Broken::Nothing };
    let log = UnsteadyLog { slow, dice: Mutex::new(StdRng::seed_from_u64(seed ^ 0x0ff)), flaw };
    let (random, queue, rejected) =
        (Dice(Mutex::new(StdRng::seed_from_u64(seed ^ 0x5eed))), Groups::default(), MemoryRejectedEvents::default());
    let heads = [KnownHeads::default(), KnownHeads::default()];
    let append = |process: usize| AppendPorts { log: &log, random: &random, heads: &heads[process] };
    let gate = SchemaGate::default();
    let collecting = [0, 1].map(|process| CollectEventsPorts {
        append: append(process),
        rejected: &rejected,
        queues: &queue,
        clock: &Moment,
        definitions: &*store,
        gate: &gate,
    });
    let storing = StoreHeldPorts { append: append(1), rejected: &rejected, clock: &Moment };

    let requests: Vec<Vec<CollectedEvent>> = (0..dice.random_range(2..7))
        .map(|request| {
            let with_names: BTreeSet<usize> = (0..dice.random_range(0..4)).map(|_| dice.random_range(0..6)).collect();
            let without = (0..dice.random_range(0..3)).map(|place| unnamed(request, place));
            with_names.into_iter().map(named).chain(without).collect()
        })
        .collect();
    let names: Vec<Vec<String>> =
        requests.iter().map(|request| request.iter().map(|event| event.draft.details.event_type.to_string()).collect()).collect();
    let mut waiting: VecDeque<usize> = (0..requests.len()).collect();
    let mut running: Vec<(usize, Running<'_>)> = Vec::new();
    let mut drains: BTreeMap<String, Storing<'_>> = BTreeMap::new();
    let mut told: Vec<(String, Collected)> = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    let is_empty = |queue: &Groups| queue.0.lock().unwrap().values().all(VecDeque::is_empty);
    while !waiting.is_empty() || !running.is_empty() || !in_flight.lock().unwrap().is_empty() || !is_empty(&queue) || !drains.is_empty() {
        match dice.random_range(0..12) {
            0 | 1 => {
                if let Some(number) = waiting.pop_front() {
                    let ports = &collecting[dice.random_range(0..2)];
                    running.push((number, Box::pin(collect_events(ports, requests[number].clone()))));
                }
            }
            2 if !running.is_empty() && dice.random_bool(0.1) => {
                // Its sender hears nothing.
                drop(running.swap_remove(dice.random_range(0..running.len())));
            }
            3..6 if !running.is_empty() => {
                let chosen = dice.random_range(0..running.len());
                if let Poll::Ready(answer) = running[chosen].1.as_mut().poll(&mut context) {
                    let (number, _) = running.swap_remove(chosen);
                    let collected = answer.map_err(|error| format!("seed {seed}: request {number} failed: {error}"))?;
                    if collected.len() != names[number].len() {
                        return Err(format!("seed {seed}: request {number} was told of {} events", collected.len()));
                    }
                    told.extend(names[number].iter().cloned().zip(collected));
                }
            }
            6 | 7 => {
                let groups = queue.0.lock().unwrap();
                let idle: Vec<(&String, &String)> = groups
                    .iter()
                    .filter(|(group, _)| !drains.contains_key(*group))
                    .filter_map(|(group, waits)| Some((group, waits.front()?)))
                    .collect();
                if !idle.is_empty() {
                    let (group, body) = idle[dice.random_range(0..idle.len())];
                    let mut work: CollectWork = serde_json::from_str(body).unwrap();
                    if let (CollectWork::Events(held), Flaw::Forgetful) = (&mut work, flaw) {
                        held.tried = None;
                    }
                    drains.insert(group.clone(), Box::pin(store_held(&storing, work)));
                }
            }
            8 | 9 if !drains.is_empty() => {
                let group = drains.keys().nth(dice.random_range(0..drains.len())).unwrap().clone();
                if dice.random_bool(0.02) {
                    // It crashes, and the message is handed out again.
                    drains.remove(&group);
                } else if let Poll::Ready(stored) = drains.get_mut(&group).unwrap().as_mut().poll(&mut context) {
                    drains.remove(&group);
                    if stored.is_ok() && !dice.random_bool(0.1) {
                        queue.0.lock().unwrap().get_mut(&group).unwrap().pop_front();
                    }
                }
            }
            _ => take_effect(&in_flight, &mut dice)?,
        }
    }
    check(&store, &told).map_err(|problem| format!("seed {seed}: {problem}"))
}

/// Nothing that was acknowledged is lost, nothing is doubled, no stream has a gap, and what was told of is there under that id.
fn check(store: &MemoryEvents, told: &[(String, Collected)]) -> Result<(), String> {
    let commits = store.commits();
    check_streams(&commits)?;
    let mut stored: BTreeMap<String, Vec<EventId>> = BTreeMap::new();
    let (mut names, mut places): (BTreeMap<EventId, String>, BTreeMap<EventId, String>) = Default::default();
    for event in commits.iter().flat_map(Commit::to_events) {
        let name = event.details.event_type.to_string();
        if let Some(other) = names.insert(event.id, name.clone()) {
            return Err(format!("{name} and {other} have one id: {}", event.id));
        }
        places.insert(event.place, name.clone());
        stored.entry(name).or_default().push(event.id);
    }
    if let Some((name, ids)) = stored.iter().find(|(_, ids)| ids.len() > 1) {
        return Err(format!("{name} is stored {} times", ids.len()));
    }
    for (name, collected) in told {
        let Some(ids) = stored.get(name) else { return Err(format!("{name} was acknowledged and is not stored")) };
        // What waits may be stored by another batch that has the same message, under that one's id.
        // Or it is told the id of a place that another event has got in the same millisecond.
        let is_anothers = places.get(&collected.event_id).is_some_and(|other| other != name);
        let may_differ = collected.how == Taken::Queued && (name.starts_with("named") || is_anothers);
        if !may_differ && !ids.contains(&collected.event_id) {
            return Err(format!("{name} is {:?}, and {:?} was told ({:?})", ids, collected.event_id, collected.how));
        }
    }
    Ok(())
}

fn problems(flaw: Flaw, schedules: u64) -> Vec<String> {
    (0..schedules).filter_map(|seed| run(seed, flaw).err()).collect()
}

#[test]
fn no_schedule_loses_or_doubles_a_collected_event() {
    let problems = problems(Flaw::None, 28_800);
    assert!(problems.is_empty(), "{} of 28800 schedules: {}", problems.len(), problems[..problems.len().min(3)].join("\n"));
}

#[test]
fn without_the_notes_some_schedule_doubles_a_message() {
    assert!(!problems(Flaw::NoNotes, 500).is_empty());
}

#[test]
fn without_the_memory_of_what_was_tried_some_schedule_doubles_an_event() {
    assert!(!problems(Flaw::Forgetful, 3_000).is_empty());
}
