//! Projections: the state of an entity, folded from the events of its stream.

mod definition;
mod rules;

use serde::{Deserialize, Serialize};

pub use self::definition::{ProjectionDefinition, RulesKey, SavedProjection, SnapshotKey};
pub use self::rules::{RuleProblem, Rules};
use super::document::Document;
use super::event::Event;
use super::event_id::EventId;
use super::identifiers::EventType;
use super::json::JsonObject;
use super::timestamp::Timestamp;
use super::version::Version;

/// The state of an entity after the first events of its stream, by the rules of one projection (BR-PRJ-004).
///
/// Folding is a function of the events: from the first, or from any state that was kept on the way, it comes to the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Projection {
    state: Document,
    progress: Progress,
}

/// How far a projection is, and how it came there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// How many events were folded, skipped ones included: the version of the stream then (BR-PRJ-001).
    pub version: Version,
    /// The last of them (BR-PRJ-003).
    pub last_event_id: Option<EventId>,
    /// When the first of them was recorded.
    pub created_at: Option<Timestamp>,
    /// When the latest of them was recorded: of two writers, the one with the slower clock may come second.
    pub updated_at: Option<Timestamp>,
    /// How many were skipped because a rule could not be applied to them.
    pub skipped: u64,
    /// The last [`Projection::MAX_WARNINGS`] of these.
    pub warnings: Vec<Warning>,
}

/// An event that a rule could not be applied to. It changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The event.
    pub event_id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// Its number in the stream.
    pub stream_version: Version,
    /// Why not.
    pub reason: String,
}

/// What an event did to a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The state is another.
    Changed,
    /// No rule is about the event, or what they set was so already.
    Unchanged,
    /// A rule could not be applied, so none was.
    Skipped,
}

/// A projection as it is kept between two reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The state.
    pub state: JsonObject,
    /// How far it is.
    pub progress: Progress,
}

impl Snapshot {
    /// The fewest commits that a snapshot is worth its write for, however small it is.
    const FEWEST_COMMITS: usize = 16;
    /// Reading that costs as much as this many times the write of a snapshot pays for one. A kilobyte costs twenty times as much to
    /// write as to read, and a snapshot saves its reading to every read until the next one: here five are counted on.
    const TIMES_ITS_BYTES: usize = 4;
    /// From how many commits on a snapshot pays whatever its size: reading them takes too long.
    const ALWAYS_FROM: usize = 1000;

    /// Whether keeping this snapshot costs less than reading again what was read since the one before, a few times.
    #[must_use]
    pub fn pays(&self, read: &ReadSince) -> bool {
        let bytes = self.state.as_str().len().max(1024);
        read.commits >= Self::ALWAYS_FROM || (read.may_pay() && read.bytes >= bytes * Self::TIMES_ITS_BYTES)
    }
}

/// What was read of a stream since a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadSince {
    /// How many commits.
    pub commits: usize,
    /// About how many bytes of events.
    pub bytes: usize,
}

impl ReadSince {
    /// Whether it was so much that a small snapshot pays.
    #[must_use]
    pub const fn may_pay(&self) -> bool {
        self.commits >= Snapshot::FEWEST_COMMITS
    }
}

impl Projection {
    /// The most warnings that are remembered.
    pub const MAX_WARNINGS: usize = 100;

    /// Goes on from a state that was kept; none if it is not one that was kept here.
    #[must_use]
    pub fn from_snapshot(snapshot: Snapshot) -> Option<Self> {
        Some(Self { state: Document::parse(snapshot.state.as_str())?, progress: snapshot.progress })
    }

    /// The projection as it is kept.
    #[must_use]
    pub fn to_snapshot(&self) -> Snapshot {
        Snapshot { state: self.state(), progress: self.progress.clone() }
    }

    /// The state, its members in the order of their names.
    #[must_use]
    pub fn state(&self) -> JsonObject {
        // A document is an object, whatever was put into it.
        JsonObject::parse(&self.state.to_json()).unwrap_or_default()
    }

    /// How far it is.
    #[must_use]
    pub const fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Folds the next event of the stream: all that the rules say of it, or nothing if one of them cannot be applied.
    pub fn fold(&mut self, rules: &Rules, event: &Event) -> Effect {
        let progress = &mut self.progress;
        progress.version = event.stream_version;
        progress.last_event_id = Some(event.id);
        progress.created_at.get_or_insert(event.recorded_at);
        progress.updated_at = progress.updated_at.max(Some(event.recorded_at));
        match rules.apply(&mut self.state, event) {
            Ok(()) if self.state.keep() => Effect::Changed,
            Ok(()) => Effect::Unchanged,
            Err(unfit) => {
                self.state.undo();
                progress.skipped += 1;
                let beyond = (progress.warnings.len() + 1).saturating_sub(Self::MAX_WARNINGS);
                progress.warnings.drain(..beyond);
                progress.warnings.push(Warning {
                    event_id: event.id,
                    event_type: event.details.event_type.clone(),
                    stream_version: event.stream_version,
                    reason: unfit.to_string(),
                });
                Effect::Skipped
            }
        }
    }
}

#[cfg(test)]
mod tests;
