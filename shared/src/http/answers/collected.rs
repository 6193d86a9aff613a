//! What collectors answer.

use serde::Serialize;
use utoipa::ToSchema;

use crate::commands::collect_events::{Collected, Taken};
use crate::domain::event_id::EventId;
use crate::domain::rejected_event::{RejectedEvent, RejectedEventId, RejectionReason};
use crate::domain::timestamp::Timestamp;
use crate::http::openapi::schemas::{CollectorSchema, JsonObjectSchema, MomentSchema, RejectionReasonSchema};

/// The word for what went well.
pub const ACCEPTED: &str = "accepted";

/// An event was taken in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CollectedEvent)]
pub struct CollectedAnswer {
    /// Always `accepted`.
    #[schema(value_type = String, example = "accepted")]
    pub status: &'static str,
    /// Its id; null if it was not kept, as its sender asks.
    #[schema(value_type = Option<String>, format = Uuid, required)]
    pub event_id: Option<EventId>,
    /// What became of it, in words.
    #[schema(value_type = String, example = "Event accepted")]
    pub message: &'static str,
    /// Whether it was taken in before.
    pub duplicate: bool,
}

impl CollectedAnswer {
    /// The answer for an event; none if it was not kept.
    #[must_use]
    pub fn new(collected: Option<Collected>) -> Self {
        let message = match collected.map(|collected| collected.how) {
            Some(Taken::Stored) => "Event accepted",
            Some(Taken::Before) => "Event accepted before: it counts once",
            Some(Taken::Queued) => "Event accepted: it is stored in a moment",
            None => "Event accepted and not kept, as its sender asks",
        };
        let duplicate = collected.is_some_and(|collected| collected.how == Taken::Before);
        Self { status: ACCEPTED, event_id: collected.map(|collected| collected.event_id), message, duplicate }
    }
}

/// Events were taken in, or not.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CollectedEvents)]
pub struct CollectedBatchAnswer {
    /// Always `accepted`.
    #[schema(value_type = String, example = "accepted")]
    pub status: &'static str,
    /// How many were taken in, now or before.
    pub processed_count: usize,
    /// Their ids, in their order.
    #[schema(value_type = Vec<String>)]
    pub event_ids: Vec<EventId>,
    /// How it went, in words.
    pub message: String,
    /// How many of them were taken in before: they count once.
    pub duplicate_count: usize,
    /// Those that cannot be read. They spoil none of the others.
    pub rejected: Vec<RejectedItemAnswer>,
}

/// An item of a request that cannot be read.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = RejectedItem)]
pub struct RejectedItemAnswer {
    /// Its index in the request.
    pub index: usize,
    /// What is wrong with it, in words.
    pub detail: String,
    /// What kind of thing that is.
    #[schema(value_type = RejectionReasonSchema)]
    pub reason: RejectionReason,
    /// What it is kept as, to be mended and sent again.
    #[schema(value_type = String)]
    pub rejected_event_id: RejectedEventId,
}

/// What an analytics SDK is told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AnalyticsAnswer)]
pub struct AnalyticsAnswer {
    /// Always true.
    pub success: bool,
    /// How many messages were taken in, now or before.
    pub accepted: usize,
    /// How many of them were taken in before: they count once.
    pub duplicates: usize,
    /// Those that cannot be read. They spoil none of the others.
    pub rejected: Vec<RejectedItemAnswer>,
}

/// What RudderStack is told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RudderstackAnswer)]
pub struct RudderstackAnswer {
    /// Always `accepted`.
    #[schema(value_type = String, example = "accepted")]
    pub status: &'static str,
    /// How it went, in words.
    pub message: String,
    /// Those that cannot be read. They spoil none of the others.
    pub rejected: Vec<RejectedItemAnswer>,
}

/// Whether events are collected.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FrontendHealth)]
pub struct FrontendHealthAnswer {
    /// Always `healthy`.
    #[schema(value_type = String, example = "healthy")]
    pub status: &'static str,
    /// Always `frontend-event-collection`.
    #[schema(value_type = String, example = "frontend-event-collection")]
    pub service: &'static str,
    /// Whether events are published on NATS, too, and it can be reached.
    pub nats_connected: bool,
    /// Now.
    #[schema(value_type = MomentSchema)]
    pub timestamp: Timestamp,
}

impl FrontendHealthAnswer {
    /// The answer at a moment.
    #[must_use]
    pub const fn new(nats_connected: bool, timestamp: Timestamp) -> Self {
        Self { status: "healthy", service: "frontend-event-collection", nats_connected, timestamp }
    }
}

/// What an analytics SDK asks for at its start: that it is switched on, and sends to nobody else.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SourceConfig)]
pub struct SourceConfigAnswer {
    /// The source.
    #[schema(value_type = JsonObjectSchema)]
    pub source: serde_json::Value,
}

impl SourceConfigAnswer {
    /// The configuration of the source that a key stands for.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let off = serde_json::json!({"enabled": false});
        let config = serde_json::json!({"statsCollection": {"errors": off, "metrics": off}});
        Self {
            source: serde_json::json!({
                "id": name, "name": name, "enabled": true, "config": config, "destinations": [], "connections": [],
                "dataplanes": {}, "sourceDefinition": {"name": "Javascript"},
            }),
        }
    }
}

/// Events that were rejected.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RejectedEvents)]
pub struct RejectedEventsAnswer<'a> {
    /// The events, latest first.
    #[schema(value_type = Vec<RejectedEventAnswer<'static>>)]
    pub rejected_events: Vec<RejectedEventAnswer<'a>>,
    /// Whether there may be more.
    pub has_more: bool,
    /// What to send as `cursor` for the next page.
    #[schema(value_type = Option<String>, required)]
    pub next_cursor: Option<&'a RejectedEventId>,
}

impl<'a> RejectedEventsAnswer<'a> {
    /// The answer for a page.
    #[must_use]
    pub fn new(events: &'a [RejectedEvent], next: Option<&'a RejectedEventId>) -> Self {
        Self { rejected_events: events.iter().map(RejectedEventAnswer::from).collect(), has_more: next.is_some(), next_cursor: next }
    }
}

/// One event that was rejected.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RejectedEvent)]
pub struct RejectedEventAnswer<'a> {
    /// Its id.
    #[schema(value_type = String)]
    pub rejected_event_id: &'a RejectedEventId,
    /// The door that it came through.
    #[schema(value_type = CollectorSchema)]
    pub collector: &'static str,
    /// The organization whose it is.
    #[schema(value_type = Option<String>, required)]
    pub organization_id: Option<&'a str>,
    /// What kind of thing is wrong with it.
    #[schema(value_type = RejectionReasonSchema)]
    pub reason: &'static str,
    /// What is wrong with it, in words.
    #[schema(value_type = String)]
    pub detail: &'a str,
    /// What was sent, as its text.
    #[schema(value_type = String)]
    pub body: &'a str,
    /// Whether more was sent than is kept: then it can only be retried with a corrected body.
    pub truncated: bool,
    /// When it came.
    #[schema(value_type = MomentSchema)]
    pub rejected_at: Timestamp,
    /// Until when it is kept.
    #[schema(value_type = MomentSchema)]
    pub expires_at: Timestamp,
}

impl<'a> From<&'a RejectedEvent> for RejectedEventAnswer<'a> {
    fn from(event: &'a RejectedEvent) -> Self {
        Self {
            rejected_event_id: &event.id,
            collector: event.collector.as_str(),
            organization_id: event.organization().map(crate::domain::identifiers::OrganizationId::as_str),
            reason: event.reason.as_str(),
            detail: &event.detail,
            body: &event.body,
            truncated: event.truncated,
            rejected_at: event.circumstances.received_at,
            expires_at: event.expires_at(),
        }
    }
}
