//! Starts, shows and cancels replays.

use futures::future::try_join_all;

use super::dispatch_events::event_ref;
use super::replay_batch::{KnownStreams, ReplayBatchPorts, next_batch};
use super::run_replays::{NO_NATS, replay_message};
use crate::domain::access::{Caller, ForeignOrganization};
use crate::domain::bridge::Bridging;
use crate::domain::definitions::Definitions;
use crate::domain::event::Event;
use crate::domain::event_id::EventId;
use crate::domain::identifiers::{OrganizationId, ReplayId, ReplayTargetName};
use crate::domain::query::{EventFilter, EventQuery, PageSize, PageStart, Total};
use crate::domain::queue::{Queue, WorkQueue};
use crate::domain::replay::{Checkpoint, Replay, ReplayState, ReplayTally, Selection, Target};
use crate::domain::stream_id::{StreamId, StreamKey};
use crate::domain::timestamp::Timestamp;
use crate::domain::version::Version;
use crate::domain::work::StreamRef;
use crate::ports::definition_store::Freshness;
use crate::ports::event_reader::EventReader;
use crate::ports::queue::{QueueError, QueueSender};
use crate::ports::random::Random;
use crate::ports::replay_store::ReplayStore;
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;

/// What managing replays needs.
#[derive(Clone, Copy)]
pub struct ManageReplaysPorts<'a> {
    /// Where replays are kept.
    pub replays: &'a dyn ReplayStore,
    /// Finds what would be sent.
    pub batch: ReplayBatchPorts<'a>,
    /// Counts it, and finds events by their ids.
    pub events: &'a dyn EventReader,
    /// Takes the work.
    pub queues: &'a dyn QueueSender,
    /// Makes ids.
    pub random: &'a dyn Random,
    /// Whether there is a bridge to NATS.
    pub bridging: Bridging,
}

/// A replay as it is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayRequest {
    /// What is to be sent again.
    pub what: Wanted,
    /// Whose; without it, everybody's, or of a stream that of no organization, or else of the only one that has it.
    pub organization: Option<OrganizationId>,
    /// To whom: the id or the name of a subscription, `processor:{name}`, `eventbridge:{name}`, `nats:{name}`, or [`REPUBLISH`]. Without
    /// it, nobody.
    pub target: Option<String>,
    /// Whether everybody who selects an event is to get it.
    pub all: Everybody,
    /// The most events a second.
    pub rate: u32,
}

/// The target that publishes events on NATS as when they were new.
pub const REPUBLISH: &str = "nats:*";

/// What is to be sent again.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// A stream.
    Stream {
        /// Its name.
        stream: StreamId,
        /// From which version on (BR-STM-004).
        from: Version,
        /// Up to which version.
        to: Version,
    },
    /// These events.
    Events(Vec<EventId>),
    /// What happened between two moments and fits the rest of the filter.
    Time(EventFilter),
}

/// Whether everybody is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Everybody {
    /// Only who is named.
    #[default]
    No,
    /// Everybody.
    Yes,
}

/// What a replay would send.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// How many events, or how many at least.
    pub count: Total,
    /// The first of them.
    pub events: Vec<Event>,
}

impl Preview {
    /// The most events of a preview.
    pub const MOST: usize = 100;
}

/// Why a replay was not started, shown or canceled.
#[derive(Debug, thiserror::Error)]
pub enum ManageReplaysError {
    /// There is no such replay, or the caller may not know of it.
    #[error("replay not found")]
    NotFound,
    /// There is no such stream, or the caller may not know of it.
    #[error("Stream not found")]
    NoSuchStream,
    /// Several organizations have a stream of this name.
    #[error("several organizations have this stream: say which by organization_id")]
    Ambiguous,
    /// There is no such event, or the caller may not know of it.
    #[error("Event not found: {0}")]
    NoSuchEvent(EventId),
    /// Nobody is named.
    #[error("a replay needs target_service, or \"all\": true")]
    NoTarget,
    /// Nobody is called so, or the caller may not know of it.
    #[error("there is no {0}")]
    NoSuchTarget(String),
    /// Several are called so.
    #[error("several subscriptions are called {0}: name one by its id")]
    SeveralTargets(String),
    /// It takes nothing now.
    #[error("{0}")]
    Inactive(String),
    /// The caller is bound to an organization, and wants to reach what belongs to none.
    #[error("replays to everybody, to the bus and to NATS reach outside of organizations: they take a credential that is bound to none")]
    OutOfBounds,
    /// The caller is bound to one organization and names another.
    #[error(transparent)]
    Foreign(#[from] ForeignOrganization),
    /// It has ended.
    #[error("the replay has ended: it is {0}")]
    Ended(&'static str),
    /// A queue failed.
    #[error("a queue failed")]
    Queue(#[from] QueueError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

type Managing<T> = Result<T, ManageReplaysError>;

/// How many pages of a query are counted that counters know nothing of.
const MOST_PAGES: usize = 50;
/// How long ago a range must have ended for its count to be exact.
const SETTLED_MICROS: i64 = 60 * 1_000_000;
/// How many events are looked for at a time.
const IDS_AT_ONCE: usize = 20;
/// How often a change is tried that others get in the way of.
const MOST_ROUNDS: usize = 10;
/// How long after it was asked for somebody looks whether it has begun.
const LOOK_AFTER: std::time::Duration = std::time::Duration::from_mins(2);

/// What a replay would send. Nothing is sent, nothing is kept.
///
/// # Errors
/// [`ManageReplaysError`]
pub async fn preview_replay(ports: &ManageReplaysPorts<'_>, caller: &Caller, request: &ReplayRequest) -> Managing<Preview> {
    // Who is named wrongly is to know before the real run.
    if request.target.is_some() || request.all == Everybody::Yes {
        target(ports, caller, request).await?;
    }
    let (selection, count) = select(ports, caller, request).await?;
    let (mut events, mut checkpoint, mut known) = (Vec::new(), Checkpoint::default(), KnownStreams::default());
    for _ in 0..MOST_PAGES {
        let batch = next_batch(&ports.batch, &selection, &checkpoint, &mut known).await?;
        let mut of_batch: Vec<Event> = batch.streams.into_values().flatten().collect();
        if matches!(selection, Selection::Time(_)) {
            of_batch.sort_by_key(Event::position);
        }
        events.extend(of_batch);
        if batch.is_last || events.len() >= Preview::MOST {
            break;
        }
        for (stream, through, until) in batch.ahead {
            checkpoint.advance(&stream, through, until);
        }
        if let Some(place) = batch.place {
            checkpoint.reach(place);
        }
    }
    events.truncate(Preview::MOST);
    Ok(Preview { count, events })
}

/// Starts a replay.
///
/// # Errors
/// [`ManageReplaysError`]; nothing was started then, unless the store or the queue failed.
pub async fn start_replay(ports: &ManageReplaysPorts<'_>, caller: &Caller, request: &ReplayRequest) -> Managing<Replay> {
    let target = target(ports, caller, request).await?;
    let (selection, count) = select(ports, caller, request).await?;
    let now = ports.batch.clock.now();
    let replay = Replay {
        id: ReplayId::new(now, ports.random.secret()),
        organization: caller.organization_for(request.organization.clone())?,
        selection,
        target,
        target_name: request.target.clone(),
        rate: request.rate,
        events_count: count.count(),
        is_exact: matches!(count, Total::Exactly(_)),
        state: ReplayState::Running,
        tally: ReplayTally::default(),
        checkpoint: Checkpoint::default(),
        ticket: 1,
        lease: None,
        attempt: 1,
        due_at: Some(now.plus(LOOK_AFTER)),
        started_by: caller.name.clone(),
        started_at: now,
        updated_at: now,
        completed_at: None,
        reason: None,
    };
    if !ports.replays.save_replay(&replay, Revision::default()).await? {
        return Err(StoreError::Contended.into());
    }
    // If this fails, the sweep begins it: it is in the table.
    if let Err(error) = ports.queues.send(&Queue::Work(WorkQueue::Replay), &[replay_message(&replay)]).await {
        tracing::warn!(%error, replay_id = %replay.id, "a replay begins late");
    }
    Ok(replay)
}

/// A replay that the caller may know of.
///
/// # Errors
/// [`ManageReplaysError::NotFound`] if there is none.
pub async fn get_replay(ports: &ManageReplaysPorts<'_>, caller: &Caller, id: &ReplayId) -> Managing<Replay> {
    Ok(own(ports, caller, id).await?.0)
}

async fn own(ports: &ManageReplaysPorts<'_>, caller: &Caller, id: &ReplayId) -> Managing<(Replay, Revision)> {
    let (replay, seen) = ports.replays.replay(id).await?;
    let own = replay.filter(|replay| caller.sees(replay.organization.as_ref()));
    Ok((own.ok_or(ManageReplaysError::NotFound)?, seen))
}

/// A page of the replays that the caller may know of, latest first.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayPage {
    /// The replays.
    pub replays: Vec<Replay>,
    /// After which one to go on, if there may be more.
    pub next: Option<ReplayId>,
}

/// The replays that the caller may know of, latest first.
///
/// # Errors
/// [`ManageReplaysError::Store`] if the store failed.
pub async fn list_replays(ports: &ManageReplaysPorts<'_>, caller: &Caller, after: Option<ReplayId>, most: usize) -> Managing<ReplayPage> {
    let (replays, next) = ports.replays.replays(caller.organization.as_ref(), after.as_ref(), most).await?;
    Ok(ReplayPage { replays, next })
}

/// Ends a replay. What is being sent right now is still sent.
///
/// # Errors
/// [`ManageReplaysError::NotFound`] if there is none that the caller may know of, [`ManageReplaysError::Ended`] if it has ended
/// otherwise.
pub async fn cancel_replay(ports: &ManageReplaysPorts<'_>, caller: &Caller, id: &ReplayId) -> Managing<Replay> {
    for _ in 0..MOST_ROUNDS {
        let (mut replay, seen) = own(ports, caller, id).await?;
        match replay.state {
            ReplayState::Canceled => return Ok(replay),
            ReplayState::Completed | ReplayState::Failed => return Err(ManageReplaysError::Ended(replay.state.as_str())),
            ReplayState::Running => replay.end(ReplayState::Canceled, None, ports.batch.clock.now()),
        }
        if ports.replays.save_replay(&replay, seen).await? {
            return Ok(replay);
        }
    }
    Err(StoreError::Contended.into())
}

/// Who is meant.
async fn target(ports: &ManageReplaysPorts<'_>, caller: &Caller, request: &ReplayRequest) -> Managing<Target> {
    let Some(name) = &request.target else {
        return match (request.all, &caller.organization) {
            (Everybody::No, _) => Err(ManageReplaysError::NoTarget),
            (Everybody::Yes, Some(_)) => Err(ManageReplaysError::OutOfBounds),
            (Everybody::Yes, None) => Ok(Target::Everybody),
        };
    };
    if let Some(name) = name.strip_prefix("eventbridge:") {
        if caller.organization.is_some() {
            return Err(ManageReplaysError::OutOfBounds);
        }
        let name: Option<ReplayTargetName> = name.parse().ok();
        return name.map(Target::Bus).ok_or_else(|| ManageReplaysError::NoSuchTarget("target without a name".to_owned()));
    }
    if let Some(on_nats) = name.strip_prefix("nats:") {
        if caller.organization.is_some() {
            return Err(ManageReplaysError::OutOfBounds);
        }
        if ports.bridging == Bridging::Off {
            return Err(ManageReplaysError::Inactive(NO_NATS.to_owned()));
        }
        if name == REPUBLISH {
            return Ok(Target::Republish);
        }
        let name: Option<ReplayTargetName> = on_nats.parse().ok();
        return name.map(Target::Nats).ok_or_else(|| ManageReplaysError::NoSuchTarget("target without a name".to_owned()));
    }
    let definitions = ports.batch.definitions.definitions(Freshness::Current).await?;
    match name.strip_prefix("processor:") {
        Some(name) => processor(&definitions, caller, name),
        None => subscription(&definitions, caller, request.organization.as_ref(), name),
    }
}

fn processor(definitions: &Definitions, caller: &Caller, name: &str) -> Managing<Target> {
    let own = |organization: Option<&OrganizationId>| caller.sees(organization);
    let mut named = definitions
        .processors()
        .filter(|processor| own(processor.organization.as_ref()) && (processor.name.as_str() == name || processor.id.as_str() == name));
    let found = named.next().ok_or_else(|| ManageReplaysError::NoSuchTarget(format!("processor {name}")))?;
    if !found.enabled {
        return Err(ManageReplaysError::Inactive(format!("the processor {name} is switched off")));
    }
    Ok(Target::Processor(found.id.clone()))
}

fn subscription(definitions: &Definitions, caller: &Caller, organization: Option<&OrganizationId>, name: &str) -> Managing<Target> {
    let own: Vec<_> = definitions.subscriptions().filter(|subscription| caller.sees(subscription.organization.as_ref())).collect();
    let by_id = own.iter().find(|subscription| subscription.id.as_str() == name);
    let mut by_name: Vec<_> = own.iter().filter(|subscription| subscription.subscriber_name == name).collect();
    // Of several, the organization's own is meant.
    if by_name.len() > 1 && organization.is_some() {
        by_name.retain(|subscription| subscription.organization.as_ref() == organization);
    }
    let found = match (by_id, by_name.as_slice()) {
        (Some(found), _) => found,
        (None, [found]) => found,
        (None, []) => return Err(ManageReplaysError::NoSuchTarget(format!("subscription {name}"))),
        (None, [_, _, ..]) => return Err(ManageReplaysError::SeveralTargets(name.to_owned())),
    };
    if !found.is_active() {
        return Err(ManageReplaysError::Inactive(format!("the subscription {name} is disabled, or has no address")));
    }
    Ok(Target::Subscription(found.id.clone()))
}

/// What is meant, and how much that is.
async fn select(ports: &ManageReplaysPorts<'_>, caller: &Caller, request: &ReplayRequest) -> Managing<(Selection, Total)> {
    let organization = caller.organization_for(request.organization.clone())?;
    match &request.what {
        Wanted::Stream { stream, from, to } => {
            let key = stream_of(ports, organization, stream).await?;
            let head = ports.batch.log.head(&key).await?;
            let (from, to) = (Version::new(from.get().max(1)), (*to).min(head));
            let count = if from <= to { to.get() - from.get() + 1 } else { 0 };
            Ok((Selection::Stream { stream: StreamRef::from(&key), from, to }, Total::Exactly(count)))
        }
        Wanted::Events(ids) => {
            let mut events: Vec<Event> = Vec::with_capacity(ids.len());
            for some in ids.chunks(IDS_AT_ONCE) {
                let organization = organization.as_ref();
                let found = try_join_all(some.iter().map(|id| ports.events.event(*id, organization))).await?;
                for (id, found) in some.iter().zip(found) {
                    let seen = found.map(|found| found.event).filter(|event| caller.sees(event.organization()));
                    events.push(seen.ok_or(ManageReplaysError::NoSuchEvent(*id))?);
                }
            }
            events.sort_by(|one, other| (&one.stream, one.stream_version).cmp(&(&other.stream, other.stream_version)));
            events.dedup_by(|one, other| one.place == other.place);
            let count = events.len() as u64;
            Ok((Selection::Events(events.iter().map(event_ref).collect()), Total::Exactly(count)))
        }
        Wanted::Time(filter) => {
            let filter = EventFilter { organization, ..filter.clone() };
            let count = match count(ports, &filter).await? {
                // What comes while it is counted is in the range, or may be: counters are some seconds behind.
                Total::Exactly(count) if filter.to.is_none_or(|to| to > ports.batch.clock.now().plus_micros(-SETTLED_MICROS)) => {
                    Total::AtLeast(count)
                }
                count @ (Total::Exactly(_) | Total::AtLeast(_)) => count,
            };
            Ok((Selection::Time(filter), count))
        }
    }
}

async fn stream_of(ports: &ManageReplaysPorts<'_>, organization: Option<OrganizationId>, stream: &StreamId) -> Managing<StreamKey> {
    let key = StreamKey { organization, stream: stream.clone() };
    if ports.batch.log.head(&key).await? != Version::EMPTY {
        return Ok(key);
    }
    if key.organization.is_some() {
        return Err(ManageReplaysError::NoSuchStream);
    }
    match ports.batch.streams.streams_named(stream, 2).await?.as_slice() {
        [] => Err(ManageReplaysError::NoSuchStream),
        [only] => Ok(only.clone()),
        [_, ..] => Err(ManageReplaysError::Ambiguous),
    }
}

/// How many events match: by the counters, or page by page.
async fn count(ports: &ManageReplaysPorts<'_>, filter: &EventFilter) -> Managing<Total> {
    let now: Timestamp = ports.batch.clock.now();
    let size = PageSize::new(1).unwrap_or_default();
    let first = ports.events.query(&EventQuery { filter: filter.clone(), size, start: PageStart::Offset(0) }, now).await?;
    if let Total::Exactly(_) = first.total {
        return Ok(first.total);
    }
    let size = PageSize::new(PageSize::MAX).unwrap_or_default();
    let (mut counted, mut start) = (0, PageStart::Offset(0));
    for _ in 0..MOST_PAGES {
        let page = ports.events.query(&EventQuery { filter: filter.clone(), size, start }, now).await?;
        counted += page.events.len() as u64;
        match page.next {
            Some(next) => start = PageStart::Below(next),
            None => return Ok(Total::Exactly(counted)),
        }
    }
    Ok(Total::AtLeast(counted))
}
