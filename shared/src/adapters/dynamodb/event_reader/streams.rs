//! Streams, whole or in part.

use futures::future::try_join;

use super::super::DynamoEvents;
use super::super::items::{self, Item, read_text};
use super::super::keys::{self, AFTER_ALL, SK};
use super::super::scan::{Consistency, Direction};
use crate::domain::commit::Commit;
use crate::domain::event::Event;
use crate::domain::query::ObservedEvent;
use crate::domain::stream_id::{StreamAddress, StreamKey, place_of};
use crate::domain::timestamp::Timestamp;
use crate::domain::version::Version;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::event_reader::{StreamRequest, StreamSlice};
use crate::ports::store_error::StoreError;

/// The most commits of one call.
const MOST_A_CALL: i32 = 1000;
/// About the most bytes of events that are read of a stream at a time: far more than one answer
/// holds, which says where to go on.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// Commits of a stream.
struct Found {
    commits: Vec<Commit>,
    /// Whether no later ones stand in the stream.
    to_the_end: bool,
}

/// What is asked of the first or the last commit of a stream.
struct Edge {
    last: Version,
    recorded_at: Timestamp,
}

impl DynamoEvents {
    /// The commits that hold versions `from` to `to` of the streams at an address, in their order,
    /// until `limit` events are there.
    async fn commits_between(&self, address: StreamAddress, request: &StreamRequest) -> Result<Found, StoreError> {
        // The commit that holds the first version may start up to a whole commit earlier.
        let from = Version::new(request.from.get().saturating_sub(Commit::MAX_EVENTS as u64 - 1).max(1));
        let low = keys::version_prefix(address, from);
        let high = format!("{}{AFTER_ALL}", keys::version_prefix(address, request.to.min(Version::MAX)));
        let most = i32::try_from(request.limit.saturating_add(Commit::MAX_EVENTS)).unwrap_or(MOST_A_CALL).min(MOST_A_CALL);
        let pk = keys::place(address.place);
        let mut commits: Vec<Commit> = Vec::new();
        let (mut events, mut bytes, mut start) = (0, 0, None);
        loop {
            let (found, next) = self.page_of_commits(&pk, (&low, &high), Some(most), start).await?;
            let of_stream = found.into_iter().filter(|item| items::is_of_stream(item, &request.stream)).collect();
            for commit in self.commits(of_stream).await? {
                events += commit.events.len();
                bytes += commit.bytes();
                commits.push(commit);
            }
            start = next;
            if start.is_none() || events >= request.limit.saturating_add(Commit::MAX_EVENTS) || bytes > MOST_BYTES {
                return Ok(Found { commits, to_the_end: start.is_none() && request.to >= Version::MAX });
            }
        }
    }

    pub(super) async fn one_stream(&self, stream: &StreamKey, request: &StreamRequest) -> Result<StreamSlice, StoreError> {
        let mut found = self.commits_between(stream.address(), request).await?;
        found.commits.retain(|commit| commit.stream == *stream);
        self.slice(stream, found, request).await
    }

    /// What is asked for of a stream, given its commits in that range.
    async fn slice(&self, stream: &StreamKey, found: Found, request: &StreamRequest) -> Result<StreamSlice, StoreError> {
        let Found { commits, to_the_end } = found;
        let edge = |commit: &Commit| Edge { last: commit.last(), recorded_at: commit.recorded_at };
        let last = match commits.last().filter(|_| to_the_end) {
            Some(last) => Some(edge(last)),
            None => self.edge(stream, Direction::Backward).await?,
        };
        let first = match commits.first().filter(|commit| commit.first == Version::EMPTY.next()) {
            Some(first) => Some(edge(first)),
            None => self.edge(stream, Direction::Forward).await?,
        };
        let mut events: Vec<Event> = commits.iter().flat_map(Commit::to_events).collect();
        events.retain(|event| (request.from..=request.to).contains(&event.stream_version));
        events.truncate(request.limit);
        Ok(StreamSlice {
            events: self.observe_all(events).await?,
            version: last.as_ref().map_or(Version::EMPTY, |edge| edge.last),
            created_at: first.map(|edge| edge.recorded_at),
            updated_at: last.map(|edge| edge.recorded_at),
        })
    }

    /// The first or the last commit of a stream.
    async fn edge(&self, stream: &StreamKey, direction: Direction) -> Result<Option<Edge>, StoreError> {
        let prefix = keys::tag_prefix(stream.address());
        let (pk, high) = (keys::stream_pk(stream), format!("{prefix}{AFTER_ALL}"));
        let of_stream = |found: Vec<Item>| {
            let item = found.iter().find(|item| items::is_of(item, stream));
            item.map(|item| Ok(Edge { last: items::last_version(item)?, recorded_at: items::recorded_at(item)? })).transpose()
        };
        let nearest = self.between(&pk, (&prefix, &high), direction, Some(1), Consistency::Strong).await?;
        let alone = nearest.is_empty();
        match of_stream(nearest)? {
            Some(commit) => Ok(Some(commit)),
            None if alone => Ok(None),
            // Another stream has the same address.
            None => of_stream(self.between(&pk, (&prefix, &high), direction, None, Consistency::Strong).await?),
        }
    }

    /// The streams of this name of all organizations, as one.
    pub(super) async fn any_stream(&self, request: &StreamRequest) -> Result<StreamSlice, StoreError> {
        let pk = keys::place(place_of(&request.stream));
        let (low, high) = ("0", String::from(AFTER_ALL));
        let (first, last) = try_join(
            self.between(&pk, (low, &high), Direction::Forward, Some(1), Consistency::Strong),
            self.between(&pk, (low, &high), Direction::Backward, Some(1), Consistency::Strong),
        )
        .await?;
        let slot = |items: &[Item]| items.first().and_then(|item| read_text(item, SK).ok()).and_then(keys::read_commit_sk);
        let (Some(first), Some(last)) = (slot(&first), slot(&last)) else {
            return Ok(StreamSlice { events: Vec::new(), version: Version::EMPTY, created_at: None, updated_at: None });
        };
        if first.stream == last.stream && first.stream.stream == request.stream {
            // One organization's only, as nearly always.
            let found = self.commits_between(first.stream.address(), request).await?;
            if found.commits.iter().all(|commit| commit.stream == first.stream) {
                return self.slice(&first.stream, found, request).await;
            }
        }
        let all = self.between(&pk, (low, &high), Direction::Forward, None, Consistency::Strong).await?;
        let commits = self.commits(all.into_iter().filter(|item| items::is_of_stream(item, &request.stream)).collect()).await?;
        self.merged(commits, request).await
    }

    async fn merged(&self, commits: Vec<Commit>, request: &StreamRequest) -> Result<StreamSlice, StoreError> {
        let mut events: Vec<Event> = commits.iter().flat_map(Commit::to_events).collect();
        events.sort_by(|one, other| {
            let key = |event: &Event| (event.recorded_at, event.stream.clone(), event.stream_version);
            let alone = one.stream == other.stream;
            if alone { one.stream_version.cmp(&other.stream_version) } else { key(one).cmp(&key(other)) }
        });
        let version = Version::new(events.len() as u64);
        let (created_at, updated_at) = (events.first().map(|event| event.recorded_at), events.last().map(|event| event.recorded_at));
        events.retain(|event| (request.from..=request.to).contains(&event.stream_version));
        events.truncate(request.limit);
        Ok(StreamSlice { events: self.observe_all(events).await?, version, created_at, updated_at })
    }

    /// The events with what became of them.
    async fn observe_all(&self, events: Vec<Event>) -> Result<Vec<ObservedEvent>, StoreError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let definitions = self.definitions(Freshness::Recent).await?;
        self.observe(events, &definitions).await
    }
}
