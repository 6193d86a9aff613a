//! Replays: history that is sent again, to one receiver, in the order of its streams.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::event_id::EventId;
use super::identifiers::{OrganizationId, ProcessorId, ReplayId, ReplayTargetName, SubscriptionId};
use super::query::EventFilter;
use super::timestamp::Timestamp;
use super::version::Version;
use super::work::{EventRef, StreamRef};

/// A replay: what is sent again, to whom, and how far that is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Its id. Ids sort by time.
    pub id: ReplayId,
    /// Whose events it is about; everybody's if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationId>,
    /// What is sent again.
    pub selection: Selection,
    /// To whom.
    pub target: Target,
    /// What the caller called the target.
    pub target_name: Option<String>,
    /// The most events a second.
    pub rate: u32,
    /// How many events were selected when it was started.
    pub events_count: u64,
    /// Whether that number is exact, or the least that it may be.
    pub is_exact: bool,
    /// How it is going.
    pub state: ReplayState,
    /// What has become of the events so far.
    pub tally: ReplayTally,
    /// Where to go on.
    pub checkpoint: Checkpoint,
    /// The number of the message that goes on with it: any other is late.
    pub ticket: u64,
    /// Who is at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// Which attempt the next one is at what has failed last, from 1.
    pub attempt: u32,
    /// When somebody is to look whether it goes on; none once it has ended.
    pub due_at: Option<Timestamp>,
    /// Who has started it.
    pub started_by: String,
    /// When it was started.
    pub started_at: Timestamp,
    /// When anything of it was changed last.
    pub updated_at: Timestamp,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How a replay is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayState {
    /// It goes on.
    Running,
    /// All events were dealt with.
    Completed,
    /// It was given up.
    Failed,
    /// Somebody has canceled it.
    Canceled,
}

impl ReplayState {
    /// Every state.
    pub const ALL: &'static [Self] = &[Self::Running, Self::Completed, Self::Failed, Self::Canceled];

    /// The name in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

/// What is sent again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// A stream, from one version to another.
    Stream {
        /// The stream.
        stream: StreamRef,
        /// The first version (BR-STM-004).
        from: Version,
        /// The last version.
        to: Version,
    },
    /// These events, those of a stream in its order.
    Events(Vec<EventRef>),
    /// What happened between two moments and fits the rest of the filter.
    Time(EventFilter),
}

/// Who gets a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A subscription's webhook, and what the subscription selects.
    Subscription(SubscriptionId),
    /// A processor, and what its filters select.
    Processor(ProcessorId),
    /// The bus, under `events.replay.{name}.{type}`.
    Bus(ReplayTargetName),
    /// NATS, under `replay.{name}.{type}` after the prefix of events.
    Nats(ReplayTargetName),
    /// NATS, as when the events were new.
    Republish,
    /// Every subscription and every processor that selects an event.
    Everybody,
}

/// What has become of a replay's events.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReplayTally {
    /// How many the target has taken.
    pub replayed: u64,
    /// How many the target does not select.
    pub skipped: u64,
    /// How many it has refused, or not taken however often it was tried.
    pub failed: u64,
    /// How many of these came one after the other, up to the last; those count several times that took several attempts.
    pub failed_in_a_row: u32,
    /// The last [`ReplayTally::MOST_FAILURES`] of them.
    pub failures: Vec<ReplayFailure>,
}

impl ReplayTally {
    /// How many failures are remembered.
    pub const MOST_FAILURES: usize = 100;
    /// At how many failures one after the other a replay is given up.
    pub const MOST_IN_A_ROW: u32 = 100;

    /// Notes what became of an event.
    pub fn note(&mut self, event: &Event, end: &EventEnd) {
        match end {
            EventEnd::Taken => (self.replayed, self.failed_in_a_row) = (self.replayed + 1, 0),
            EventEnd::NotWanted => self.skipped += 1,
            EventEnd::Failed(reason) => {
                self.failed += 1;
                self.failed_in_a_row += 1;
                let beyond = (self.failures.len() + 1).saturating_sub(Self::MOST_FAILURES);
                self.failures.drain(..beyond);
                let (event_id, reason) = (event.id, reason.chars().take(ReplayFailure::MOST_CHARS).collect());
                self.failures.push(ReplayFailure { event_id, reason });
            }
        }
    }
}

/// What became of an event that was to be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventEnd {
    /// The target has taken it.
    Taken,
    /// The target does not select it.
    NotWanted,
    /// The target has not taken it, and will not be asked again.
    Failed(String),
}

/// An event that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayFailure {
    /// The event.
    pub event_id: EventId,
    /// Why.
    pub reason: String,
}

impl ReplayFailure {
    /// The most characters of a reason.
    pub const MOST_CHARS: usize = 300;
}

/// Where a replay goes on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Up to where everything was dealt with.
    pub place: Option<Place>,
    /// Streams that are further than that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ahead: Vec<Ahead>,
}

/// A place in what is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In a stream.
    Version(Version),
    /// In a list of events.
    Index(usize),
    /// In time.
    Time(CommitPlace),
}

/// A commit's place in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CommitPlace {
    /// When its latest event happened.
    pub last_occurred_at: Timestamp,
    /// What tells apart commits of the same microsecond.
    pub commit: EventId,
}

/// A stream that is further than the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead {
    /// The stream.
    #[serde(flatten)]
    pub stream: StreamRef,
    /// The version through which it was dealt with.
    pub through: Version,
    /// When the last of that happened: beyond that moment, none of it comes again.
    pub until: Timestamp,
}

impl Checkpoint {
    /// How far a stream is known to be.
    #[must_use]
    pub fn through(&self, stream: &StreamRef) -> Version {
        self.ahead.iter().find(|ahead| ahead.stream == *stream).map_or(Version::EMPTY, |ahead| ahead.through)
    }

    /// Notes how far a stream is.
    pub fn advance(&mut self, stream: &StreamRef, through: Version, until: Timestamp) {
        match self.ahead.iter_mut().find(|ahead| ahead.stream == *stream) {
            Some(ahead) => {
                ahead.through = ahead.through.max(through);
                ahead.until = ahead.until.max(until);
            }
            None => self.ahead.push(Ahead { stream: stream.clone(), through, until }),
        }
    }

    /// Notes that everything up to a place was dealt with.
    pub fn reach(&mut self, place: Place) {
        self.place = Some(place);
        match place {
            // What is further than the place comes with the next one, and not again.
            Place::Version(_) | Place::Index(_) => self.ahead.clear(),
            Place::Time(place) => self.ahead.retain(|ahead| ahead.until >= place.last_occurred_at),
        }
    }
}

/// Somebody is at it, until then at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

impl Replay {
    /// The most events a second that may be asked for, and how many are sent unless anybody says otherwise.
    pub const MAX_RATE: u32 = 1000;
    /// How many events a second are sent unless anybody says otherwise.
    pub const USUAL_RATE: u32 = 100;
    /// The most events that may be named by their ids.
    pub const MAX_IDS: usize = 1000;
    /// How long it waits before what has failed is tried again.
    const DELAYS: [Duration; 5] =
        [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(30), Duration::from_mins(2), Duration::from_mins(5)];

    /// Whether it goes on.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == ReplayState::Running
    }

    /// How long to wait after this attempt, if there is to be another.
    #[must_use]
    pub fn delay_after(attempt: u32) -> Option<Duration> {
        Self::DELAYS.get(usize::try_from(attempt.saturating_sub(1)).ok()?).copied()
    }

    /// Ends it.
    pub fn end(&mut self, state: ReplayState, reason: Option<String>, now: Timestamp) {
        (self.state, self.reason) = (state, reason);
        (self.completed_at, self.updated_at) = (Some(now), now);
        (self.lease, self.due_at) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::commit::Commit;

    fn stream(id: &str) -> StreamRef {
        StreamRef { organization: None, stream: format!("order:{id}").parse().unwrap() }
    }

    fn at(micros: i64) -> Timestamp {
        Timestamp::MIN.plus_micros(micros)
    }

    fn event() -> Event {
        let committed = serde_json::from_str(r#"[{"at":0,"event":{"type":"a"}}]"#).unwrap();
        let commit = Commit {
            stream: (&stream("1")).into(),
            first: Version::EMPTY.next(),
            recorded_at: at(0),
            attempt: crate::domain::commit::Attempt(1),
            request: None,
            storage: crate::domain::commit::Storage::Table,
            events: committed,
        };
        commit.to_events().remove(0)
    }

    #[test]
    fn a_stream_that_is_ahead_is_remembered_until_all_of_it_was_passed() {
        let mut checkpoint = Checkpoint::default();
        checkpoint.advance(&stream("1"), Version::new(5), at(10));
        checkpoint.advance(&stream("1"), Version::new(3), at(20));
        checkpoint.advance(&stream("2"), Version::new(1), at(15));
        let place = |micros| Place::Time(CommitPlace { last_occurred_at: at(micros), commit: EventId::new(uuid::Uuid::nil()) });
        checkpoint.reach(place(15));
        assert_eq!([checkpoint.through(&stream("1")), checkpoint.through(&stream("2"))], [5, 1].map(Version::new));
        checkpoint.reach(place(16));
        assert_eq!([checkpoint.through(&stream("1")), checkpoint.through(&stream("2"))], [5, 0].map(Version::new));
        checkpoint.reach(place(21));
        assert!(checkpoint.ahead.is_empty());
        checkpoint.advance(&stream("1"), Version::new(9), at(99));
        checkpoint.reach(Place::Index(1));
        assert!(checkpoint.ahead.is_empty());
    }

    #[test]
    fn what_fails_is_counted_and_the_last_failures_are_named() {
        let (mut tally, event) = (ReplayTally::default(), event());
        for number in 0..150 {
            tally.note(&event, &EventEnd::Failed(format!("{number} {}", "x".repeat(1000))));
        }
        assert_eq!((tally.failed, tally.failed_in_a_row, tally.failures.len()), (150, 150, ReplayTally::MOST_FAILURES));
        assert!(tally.failures[0].reason.starts_with("50 ") && tally.failures[0].reason.len() == ReplayFailure::MOST_CHARS);
        tally.note(&event, &EventEnd::NotWanted);
        assert_eq!(tally.failed_in_a_row, 150);
        tally.note(&event, &EventEnd::Taken);
        assert_eq!((tally.replayed, tally.skipped, tally.failed, tally.failed_in_a_row), (1, 1, 150, 0));
    }

    #[test]
    fn what_fails_is_tried_again_a_few_times_later_and_later() {
        let delays: Vec<u64> = (1..9).map_while(Replay::delay_after).map(|delay| delay.as_secs()).collect();
        assert_eq!(delays, [2, 10, 30, 120, 300]);
    }
}
