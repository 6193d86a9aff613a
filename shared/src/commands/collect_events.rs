//! Stores what collectors take in: each event once, those of one stream in their order, and nothing lost if the store does not
//! answer.
//!
//! A stream's events go to the slot after a commit that was seen, as every append does, together with the notes of their
//! messages: one call, all or none. What the store does not take goes to the queue `collect`, and is stored from there in the
//! order of its stream. An attempt that got no answer may have been carried out: whoever goes on with it begins at the same slot
//! with the same name, so that it finds its own commit there, or takes the slot from it for good.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt as _};

use super::append::AppendPorts;
use super::check_schemas::SchemaGate;
use super::dispatch_events::{group_of, to_json};
use crate::domain::claim::{Claim, ClaimKey, ClaimSubject, Fence, Slot};
use crate::domain::collected_event::CollectedEvent;
use crate::domain::commit::{Attempt, Commit, StreamPlan, own_stream, plan_streams};
use crate::domain::event::{BodyDigest, EventDraft};
use crate::domain::event_id::EventId;
use crate::domain::message::{LedgerNote, LedgerPage, Mark, Message};
use crate::domain::queue::{MessageOrder, Outgoing, Queue, WorkQueue};
use crate::domain::rejected_event::RejectedEvent;
use crate::domain::stream_id::StreamKey;
use crate::domain::timestamp::Timestamp;
use crate::domain::version::{ExpectedVersion, Version};
use crate::domain::work::{CollectWork, HeldEvent, HeldEvents, StreamRef, Tried};
use crate::ports::clock::Clock;
use crate::ports::commit_log::{Put, PutNoting, TogetherWith};
use crate::ports::definition_store::DefinitionStore;
use crate::ports::queue::{QueueError, QueueSender};
use crate::ports::random::Random;
use crate::ports::rejected_events::RejectedEvents;
use crate::ports::store_error::StoreError;

/// What collecting needs.
pub struct CollectEventsPorts<'a> {
    /// Where events go.
    pub append: AppendPorts<'a>,
    /// Where events go that cannot be read.
    pub rejected: &'a dyn RejectedEvents,
    /// Takes what the store does not take.
    pub queues: &'a dyn QueueSender,
    /// Says when events came.
    pub clock: &'a dyn Clock,
    /// Knows the schemas.
    pub definitions: &'a dyn DefinitionStore,
    /// What is known of them.
    pub gate: &'a SchemaGate,
}

/// What storing needs of which nothing is queued.
pub struct StoreHeldPorts<'a> {
    /// Where events go.
    pub append: AppendPorts<'a>,
    /// Where events go that cannot be read.
    pub rejected: &'a dyn RejectedEvents,
    /// Says when events are stored.
    pub clock: &'a dyn Clock,
}

/// Neither the store nor the queue took all events. The same request is to be sent again.
#[derive(Debug, thiserror::Error)]
#[error("neither the store nor the queue takes events")]
pub struct CollectEventsError(#[source] QueueError);

/// An event that was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collected {
    /// Its id.
    pub event_id: EventId,
    /// What became of it.
    pub how: Taken,
}

/// What became of an event that was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is stored.
    Stored,
    /// It was taken in before.
    Before,
    /// It is in the queue, and stored as soon as the store answers.
    Queued,
}

/// How many streams are written at a time.
const STREAMS_AT_ONCE: usize = 16;
/// How often slots are tried before the events go to the queue.
const MOST_ROUNDS: usize = 25;

/// Takes events in. The answer is in their order.
///
/// # Errors
/// [`CollectEventsError`] if neither the store nor the queue took all of them.
pub async fn collect_events(ports: &CollectEventsPorts<'_>, events: Vec<CollectedEvent>) -> Result<Vec<Collected>, CollectEventsError> {
    let Attempted { entries, mut taken, failed } = store_each(&ports.append, ports.clock, events).await;
    let mut held = Vec::new();
    for (stream, failed) in failed {
        tracing::error!(error = %crate::telemetry::Chain(&failed.error), events = failed.open.len(), "the store did not take events: they are queued");
        held.push(hold(ports, &stream, &failed, &entries));
    }
    let messages: Vec<Outgoing> = held.iter().flat_map(|(messages, _)| messages.iter().cloned()).collect();
    if !messages.is_empty() {
        ports.queues.send(&Queue::Work(WorkQueue::Collect), &messages).await.map_err(CollectEventsError)?;
    }
    taken.extend(held.into_iter().flat_map(|(_, queued)| queued));
    Ok(taken.into_values().collect())
}

/// Stores events as far as the store takes them, and leaves the others to whoever has them. The answer is in their order, with
/// nothing for those that were left: their sender may send them again, if each has a message that makes it count once.
pub async fn store_or_leave(ports: &StoreHeldPorts<'_>, events: Vec<CollectedEvent>) -> Vec<Option<Collected>> {
    let count = events.len();
    let attempted = store_each(&ports.append, ports.clock, events).await;
    for (_, failed) in &attempted.failed {
        tracing::error!(error = %crate::telemetry::Chain(&failed.error), events = failed.open.len(), "the store did not take events: they come again");
    }
    (0..count).map(|index| attempted.taken.get(&index).copied()).collect()
}

/// Events that were to be stored, and what came of it.
struct Attempted {
    entries: Vec<Entry>,
    /// Those that are stored, by their index.
    taken: BTreeMap<usize, Collected>,
    /// Those that the store did not take.
    failed: Vec<(StreamKey, Failed)>,
}

async fn store_each(append: &AppendPorts<'_>, clock: &dyn Clock, events: Vec<CollectedEvent>) -> Attempted {
    let recorded_at = clock.now().whole_millis();
    let mut streams: BTreeMap<StreamKey, Vec<usize>> = BTreeMap::new();
    let mut alone = None;
    let mut entries: Vec<Entry> = Vec::with_capacity(events.len());
    for (index, event) in events.into_iter().enumerate() {
        let CollectedEvent { mut draft, message } = event;
        // What belongs nowhere belongs together: one stream, and so one commit, for all such events of the request.
        let stream = draft.stream();
        let own = stream.is_none();
        let stream = stream.unwrap_or_else(|| alone.get_or_insert_with(|| own_stream(recorded_at, append.random.number(), index)).clone());
        draft.stream = Some(stream.clone());
        draft.occurred_at = draft.occurred_at.or(Some(recorded_at));
        streams.entry(StreamKey { organization: draft.organization.clone(), stream }).or_default().push(index);
        entries.push(Entry { draft, message, own });
    }
    let stored = stream::iter(streams.into_iter().map(|(stream, indices)| {
        let entries = &entries;
        async move {
            let mut writer = StreamWriter::new(append, &stream, recorded_at);
            let failed = writer.store_all(entries, indices).await;
            let done = writer.done;
            (stream, done, failed)
        }
    }));
    let (mut taken, mut failures) = (BTreeMap::new(), Vec::new());
    for (stream, done, failed) in stored.buffer_unordered(STREAMS_AT_ONCE).collect::<Vec<_>>().await {
        taken.extend(done);
        failures.extend(failed.map(|failed| (stream, failed)));
    }
    Attempted { entries, taken, failed: failures }
}

/// The messages that have events stored later, and what their senders are told.
fn hold(
    ports: &CollectEventsPorts<'_>,
    stream: &StreamKey,
    failed: &Failed,
    entries: &[Entry],
) -> (Vec<Outgoing>, Vec<(usize, Collected)>) {
    let group = group_of(stream);
    let (mut messages, mut queued) = (Vec::new(), Vec::new());
    let mut waiting = HeldEvents { stream: StreamRef::from(stream), tried: None, events: Vec::new() };
    let mut bytes = 0;
    let mut close = |held: &mut HeldEvents| {
        if !held.events.is_empty() {
            let body = to_json(&CollectWork::Events(HeldEvents { events: std::mem::take(&mut held.events), ..held.clone() }));
            messages.push(Outgoing::ordered(
                MessageOrder { group: group.clone(), deduplication: BodyDigest::of(body.as_bytes()).to_string() },
                body,
            ));
        }
    };
    for index in &failed.open {
        let entry = &entries[*index];
        // If the attempt was carried out after all, the event has this id.
        let tried = failed.tried.as_ref().and_then(|(tried, ids)| Some((*tried, *ids.get(index)?)));
        let event_id = tried.map_or_else(|| random_id(ports.append.random), |(_, id)| id);
        let tried = tried.map(|(tried, _)| tried);
        let size = entry.draft.details.bytes();
        if tried != waiting.tried || waiting.events.len() >= HeldEvents::MAX_EVENTS || bytes + size > HeldEvents::MAX_BYTES {
            close(&mut waiting);
            (waiting.tried, bytes) = (tried, 0);
        }
        bytes += size;
        let message = entry.message.clone().or_else(|| event_id.to_string().parse().ok().map(Message::alone));
        let (Some(occurred_at), Some(message)) = (entry.draft.occurred_at, message) else { continue };
        waiting.events.push(HeldEvent { event_id, occurred_at, message, event: entry.draft.details.clone() });
        queued.push((*index, Collected { event_id, how: Taken::Queued }));
    }
    close(&mut waiting);
    (messages, queued)
}

/// A new id that nobody else has.
fn random_id(random: &dyn Random) -> EventId {
    let bits = (u128::from(random.number()) << 64) | u128::from(random.number());
    EventId::new(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid())
}

/// Keeps events that could not be read. What cannot be kept now is queued; if that fails as well it is lost, but not unsaid: the
/// answer tells its sender what is wrong with it.
pub async fn keep_rejected(ports: &CollectEventsPorts<'_>, events: Vec<RejectedEvent>) {
    let Err(error) = ports.rejected.keep(&events).await else { return };
    let mut messages = Vec::new();
    for event in events {
        let body = to_json(&CollectWork::Rejected(vec![event]));
        messages.push(Outgoing::ordered(
            MessageOrder { group: "rejected".to_owned(), deduplication: BodyDigest::of(body.as_bytes()).to_string() },
            body,
        ));
    }
    if let Err(queue) = ports.queues.send(&Queue::Work(WorkQueue::Collect), &messages).await {
        let (error, queue) = (crate::telemetry::Chain(&error), crate::telemetry::Chain(&queue));
        tracing::error!(%error, %queue, events = messages.len(), "rejected events were not kept");
    }
}

/// Stores what waited in the queue.
///
/// # Errors
/// [`StoreError`]: the message is to be taken up again.
pub async fn store_held(ports: &StoreHeldPorts<'_>, work: CollectWork) -> Result<(), StoreError> {
    let mut held = match work {
        CollectWork::Rejected(events) => return ports.rejected.keep(&events).await,
        CollectWork::Events(held) => held,
    };
    let stream = StreamKey::from(&held.stream);
    if let Some(tried) = held.tried {
        let standing = ports.append.log.commit_at(&Slot { stream: stream.clone(), first: tried.first }).await?;
        match standing {
            Some(commit) if commit.attempt.0 == tried.attempt => return Ok(()),
            Some(_) => {
                leave_ids_that_are_taken(ports, &stream, &mut held).await?;
                held.tried = None;
            }
            None => {}
        }
    }
    let entry = |event: HeldEvent| Entry {
        draft: EventDraft {
            // Its sender was told this id before anybody knew where the event would lie.
            event_id: Some(event.event_id),
            organization: stream.organization.clone(),
            stream: Some(stream.stream.clone()),
            expected_version: ExpectedVersion::Any,
            occurred_at: Some(event.occurred_at),
            trace: None,
            details: event.event,
        },
        message: Some(event.message),
        own: false,
    };
    let entries: Vec<Entry> = held.events.into_iter().map(entry).collect();
    let mut writer = StreamWriter::new(&ports.append, &stream, ports.clock.now().whole_millis());
    writer.tried = held.tried;
    match writer.store_all(&entries, (0..entries.len()).collect()).await {
        None => Ok(()),
        Some(failed) => Err(failed.error),
    }
}

/// Gives events other ids whose own are those of others by now. An id says where an event lies and when it was recorded, to the
/// millisecond: so whoever took the slot of an attempt in the very millisecond in which that was made has given away the same ids.
async fn leave_ids_that_are_taken(ports: &StoreHeldPorts<'_>, stream: &StreamKey, held: &mut HeldEvents) -> Result<(), StoreError> {
    for event in &mut held.events {
        if ports.append.log.is_placed(event.event_id, stream.organization.as_ref()).await? {
            event.event_id = random_id(ports.append.random);
        }
    }
    Ok(())
}

/// An event that is to be stored.
struct Entry {
    draft: EventDraft,
    message: Option<Message>,
    /// Whether its stream is new, and nobody else's.
    own: bool,
}

/// Events of one stream that the store did not take.
struct Failed {
    error: StoreError,
    /// Their indices.
    open: Vec<usize>,
    /// The attempt that was not answered, if one was made, and the events that it was of.
    tried: Option<(Tried, BTreeMap<usize, EventId>)>,
}

/// What is put in one call.
struct Call {
    commits: Vec<Commit>,
    together: TogetherWith,
    /// The id of the event of each index.
    ids: BTreeMap<usize, EventId>,
    /// The index of each note.
    noted: Vec<usize>,
}

/// What came of a call that was answered.
enum Answered {
    Stored,
    /// Others stand in the way: what there is to put is another now.
    Changed,
    /// The slot is taken.
    Taken(Vec<Commit>),
}

/// Writes events into one stream.
struct StreamWriter<'a> {
    ports: &'a AppendPorts<'a>,
    stream: &'a StreamKey,
    recorded_at: Timestamp,
    /// Pages of the ledger that have no room.
    full: BTreeSet<LedgerPage>,
    /// An earlier attempt that was not answered: as long as its slot is free it may still be carried out.
    tried: Option<Tried>,
    done: BTreeMap<usize, Collected>,
}

impl<'a> StreamWriter<'a> {
    const fn new(ports: &'a AppendPorts<'a>, stream: &'a StreamKey, recorded_at: Timestamp) -> Self {
        Self { ports, stream, recorded_at, full: BTreeSet::new(), tried: None, done: BTreeMap::new() }
    }

    /// Stores events in their order, in as few calls as they fit. Whatever is not in `done` then is in the failure.
    async fn store_all(&mut self, entries: &[Entry], indices: Vec<usize>) -> Option<Failed> {
        let mut first_of: BTreeMap<&Message, usize> = BTreeMap::new();
        let mut repeated = Vec::new();
        let mut open = Vec::with_capacity(indices.len());
        for index in indices {
            let first = entries[index].message.as_ref().map_or(index, |message| *first_of.entry(message).or_insert(index));
            if first == index {
                open.push(index);
            } else {
                repeated.push((index, first));
            }
        }
        let mut failure = None;
        while !open.is_empty() && failure.is_none() {
            let mut count = open.len();
            while count > 1 && !self.fits(entries, &open[..count]) {
                count = count.div_ceil(2);
            }
            if let Err(failed) = self.store(entries, &open[..count]).await {
                failure = Some(failed);
            }
            open.retain(|index| !self.done.contains_key(index));
        }
        for (index, first) in repeated {
            match self.done.get(&first) {
                Some(of) => {
                    self.done.insert(index, Collected { how: Taken::Before, ..*of });
                }
                None => open.push(index),
            }
        }
        let (error, tried) = failure?;
        Some(Failed { error, open, tried })
    }

    /// Stores events in one call, or finds that they are more than one call takes, or that all of them are known.
    async fn store(&mut self, entries: &[Entry], batch: &[usize]) -> Result<(), (StoreError, Option<(Tried, BTreeMap<usize, EventId>)>)> {
        let heads = &self.ports.heads.versions;
        let _turn = self.ports.heads.turns.at(BTreeSet::from([self.stream.clone()])).await;
        let attempt = Attempt(self.ports.random.number());
        let mut fresh_head = false;
        for _ in 0..MOST_ROUNDS {
            let open: Vec<usize> = batch.iter().copied().filter(|index| !self.done.contains_key(index)).collect();
            if open.is_empty() || !self.fits(entries, &open) {
                return Ok(());
            }
            let first = match self.tried {
                Some(tried) => tried.first,
                None => self.head(&entries[open[0]], fresh_head).await.map_err(|error| (error, None))?.next(),
            };
            let call = self.call(entries, &open, first, attempt);
            match self.put(&call).await {
                Ok(Answered::Stored) => {
                    self.tried = None;
                    self.keep(&call, Taken::Stored);
                    return Ok(());
                }
                // The call may have been carried out though it was answered as if it had not been.
                Ok(Answered::Taken(standing)) if standing.iter().any(|commit| commit.attempt == attempt) => {
                    self.keep(&call, Taken::Stored);
                    return Ok(());
                }
                Ok(Answered::Taken(standing)) => {
                    if let Some(tried) = self.tried.take() {
                        if standing.iter().any(|commit| commit.attempt.0 == tried.attempt) {
                            self.keep(&call, Taken::Before);
                            return Ok(());
                        }
                        // Whoever has it may have given away the ids as well: that is looked into first.
                        return Err((StoreError::Contended, None));
                    }
                    heads.forget(self.stream);
                    fresh_head = true;
                }
                Ok(Answered::Changed) => {}
                Err(StoreError::Contended) => fresh_head = true,
                Err(error) => return Err((error, Some((Tried { first, attempt: attempt.0 }, call.ids)))),
            }
        }
        Err((StoreError::Contended, None))
    }

    async fn head(&self, entry: &Entry, fresh: bool) -> Result<Version, StoreError> {
        if !fresh {
            if entry.own {
                return Ok(Version::EMPTY);
            }
            if let Some(known) = self.ports.heads.versions.get(self.stream) {
                return Ok(known);
            }
        }
        let head = self.ports.log.head(self.stream).await?;
        self.ports.heads.versions.saw(self.stream, head);
        Ok(head)
    }

    fn plans(&self, entries: &[Entry], open: &[usize]) -> Vec<StreamPlan> {
        plan_streams(open.iter().map(|index| (*index, &entries[*index].draft)), self.recorded_at, 0)
    }

    /// Whether one call takes these events: it may write so many items, and have so many events.
    fn fits(&self, entries: &[Entry], open: &[usize]) -> bool {
        // An event has at most a commit, a page and a claim to itself: of few, nobody needs to know how they are planned.
        if open.len() * 3 <= TogetherWith::MOST {
            return true;
        }
        let commits: usize = self.plans(entries, open).iter().map(|plan| plan.commits.len()).sum();
        let pages: BTreeSet<LedgerPage> = open.iter().filter_map(|index| Some(self.page(entries[*index].message.as_ref()?))).collect();
        let claims = open.iter().filter(|index| entries[**index].draft.event_id.is_some()).count();
        (commits + pages.len() + claims).max(open.len()) <= TogetherWith::MOST
    }

    /// The page that has room for a message.
    fn page(&self, message: &Message) -> LedgerPage {
        let organization = self.stream.organization.as_ref();
        let page = message.page(organization);
        if self.full.contains(&page) { message.own_page(organization) } else { page }
    }

    fn call(&self, entries: &[Entry], open: &[usize], first: Version, attempt: Attempt) -> Call {
        let random = self.ports.random;
        let (mut commits, mut ids, mut noted, mut together) = (Vec::new(), BTreeMap::new(), Vec::new(), TogetherWith::default());
        // All events are of one stream, so there is one plan.
        for plan in self.plans(entries, open) {
            let planned = plan.commits_from(first, self.recorded_at, attempt, None);
            for (index, event) in plan.indices().zip(planned.iter().flat_map(Commit::to_events)) {
                let entry = &entries[index];
                if let Some(message) = &entry.message {
                    noted.push(index);
                    together.notes.push(LedgerNote { page: self.page(message), mark: message.mark(), event: event.id });
                }
                if let Some(id) = entry.draft.event_id {
                    let commit = planned.iter().rev().find(|commit| commit.first <= event.stream_version);
                    let slot = Slot { stream: self.stream.clone(), first: commit.map_or(first, |commit| commit.first) };
                    let key = ClaimKey { organization: self.stream.organization.clone(), subject: ClaimSubject::Event(id) };
                    let fence = Fence(random.number());
                    let claim = Claim { fence, digest: entry.draft.digest(), recorded_at: self.recorded_at, seed: 0, slots: vec![slot] };
                    together.claims.push((key, claim));
                }
                ids.insert(index, event.id);
            }
            commits.extend(planned);
        }
        Call { commits, together, ids, noted }
    }

    async fn put(&mut self, call: &Call) -> Result<Answered, StoreError> {
        let log = self.ports.log;
        if call.together == TogetherWith::default() {
            return Ok(match log.put(&call.commits).await? {
                Put::Stored => Answered::Stored,
                Put::Taken(standing) => Answered::Taken(standing),
            });
        }
        Ok(match log.put_noting(&call.commits, &call.together).await? {
            PutNoting::Stored => Answered::Stored,
            PutNoting::Taken(standing) => Answered::Taken(standing),
            PutNoting::Noted { known, full } => {
                let known: BTreeMap<Mark, EventId> = known.into_iter().map(|note| (note.mark, note.event)).collect();
                for (note, index) in call.together.notes.iter().zip(&call.noted) {
                    if let Some(event_id) = known.get(&note.mark) {
                        self.done.insert(*index, Collected { event_id: *event_id, how: Taken::Before });
                    }
                }
                self.full.extend(full);
                Answered::Changed
            }
        })
    }

    fn keep(&mut self, call: &Call, how: Taken) {
        if let Some(last) = call.commits.last() {
            self.ports.heads.versions.saw(self.stream, last.last());
        }
        self.done.extend(call.ids.iter().map(|(index, event_id)| (*index, Collected { event_id: *event_id, how })));
    }
}
