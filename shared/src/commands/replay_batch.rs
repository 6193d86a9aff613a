//! What a replay sends next: the events after its checkpoint, those of each stream in their order.
//!
//! Replays of a time range follow the order of time. An event that happened before another of its stream and was stored after it, as
//! a device that was offline has them, would come too early there: so the other one, which is met later, is fetched and comes first.

use std::collections::{BTreeMap, HashMap};

use futures::future::try_join_all;

use crate::domain::claim::Slot;
use crate::domain::commit::Commit;
use crate::domain::event::Event;
use crate::domain::query::EventFilter;
use crate::domain::replay::{Checkpoint, CommitPlace, Place, Selection};
use crate::domain::stream_id::StreamKey;
use crate::domain::timestamp::Timestamp;
use crate::domain::version::Version;
use crate::domain::work::{EventRef, StreamRef};
use crate::ports::clock::Clock;
use crate::ports::commit_log::CommitLog;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::outcome_log::OutcomeLog;
use crate::ports::store_error::StoreError;
use crate::ports::stream_reader::StreamReader;
use crate::ports::timeline::Timeline;

/// What finding events takes.
#[derive(Clone, Copy)]
pub struct ReplayBatchPorts<'a> {
    /// Where streams are read.
    pub streams: &'a dyn StreamReader,
    /// Where commits are read in the order of time.
    pub timeline: &'a dyn Timeline,
    /// Where single commits are read.
    pub log: &'a dyn CommitLog,
    /// What became of events.
    pub outcomes: &'a dyn OutcomeLog,
    /// Knows the processors and subscriptions.
    pub definitions: &'a dyn DefinitionStore,
    /// Says when.
    pub clock: &'a dyn Clock,
}

/// The events that come next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// By stream, those of each in its order.
    pub streams: BTreeMap<StreamRef, Vec<Event>>,
    /// Where the replay is once they were dealt with.
    pub place: Option<Place>,
    /// Streams that are further than that then.
    pub ahead: Vec<(StreamRef, Version, Timestamp)>,
    /// When the last of them happened.
    pub until: Timestamp,
    /// Whether nothing comes after them.
    pub is_last: bool,
}

/// About how many events a batch has.
pub const EVENTS_A_BATCH: usize = 200;
/// How many commits of a stream are read before it is known how many events they hold.
const COMMITS_TO_BEGIN_WITH: usize = 4;
/// How many commits are looked at at a time.
const COMMITS_A_READ: usize = 100;
/// How far clocks that record events and clocks that say when they happened may be apart, for the order of late events.
const CLOCKS_APART_MICROS: i64 = 5 * 60 * 1_000_000;
/// How many commits are looked at before a late event.
const MOST_BEFORE: usize = 1000;
/// How many streams are remembered.
const MOST_KNOWN: usize = 20_000;

/// How far streams were read, as far as one process knows.
#[derive(Debug, Default)]
pub struct KnownStreams(HashMap<StreamRef, Version>);

impl KnownStreams {
    fn saw(&mut self, stream: &StreamRef, version: Version) {
        if self.0.len() >= MOST_KNOWN {
            self.0.clear();
        }
        let known = self.0.entry(stream.clone()).or_insert(version);
        *known = version.max(*known);
    }
}

/// The events that come next after a checkpoint; none if there are no more.
///
/// # Errors
/// [`StoreError`] if the store does not answer.
pub async fn next_batch(
    ports: &ReplayBatchPorts<'_>,
    selection: &Selection,
    checkpoint: &Checkpoint,
    known: &mut KnownStreams,
) -> Result<Batch, StoreError> {
    let mut batch = match selection {
        Selection::Stream { stream, from, to } => {
            let after = match checkpoint.place {
                Some(Place::Version(version)) => version,
                Some(Place::Index(_) | Place::Time(_)) | None => Version::new(from.get().saturating_sub(1)),
            };
            of_stream(ports, stream, after, *to).await?
        }
        Selection::Events(refs) => {
            let start = match checkpoint.place {
                Some(Place::Index(index)) => index,
                Some(Place::Version(_) | Place::Time(_)) | None => 0,
            };
            of_list(ports, refs, start).await?
        }
        Selection::Time(filter) => {
            let after = match checkpoint.place {
                Some(Place::Time(place)) => Some(place),
                Some(Place::Version(_) | Place::Index(_)) | None => None,
            };
            of_time(ports, filter, after, known).await?
        }
    };
    for (stream, events) in &mut batch.streams {
        let through = checkpoint.through(stream);
        events.retain(|event| event.stream_version > through);
    }
    batch.streams.retain(|_, events| !events.is_empty());
    Ok(batch)
}

async fn of_stream(ports: &ReplayBatchPorts<'_>, stream: &StreamRef, after: Version, to: Version) -> Result<Batch, StoreError> {
    let key = StreamKey::from(stream);
    let nothing = Batch { streams: BTreeMap::new(), place: None, ahead: Vec::new(), until: Timestamp::MIN, is_last: true };
    if after >= to {
        return Ok(nothing);
    }
    let (mut events, mut read, mut to_the_end): (Vec<Event>, Version, bool) = (Vec::new(), after, false);
    let mut wanted = COMMITS_TO_BEGIN_WITH;
    while events.len() < EVENTS_A_BATCH && read < to && !to_the_end {
        let mut run = ports.streams.commits_after(&key, read, wanted).await?;
        if read == after && run.commits.first().is_none_or(|commit| commit.first > after.next()) {
            // It starts within a commit.
            run.commits.splice(0..0, ports.log.commit_holding(&key, after.next()).await?);
        }
        let Some(last) = run.commits.last().map(Commit::last) else { break };
        (read, to_the_end) = (last, run.to_the_end);
        let found = run.commits.iter().flat_map(Commit::to_events);
        events.extend(found.filter(|event| event.stream_version > after && event.stream_version <= to));
        // Commits hold one event or a hundred: the next have about as many as these.
        wanted = EVENTS_A_BATCH.saturating_sub(events.len()).saturating_mul(run.commits.len()).div_ceil(events.len().max(1)).max(1);
    }
    // The rest of a commit is for the next batch.
    events.truncate(EVENTS_A_BATCH);
    let Some(reached) = events.last().map(|event| event.stream_version) else { return Ok(nothing) };
    let is_last = reached >= to || (to_the_end && reached >= read);
    Ok(Batch { streams: [(stream.clone(), events)].into(), place: Some(Place::Version(reached)), is_last, ..nothing })
}

async fn of_list(ports: &ReplayBatchPorts<'_>, refs: &[EventRef], start: usize) -> Result<Batch, StoreError> {
    let end = refs.len().min(start.saturating_add(COMMITS_A_READ));
    let refs_now = refs.get(start..end).unwrap_or_default();
    let mut streams: BTreeMap<StreamRef, Vec<Event>> = BTreeMap::new();
    let commits = refs_now.iter().map(|event| async {
        let slot = Slot { stream: StreamKey::from(&event.stream), first: event.commit };
        ports.log.commit_at(&slot).await
    });
    for (event, commit) in refs_now.iter().zip(try_join_all(commits).await?) {
        let found = commit.and_then(|commit| commit.to_events().into_iter().nth(event.index));
        streams.entry(event.stream.clone()).or_default().extend(found);
    }
    Ok(Batch { streams, place: Some(Place::Index(end)), ahead: Vec::new(), until: Timestamp::MIN, is_last: end >= refs.len() })
}

async fn of_time(
    ports: &ReplayBatchPorts<'_>,
    filter: &EventFilter,
    after: Option<CommitPlace>,
    known: &mut KnownStreams,
) -> Result<Batch, StoreError> {
    let page = ports.timeline.commits_since(filter, after, COMMITS_A_READ, ports.clock.now()).await?;
    let (mut next, mut events) = (page.next, 0);
    let mut by_stream: BTreeMap<StreamRef, BTreeMap<Version, Commit>> = BTreeMap::new();
    let (mut is_last, mut until) = (page.next.is_none(), Timestamp::MIN);
    let mut reached = None;
    for commit in page.commits {
        if events >= EVENTS_A_BATCH {
            (is_last, next) = (false, reached);
            break;
        }
        events += commit.events.len();
        until = until.max(commit.last_occurred_at());
        reached = Some(commit.place_in_time());
        by_stream.entry(StreamRef::from(&commit.stream)).or_default().insert(commit.first, commit);
    }
    let place = next.or(reached);
    let mut batch = Batch { streams: BTreeMap::new(), place: place.map(Place::Time), ahead: Vec::new(), until, is_last };
    for (stream, commits) in by_stream {
        let mut found: Vec<Event> = Vec::new();
        let mut pulled: Option<(Version, Timestamp)> = None;
        for commit in commits.into_values() {
            let seen = known.0.get(&stream).copied().unwrap_or(Version::EMPTY);
            for earlier in before(ports, filter, &commit, seen, after).await? {
                let later = (earlier.last(), earlier.last_occurred_at());
                if place.is_none_or(|place| earlier.place_in_time() > place) {
                    pulled = Some(pulled.map_or(later, |(version, time)| (version.max(later.0), time.max(later.1))));
                }
                found.extend(matching(ports, filter, &earlier).await?);
            }
            known.saw(&stream, commit.last());
            found.extend(matching(ports, filter, &commit).await?);
        }
        batch.ahead.extend(pulled.map(|(version, time)| (stream.clone(), version, time)));
        batch.streams.insert(stream, found);
    }
    Ok(batch)
}

/// The commits of the same stream that come before one in it, and after it in time: oldest first.
async fn before(
    ports: &ReplayBatchPorts<'_>,
    filter: &EventFilter,
    commit: &Commit,
    seen: Version,
    after: Option<CommitPlace>,
) -> Result<Vec<Commit>, StoreError> {
    let start = filter.from.unwrap_or(Timestamp::MIN);
    // Nothing that was recorded before that happened after it.
    let horizon = after.map_or(start, |after| after.last_occurred_at.max(start)).plus_micros(-CLOCKS_APART_MICROS);
    let mut found = Vec::new();
    let mut version = Version::new(commit.first.get().saturating_sub(1));
    for _ in 0..MOST_BEFORE {
        if version <= seen {
            break;
        }
        let Some(earlier) = ports.log.commit_holding(&commit.stream, version).await? else { break };
        if earlier.recorded_at < horizon {
            break;
        }
        version = Version::new(earlier.first.get().saturating_sub(1));
        if after.is_none_or(|after| earlier.place_in_time() > after) {
            found.push(earlier);
        }
    }
    found.reverse();
    Ok(found)
}

/// The events of a commit that match.
async fn matching(ports: &ReplayBatchPorts<'_>, filter: &EventFilter, commit: &Commit) -> Result<Vec<Event>, StoreError> {
    let mut events: Vec<Event> = commit.to_events().into_iter().filter(|event| filter.matches(event)).collect();
    if filter.status.is_some() && !events.is_empty() {
        let (outcome, _) = ports.outcomes.outcome(commit.id()).await?;
        let definitions = ports.definitions.definitions(Freshness::Recent).await?;
        let observed = events.into_iter().map(|event| definitions.observe(event, outcome.as_ref()));
        events = observed.filter(|observed| filter.matches_status(observed.outcome.status)).map(|observed| observed.event).collect();
    }
    Ok(events)
}
