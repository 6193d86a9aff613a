//! The append protocol under random schedules: overlapping retries, crashes between any two calls,
//! and writes that take effect long after their sender has gone.
//!
//! The store is a list of calls in flight. A scheduler picks, at random, whether a call in flight
//! takes effect, a sender goes on, or a sender crashes and leaves its calls behind.

#![cfg(test)]

mod collecting;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use futures::FutureExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use shared::adapters::memory::MemoryEvents;
use shared::commands::append::{AppendError, AppendPorts, AppendRequest, Appended, KnownHeads, append};
use shared::domain::claim::{Claim, ClaimKey, Fence, Slot};
use shared::domain::commit::Commit;
use shared::domain::event::{EventDetails, EventDraft};
use shared::domain::event_id::EventId;
use shared::domain::identifiers::OrganizationId;
use shared::domain::json::JsonObject;
use shared::domain::stream_id::{StreamId, StreamKey};
use shared::domain::timestamp::Timestamp;
use shared::domain::version::{ExpectedVersion, Version};
use shared::ports::commit_log::{CommitLog, Put, PutNoting, TogetherWith};
use shared::ports::random::Random;
use shared::ports::store_error::StoreError;

/// What is taken out of the protocol, to see that it is needed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Broken {
    Nothing,
    /// A claim is moved without looking at its fence.
    Fence,
    /// Nothing is claimed.
    Claim,
}

type Effect = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A store whose calls take effect when the scheduler says so.
struct SlowLog {
    store: Arc<MemoryEvents>,
    in_flight: Arc<Mutex<VecDeque<Effect>>>,
    broken: Broken,
}

/// Waits for a call in flight to take effect.
struct Reply<T>(Arc<OnceLock<T>>);

impl<T: Clone> Future for Reply<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<T> {
        self.0.get().map_or(Poll::Pending, |reply| Poll::Ready(reply.clone()))
    }
}

impl SlowLog {
    /// Sends a call, which takes effect some time, whether or not anybody waits for it.
    fn send<T, F>(&self, call: impl FnOnce(Arc<MemoryEvents>) -> F) -> Reply<T>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let reply = Arc::new(OnceLock::new());
        let (effect, slot) = (call(Arc::clone(&self.store)), Arc::clone(&reply));
        self.in_flight.lock().unwrap().push_back(Box::pin(async move {
            let answered = slot.set(effect.await.unwrap());
            assert!(answered.is_ok(), "a call takes effect once");
        }));
        Reply(reply)
    }
}

#[async_trait]
impl CommitLog for SlowLog {
    async fn head(&self, stream: &StreamKey) -> Result<Version, StoreError> {
        let stream = stream.clone();
        Ok(self.send(|store| async move { store.head(&stream).await }).await)
    }

    async fn commit_at(&self, slot: &Slot) -> Result<Option<Commit>, StoreError> {
        let slot = slot.clone();
        Ok(self.send(|store| async move { store.commit_at(&slot).await }).await)
    }

    async fn commit_holding(&self, stream: &StreamKey, version: Version) -> Result<Option<Commit>, StoreError> {
        let stream = stream.clone();
        Ok(self.send(|store| async move { store.commit_holding(&stream, version).await }).await)
    }

    async fn is_placed(&self, id: EventId, organization: Option<&OrganizationId>) -> Result<bool, StoreError> {
        let organization = organization.cloned();
        Ok(self.send(|store| async move { store.is_placed(id, organization.as_ref()).await }).await)
    }

    async fn put(&self, commits: &[Commit]) -> Result<Put, StoreError> {
        let commits = commits.to_vec();
        Ok(self.send(|store| async move { store.put(&commits).await }).await)
    }

    async fn put_noting(&self, commits: &[Commit], together: &TogetherWith) -> Result<PutNoting, StoreError> {
        let (commits, together) = (commits.to_vec(), together.clone());
        Ok(self.send(|store| async move { store.put_noting(&commits, &together).await }).await)
    }

    async fn claim(&self, key: &ClaimKey) -> Result<Option<Claim>, StoreError> {
        let key = key.clone();
        Ok(self.send(|store| async move { store.claim(&key).await }).await)
    }

    async fn put_claim(&self, key: &ClaimKey, claim: &Claim) -> Result<Option<Claim>, StoreError> {
        let (key, claim, broken) = (key.clone(), claim.clone(), self.broken);
        Ok(self.send(|store| async move { if broken == Broken::Claim { Ok(None) } else { store.put_claim(&key, &claim).await } }).await)
    }

    async fn move_claim(&self, key: &ClaimKey, from: Fence, claim: &Claim) -> Result<bool, StoreError> {
        let (key, claim, broken) = (key.clone(), claim.clone(), self.broken);
        let call = |store: Arc<MemoryEvents>| async move {
            let from = if broken == Broken::Fence { store.claim(&key).await?.map_or(from, |standing| standing.fence) } else { from };
            Ok(broken == Broken::Claim || store.move_claim(&key, from, &claim).await?)
        };
        Ok(self.send(call).await)
    }
}

struct Dice(Mutex<StdRng>);

impl Random for Dice {
    fn secret(&self) -> [u8; 32] {
        self.0.lock().unwrap().random()
    }

    fn number(&self) -> u64 {
        self.0.lock().unwrap().random()
    }
}

/// An attempt under way.
type Running<'a> = Pin<Box<dyn Future<Output = Result<Appended, AppendError>> + 'a>>;

/// One request, and what its attempts were told.
struct Request {
    append: AppendRequest,
    attempts: usize,
    answers: Vec<Appended>,
}

fn draft(name: &str, stream: Option<&str>, id: Option<EventId>, expected_version: ExpectedVersion) -> EventDraft {
    let details: EventDetails = serde_json::from_value(serde_json::json!({ "type": name })).unwrap();
    let data = JsonObject::parse(&format!("{{\"name\":{name:?}}}")).unwrap();
    EventDraft {
        event_id: id,
        organization: None,
        stream: stream.map(|stream| stream.parse::<StreamId>().unwrap()),
        expected_version,
        occurred_at: None,
        trace: None,
        details: EventDetails { data, ..details },
    }
}

fn client_id(number: usize) -> EventId {
    format!("00000000-0000-4000-8000-{number:012}").parse().unwrap()
}

/// A few requests that get in each other's way.
fn requests(dice: &mut StdRng) -> Vec<Request> {
    const STREAMS: [Option<&str>; 4] = [Some("order:1"), Some("order:2"), Some("order:1"), None];
    (0..dice.random_range(2..7))
        .map(|number| {
            let identity = dice.random_range(0..3);
            let events = dice.random_range(1..4);
            let drafts: Vec<EventDraft> = (0..events)
                .map(|place| {
                    // Requests may share events that have ids, and then those are the same.
                    let event = dice.random_range(0..6);
                    let expected = if dice.random_bool(0.1) { ExpectedVersion::Exists } else { ExpectedVersion::Any };
                    if identity == 0 {
                        draft(&format!("shared-{event}"), STREAMS[event % 4], Some(client_id(event)), expected)
                    } else {
                        draft(&format!("request-{number}-{place}"), STREAMS.choose(dice).copied().flatten(), None, expected)
                    }
                })
                .collect();
            let key = (identity == 1).then(|| (None, format!("key-{number}").parse().unwrap()));
            let now = Timestamp::from_micros(1_800_000_000_000_000 + i64::from(dice.random_range(0..5_u32)) * 1000).unwrap();
            // What cannot be told from a new request is sent once.
            let attempts = if identity == 2 { 1 } else { dice.random_range(1..4) };
            Request { append: AppendRequest { drafts, key, now }, attempts, answers: Vec::new() }
        })
        .collect()
}

/// Runs one random schedule to its end and says what went wrong.
fn run(seed: u64, broken: Broken) -> Result<(), String> {
    let mut dice = StdRng::seed_from_u64(seed);
    let store = Arc::new(MemoryEvents::default());
    let in_flight = Arc::new(Mutex::new(VecDeque::new()));
    let log = SlowLog { store: Arc::clone(&store), in_flight: Arc::clone(&in_flight), broken };
    let random = Dice(Mutex::new(StdRng::seed_from_u64(seed ^ 0x5eed)));
    // Processes, each with its own idea of where streams end. The writers of one take turns, so in some schedules there are many.
    let heads: Vec<KnownHeads> = (0..*[2, 8].choose(&mut dice).unwrap_or(&2)).map(|_| KnownHeads::default()).collect();
    let mut requests = requests(&mut dice);
    let plans: Vec<AppendRequest> = requests.iter().map(|request| request.append.clone()).collect();

    let ports: Vec<AppendPorts<'_>> = heads.iter().map(|heads| AppendPorts { log: &log, random: &random, heads }).collect();
    let mut waiting: Vec<usize> = requests.iter().enumerate().flat_map(|(number, request)| vec![number; request.attempts]).collect();
    let mut running: Vec<(usize, Running<'_>)> = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    while !waiting.is_empty() || !running.is_empty() || !in_flight.lock().unwrap().is_empty() {
        match dice.random_range(0..10) {
            0 | 1 if !waiting.is_empty() => {
                let number = waiting.swap_remove(dice.random_range(0..waiting.len()));
                running.push((number, Box::pin(append(&ports[dice.random_range(0..heads.len())], &plans[number]))));
            }
            2 if !running.is_empty() && dice.random_bool(0.1) => {
                drop(running.swap_remove(dice.random_range(0..running.len())));
            }
            3..6 if !running.is_empty() => {
                let chosen = dice.random_range(0..running.len());
                if let Poll::Ready(answer) = running[chosen].1.as_mut().poll(&mut context) {
                    let (number, _) = running.swap_remove(chosen);
                    match answer {
                        Ok(appended) => requests[number].answers.push(appended),
                        Err(AppendError::VersionConflict { .. }) => {}
                        Err(error) => return Err(format!("seed {seed}: request {number} failed: {error}")),
                    }
                }
            }
            _ => take_effect(&in_flight, &mut dice)?,
        }
    }
    check(&store, &requests).map_err(|problem| format!("seed {seed}: {problem}"))
}

/// Lets one of the calls in flight take effect, if there is any.
fn take_effect(in_flight: &Mutex<VecDeque<Effect>>, dice: &mut StdRng) -> Result<(), String> {
    let effect = {
        let mut calls = in_flight.lock().unwrap();
        let chosen = dice.random_range(0..calls.len().max(1));
        calls.remove(chosen)
    };
    effect.map_or(Some(()), FutureExt::now_or_never).ok_or_else(|| "the memory adapter never waits".to_owned())
}

/// Every stream's commits follow one upon the other.
fn check_streams(commits: &[Commit]) -> Result<(), String> {
    let mut next: BTreeMap<StreamKey, Version> = BTreeMap::new();
    for commit in commits {
        let expected = next.entry(commit.stream.clone()).or_insert(Version::EMPTY.next());
        if commit.first != *expected {
            return Err(format!("stream {} has a gap or an overlap before version {}", commit.stream, commit.first));
        }
        *expected = commit.last().next();
    }
    Ok(())
}

/// Nothing lost, nothing doubled, no gap, and every attempt was told the same.
fn check(store: &MemoryEvents, requests: &[Request]) -> Result<(), String> {
    let commits = store.commits();
    check_streams(&commits)?;
    let mut stored: BTreeMap<String, Vec<EventId>> = BTreeMap::new();
    for event in commits.iter().flat_map(Commit::to_events) {
        stored.entry(event.details.event_type.to_string()).or_default().push(event.place);
    }
    for (name, places) in &stored {
        if places.len() > 1 && !(name.starts_with("request") && requests_repeat(requests, name)) {
            return Err(format!("{name} is stored {} times", places.len()));
        }
    }
    for (number, request) in requests.iter().enumerate() {
        let places: BTreeSet<Vec<EventId>> =
            request.answers.iter().map(|answer| answer.events.iter().map(|event| event.place).collect()).collect();
        if places.len() > 1 {
            return Err(format!("request {number} was told {} different places: {places:?}", places.len()));
        }
        for answer in &request.answers {
            if answer.events.len() != request.append.drafts.len() {
                return Err(format!("request {number} was told of {} events", answer.events.len()));
            }
            for (draft, event) in request.append.drafts.iter().zip(&answer.events) {
                let name = draft.details.event_type.to_string();
                if !stored.get(&name).is_some_and(|places| places.contains(&event.place))
                    || event.details.event_type != draft.details.event_type
                {
                    return Err(format!("{name} was acknowledged and is not stored"));
                }
            }
        }
        let unnamed: Vec<&EventDraft> = request.append.drafts.iter().filter(|draft| draft.event_id.is_none()).collect();
        let there = unnamed.iter().filter(|draft| stored.contains_key(draft.details.event_type.as_str())).count();
        if there != 0 && there != unnamed.len() {
            return Err(format!("request {number} is stored in part"));
        }
    }
    Ok(())
}

fn requests_repeat(requests: &[Request], name: &str) -> bool {
    requests.iter().flat_map(|request| &request.append.drafts).filter(|draft| draft.details.event_type.as_str() == name).count() > 1
}

fn problems(broken: Broken, schedules: u64) -> Vec<String> {
    (0..schedules).filter_map(|seed| run(seed, broken).err()).collect()
}

/// BR-EVT-001. BR-EVT-008. BR-STM-003.
#[test]
fn no_schedule_loses_doubles_or_skips_an_event() {
    let problems = problems(Broken::Nothing, 30_000);
    assert!(problems.is_empty(), "{} of 30000 schedules: {}", problems.len(), problems[..problems.len().min(3)].join("\n"));
}

#[test]
fn without_the_fence_some_schedule_goes_wrong() {
    assert!(!problems(Broken::Fence, 20_000).is_empty());
}

#[test]
fn without_the_claim_some_schedule_goes_wrong() {
    assert!(!problems(Broken::Claim, 1_000).is_empty());
}
