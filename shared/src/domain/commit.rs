//! Commits: the unit of writing, 1 to 100 consecutive events of one stream.

use serde::{Deserialize, Serialize};

use super::event::{Event, EventDetails, EventDraft};
use super::event_id::{EventId, Location};
use super::replay::CommitPlace;
use super::stream_id::{StreamId, StreamKey};
use super::timestamp::Timestamp;
use super::version::Version;

/// 1 to [`Commit::MAX_EVENTS`] consecutive events of one stream, stored whole or not at all.
///
/// Invariant: the events fall in one hour and have one user and one session (or none), so that one
/// row of each index stands for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The stream.
    pub stream: StreamKey,
    /// The version of the first event.
    pub first: Version,
    /// When the request came that made the commit, in whole milliseconds.
    pub recorded_at: Timestamp,
    /// Which attempt wrote it: the same request tried again by its sender makes another.
    pub attempt: Attempt,
    /// The `Idempotency-Key` claim that it was written under.
    pub request: Option<RequestToken>,
    /// Where its events are kept.
    pub storage: Storage,
    /// The events, in their order.
    pub events: Vec<CommittedEvent>,
}

/// Where events are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Storage {
    /// In the table, with their commit.
    #[default]
    Table,
    /// In the archive. The table has the commit's place only.
    Archive,
}

/// A random number that tells one attempt at writing from every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attempt(pub u64);

/// A hash of an `Idempotency-Key` claim's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestToken(pub u64);

/// An event as its commit holds it: what the commit does not already say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedEvent {
    /// The client's own id, if it brought one.
    #[serde(default, rename = "id", skip_serializing_if = "Option::is_none")]
    pub client_id: Option<EventId>,
    /// When it happened, in microseconds since 1970.
    #[serde(rename = "at", with = "micros")]
    pub occurred_at: Timestamp,
    /// Everything else.
    #[serde(rename = "event")]
    pub details: EventDetails,
}

mod micros {
    //! Moments as numbers: half the bytes of their text.
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    use super::Timestamp;

    pub(super) fn serialize<S: Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(moment.micros())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::from_micros(i64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Commit {
    /// The most events of a commit, and of a batch.
    pub const MAX_EVENTS: usize = 100;

    /// The id of the commit: that of its first place.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.place(0)
    }

    /// The version of the last event.
    #[must_use]
    pub fn last(&self) -> Version {
        Version::new((self.first.get() + self.events.len() as u64).saturating_sub(1))
    }

    /// When the earliest of the events happened.
    #[must_use]
    pub fn first_occurred_at(&self) -> Timestamp {
        self.events.iter().map(|event| event.occurred_at).min().unwrap_or(self.recorded_at)
    }

    /// When the latest of the events happened.
    #[must_use]
    pub fn last_occurred_at(&self) -> Timestamp {
        self.events.iter().map(|event| event.occurred_at).max().unwrap_or(self.recorded_at)
    }

    /// Where the commit stands in the order of time.
    #[must_use]
    pub fn place_in_time(&self) -> CommitPlace {
        CommitPlace { last_occurred_at: self.last_occurred_at(), commit: self.id() }
    }

    /// About how many bytes the events take in memory and in an answer.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.events.iter().map(event_bytes).sum()
    }

    fn place(&self, index: usize) -> EventId {
        Location::new(self.recorded_at, index, self.stream.address(), self.first.plus(index)).id()
    }

    /// The events with all that the commit says of them, in the order of the stream.
    #[must_use]
    pub fn to_events(&self) -> Vec<Event> {
        let (address, commit) = (self.stream.address(), self.id());
        let event = |(index, committed): (usize, &CommittedEvent)| {
            let place = Location::new(self.recorded_at, index, address, self.first.plus(index)).id();
            Event {
                id: committed.client_id.unwrap_or(place),
                place,
                commit,
                stream: self.stream.clone(),
                stream_version: self.first.plus(index),
                occurred_at: committed.occurred_at,
                recorded_at: self.recorded_at,
                storage: self.storage,
                details: committed.details.clone(),
            }
        };
        self.events.iter().enumerate().map(event).collect()
    }

    /// Whether the commit holds the event that a client gave this id.
    #[must_use]
    pub fn holds(&self, client_id: EventId) -> bool {
        self.events.iter().any(|event| event.client_id == Some(client_id))
    }
}

/// The events of one request that go to one stream, in their order, cut into commits.
#[derive(Debug, Clone)]
pub struct StreamPlan {
    /// The stream.
    pub stream: StreamKey,
    /// For each commit, its events, each with its index in the request.
    pub commits: Vec<Vec<(usize, CommittedEvent)>>,
}

impl StreamPlan {
    /// The indices in the request of all events, in the order of the stream.
    pub fn indices(&self) -> impl Iterator<Item = usize> {
        self.commits.iter().flatten().map(|(index, _)| *index)
    }

    /// The commits, if the first of them starts at `start`.
    #[must_use]
    pub fn commits_from(&self, start: Version, recorded_at: Timestamp, attempt: Attempt, request: Option<RequestToken>) -> Vec<Commit> {
        let mut first = start;
        let commit = |events: &Vec<(usize, CommittedEvent)>| {
            let commit = Commit {
                stream: self.stream.clone(),
                first,
                recorded_at,
                attempt,
                request,
                storage: Storage::Table,
                events: events.iter().map(|(_, event)| event.clone()).collect(),
            };
            first = first.plus(events.len());
            commit
        };
        self.commits.iter().map(commit).collect()
    }
}

/// Sorts the drafts of a request into streams, in the order in which the streams first appear, and
/// cuts each stream's events into commits. The same arguments always give the same plan.
///
/// `seed` names the streams of events that belong to no entity. `drafts` gives each draft with its
/// index in the request.
#[must_use]
pub fn plan_streams<'a>(drafts: impl IntoIterator<Item = (usize, &'a EventDraft)>, recorded_at: Timestamp, seed: u64) -> Vec<StreamPlan> {
    let mut plans: Vec<StreamPlan> = Vec::new();
    let mut by_stream: std::collections::HashMap<StreamKey, usize> = std::collections::HashMap::new();
    for (index, draft) in drafts {
        let stream = draft.stream().unwrap_or_else(|| StreamId::of_event(own_id(recorded_at, seed, index)));
        let stream = StreamKey { organization: draft.organization.clone(), stream };
        let event = CommittedEvent {
            client_id: draft.event_id,
            occurred_at: draft.occurred_at.unwrap_or(recorded_at),
            details: draft.details_to_keep(),
        };
        let plan = *by_stream.entry(stream.clone()).or_insert_with(|| {
            plans.push(StreamPlan { stream, commits: Vec::new() });
            plans.len() - 1
        });
        let commits = &mut plans[plan].commits;
        match commits.last_mut() {
            Some(last)
                if last.first().is_some_and(|(_, first)| may_share_a_commit(first, &event))
                    && bytes(last) + event_bytes(&event) <= COMMIT_BYTES =>
            {
                last.push((index, event));
            }
            Some(_) | None => commits.push(vec![(index, event)]),
        }
    }
    plans
}

/// The most bytes of JSON that several events of a commit have together, so that even what does not
/// compress fits an item. One event alone may have more if it compresses.
const COMMIT_BYTES: usize = super::body::MAX_STORED_BYTES;

fn event_bytes(event: &CommittedEvent) -> usize {
    event.details.bytes()
}

fn bytes(events: &[(usize, CommittedEvent)]) -> usize {
    events.iter().map(|(_, event)| event_bytes(event)).sum()
}

fn may_share_a_commit(one: &CommittedEvent, other: &CommittedEvent) -> bool {
    one.occurred_at.hour() == other.occurred_at.hour()
        && one.details.user == other.details.user
        && one.details.session == other.details.session
}

/// The stream of the event of this index that belongs to no entity, which others may share.
#[must_use]
pub fn own_stream(recorded_at: Timestamp, seed: u64, index: usize) -> StreamId {
    StreamId::of_event(own_id(recorded_at, seed, index))
}

/// The id of an event that belongs to no entity, and so the name of its stream: random bits stand
/// where the address of the stream would.
fn own_id(recorded_at: Timestamp, seed: u64, index: usize) -> EventId {
    let digest = super::event::BodyDigest::of(&[seed.to_be_bytes(), (index as u64).to_be_bytes()].concat()).0;
    let address = super::stream_id::StreamAddress {
        place: u32::try_from(digest & ((1 << super::stream_id::StreamAddress::PLACE_BITS) - 1)).unwrap_or_default(),
        tag: u16::try_from((digest >> 64) & ((1 << super::stream_id::StreamAddress::TAG_BITS) - 1)).unwrap_or_default(),
    };
    Location::new(recorded_at, 0, address, Version::EMPTY.next()).id()
}
