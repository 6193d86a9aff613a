//! Replays.

use serde::Serialize;
use utoipa::ToSchema;

use crate::commands::manage_replays::{Preview, ReplayPage};
use crate::domain::event::Event;
use crate::domain::event_id::EventId;
use crate::domain::identifiers::{EventType, OrganizationId, ReplayId};
use crate::domain::query::Total;
use crate::domain::replay::{Replay, ReplayFailure, Selection};
use crate::domain::stream_id::StreamId;
use crate::domain::timestamp::Timestamp;
use crate::http::openapi::schemas::{MomentSchema, ReplayStateSchema};

/// A replay was started, or would be.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StartedReplay)]
pub struct StartedReplayAnswer<'a> {
    /// Always `replay_started`, also of a dry run.
    #[schema(value_type = String, example = "replay_started")]
    pub status: &'static str,
    /// The same for people.
    pub message: String,
    /// Whether only to say what would be sent.
    pub dry_run: bool,
    /// The replay's id; null of a dry run.
    #[schema(value_type = Option<String>, format = Uuid, required)]
    pub replay_id: Option<&'a ReplayId>,
    /// How many events are, or would be, sent.
    pub events_count: u64,
    /// Whether that is their exact number, or the least that it may be.
    pub events_count_is_exact: bool,
    /// Of a dry run the first hundred of them.
    pub events: Vec<ReplayedEventAnswer<'a>>,
}

impl<'a> StartedReplayAnswer<'a> {
    /// The answer for a replay that was started.
    #[must_use]
    pub fn started(replay: &'a Replay) -> Self {
        Self {
            status: "replay_started",
            message: format!(
                "{} events are sent again: GET /api/v1/events/replay/{} shows how far that is",
                replay.events_count, replay.id
            ),
            dry_run: false,
            replay_id: Some(&replay.id),
            events_count: replay.events_count,
            events_count_is_exact: replay.is_exact,
            events: Vec::new(),
        }
    }

    /// The answer for one that was only tried.
    #[must_use]
    pub fn tried(preview: &'a Preview) -> Self {
        let count = preview.count.count();
        Self {
            status: "replay_started",
            message: format!("dry run: {count} events would be sent again, and none was"),
            dry_run: true,
            replay_id: None,
            events_count: count,
            events_count_is_exact: matches!(preview.count, Total::Exactly(_)),
            events: preview.events.iter().map(ReplayedEventAnswer::from).collect(),
        }
    }
}

/// An event that would be sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayedEvent)]
pub struct ReplayedEventAnswer<'a> {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    pub event_id: EventId,
    /// Its type.
    #[schema(value_type = String)]
    pub event_type: &'a EventType,
    /// Its stream.
    #[schema(value_type = String)]
    pub stream_id: &'a StreamId,
    /// Its number in the stream.
    pub stream_version: u64,
    /// Whose it is.
    #[schema(value_type = Option<String>, required)]
    pub organization_id: Option<&'a OrganizationId>,
    /// When it happened.
    #[schema(value_type = MomentSchema)]
    pub timestamp: Timestamp,
}

impl<'a> From<&'a Event> for ReplayedEventAnswer<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            event_id: event.id,
            event_type: &event.details.event_type,
            stream_id: &event.stream.stream,
            stream_version: event.stream_version.get(),
            organization_id: event.organization(),
            timestamp: event.occurred_at,
        }
    }
}

/// A replay.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replay)]
pub struct ReplayAnswer<'a> {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    pub replay_id: &'a ReplayId,
    /// How it is going.
    #[schema(value_type = ReplayStateSchema)]
    pub status: &'static str,
    /// Who gets the events; null for everybody.
    #[schema(value_type = Option<String>, required)]
    pub target_service: Option<&'a str>,
    /// The stream, if it is of one.
    #[schema(value_type = Option<String>, required)]
    pub stream_id: Option<&'a StreamId>,
    /// How many events were selected when it was started.
    pub events_count: u64,
    /// Whether that is their exact number, or the least that it may be.
    pub events_count_is_exact: bool,
    /// How many the target has taken.
    pub replayed: u64,
    /// How many the target does not select.
    pub skipped: u64,
    /// How many the target has refused, or not taken however often it was tried.
    pub failed: u64,
    /// The last hundred of these.
    pub failures: Vec<ReplayFailureAnswer<'a>>,
    /// Why it was given up.
    #[schema(value_type = Option<String>, required)]
    pub reason: Option<&'a str>,
    /// The most events a second.
    pub rate_limit: u32,
    /// Whose events it is about; null for everybody's.
    #[schema(value_type = Option<String>, required)]
    pub organization_id: Option<&'a OrganizationId>,
    /// Who has started it.
    #[schema(value_type = String)]
    pub started_by: &'a str,
    /// When it was started.
    #[schema(value_type = MomentSchema)]
    pub started_at: Timestamp,
    /// When it was last known to go on.
    #[schema(value_type = MomentSchema)]
    pub updated_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<MomentSchema>, required)]
    pub completed_at: Option<Timestamp>,
}

impl<'a> From<&'a Replay> for ReplayAnswer<'a> {
    fn from(replay: &'a Replay) -> Self {
        Self {
            replay_id: &replay.id,
            status: replay.state.as_str(),
            target_service: replay.target_name.as_deref(),
            stream_id: match &replay.selection {
                Selection::Stream { stream, .. } => Some(&stream.stream),
                Selection::Events(_) | Selection::Time(_) => None,
            },
            events_count: replay.events_count,
            events_count_is_exact: replay.is_exact,
            replayed: replay.tally.replayed,
            skipped: replay.tally.skipped,
            failed: replay.tally.failed,
            failures: replay.tally.failures.iter().map(ReplayFailureAnswer::from).collect(),
            reason: replay.reason.as_deref(),
            rate_limit: replay.rate,
            organization_id: replay.organization.as_ref(),
            started_by: &replay.started_by,
            started_at: replay.started_at,
            updated_at: replay.updated_at,
            completed_at: replay.completed_at,
        }
    }
}

/// An event that was not taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayFailure)]
pub struct ReplayFailureAnswer<'a> {
    /// The event.
    #[schema(value_type = String, format = Uuid)]
    pub event_id: EventId,
    /// Why.
    #[schema(value_type = String, example = "the receiver answered 503")]
    pub reason: &'a str,
}

impl<'a> From<&'a ReplayFailure> for ReplayFailureAnswer<'a> {
    fn from(failure: &'a ReplayFailure) -> Self {
        Self { event_id: failure.event_id, reason: &failure.reason }
    }
}

/// A page of replays.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replays)]
pub struct ReplaysAnswer<'a> {
    /// The replays, latest first.
    pub replays: Vec<ReplayAnswer<'a>>,
    /// Whether there may be more.
    pub has_more: bool,
    /// What to ask for these with.
    #[schema(value_type = Option<String>, required)]
    pub next_cursor: Option<&'a ReplayId>,
}

impl<'a> From<&'a ReplayPage> for ReplaysAnswer<'a> {
    fn from(page: &'a ReplayPage) -> Self {
        Self {
            replays: page.replays.iter().map(ReplayAnswer::from).collect(),
            has_more: page.next.is_some(),
            next_cursor: page.next.as_ref(),
        }
    }
}
