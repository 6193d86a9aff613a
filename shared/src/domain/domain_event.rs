//! Domain events: what this service tells others of what it did.

use serde::Serialize;
use serde_json::{Value, json};

use super::event::Event;
use super::outcome::{EventOutcome, ProcessingResult};
use super::projection::SavedProjection;
use super::replay::{Replay, ReplayState, Selection};
use super::subscription::{DisabledBecause, Subscription};
use super::timestamp::Timestamp;

/// What this service calls itself, as the source of what it tells.
pub const SOURCE: &str = "event_service";

/// The most bytes of an event's `data` that `event.stored` carries.
pub const MAX_STORED_DATA: usize = 64 * 1024;

/// The namespace of domain events' ids (RFC 9562, version 5).
const NAMESPACE: uuid::Uuid = uuid::Uuid::from_u128(0x1d0c_9b5e_8f43_4a6c_b1b5_2f0e_77ac_9d40);

/// Something that this service did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DomainEvent {
    /// Its id. The same thing told twice has the same.
    pub id: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: DomainEventKind,
    /// Who says so.
    pub source: &'static str,
    /// The same as the type: the subject on NATS.
    pub subject: &'static str,
    /// When it happened.
    pub timestamp: Timestamp,
    /// The particulars.
    pub data: Value,
    /// Circumstances.
    pub metadata: Value,
    /// The version of the envelope.
    pub version: &'static str,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DomainEventKind {
    /// An event was stored.
    Stored,
    /// A processor was successful.
    ProcessedSuccess,
    /// A processor failed.
    ProcessedFailed,
    /// Somebody subscribed.
    SubscriptionCreated,
    /// A subscription gets nothing but failures and will soon be disabled.
    SubscriptionFailing,
    /// A subscription was disabled because of its receiver.
    SubscriptionDisabled,
    /// A projection was saved for the first time.
    ProjectionCreated,
    /// A replay was started.
    ReplayStarted,
    /// A replay ended.
    ReplayCompleted,
}

impl DomainEventKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Stored,
        Self::ProcessedSuccess,
        Self::ProcessedFailed,
        Self::SubscriptionCreated,
        Self::SubscriptionFailing,
        Self::SubscriptionDisabled,
        Self::ProjectionCreated,
        Self::ReplayStarted,
        Self::ReplayCompleted,
    ];

    /// The type on the bus.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "event.stored",
            Self::ProcessedSuccess => "event.processed.success",
            Self::ProcessedFailed => "event.processed.failed",
            Self::SubscriptionCreated => "event.subscription.created",
            Self::SubscriptionFailing => "event.subscription.failing",
            Self::SubscriptionDisabled => "event.subscription.disabled",
            Self::ProjectionCreated => "event.projection.created",
            Self::ReplayStarted => "event.replay.started",
            Self::ReplayCompleted => "event.replay.completed",
        }
    }
}

impl Serialize for DomainEventKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl DomainEvent {
    fn new(kind: DomainEventKind, of: &str, timestamp: Timestamp, data: Value) -> Self {
        let name = format!("{}/{of}", kind.as_str());
        Self {
            id: uuid::Uuid::new_v5(&NAMESPACE, name.as_bytes()).hyphenated().to_string(),
            kind,
            source: SOURCE,
            subject: kind.as_str(),
            timestamp,
            data,
            metadata: json!({}),
            version: "1.0.0",
        }
    }

    /// An event was stored. Its `data` is left out if it is large.
    #[must_use]
    pub fn stored(event: &Event) -> Self {
        let details = &event.details;
        let mut data = json!({
            "event_id": event.id.to_string(),
            "event_type": details.event_type,
            "event_source": details.source,
            "event_category": details.category,
            "user_id": details.user,
            "organization_id": event.organization(),
            "timestamp": event.occurred_at,
            "stream_id": event.stream.stream,
            "stream_version": event.stream_version,
        });
        if details.data.as_str().len() <= MAX_STORED_DATA {
            data["data"] = details.data.to_value();
        } else {
            data["data"] = json!({});
            data["data_omitted"] = true.into();
        }
        let mut told = Self::new(DomainEventKind::Stored, &event.place.to_string(), event.recorded_at, data);
        if let Some(correlation) = &details.correlation {
            told.metadata = json!({ "correlation_id": correlation });
        }
        told
    }

    /// A processor was successful with an event, or failed for this time. Nothing is told of what was skipped.
    #[must_use]
    pub fn processed(event: &ProcessedEvent, result: &ProcessingResult) -> Option<Self> {
        use super::outcome::ResultStatus;
        let of = format!("{}/{}/{}/{}", event.place, result.processor, result.attempt, result.at);
        match result.status {
            ResultStatus::Success => {
                let data = json!({
                    "event_id": event.event_id,
                    "event_type": event.event_type,
                    "processor_name": result.processor,
                    "duration_ms": result.ms,
                    "timestamp": result.at,
                });
                Some(Self::new(DomainEventKind::ProcessedSuccess, &of, result.at, data))
            }
            ResultStatus::Failed | ResultStatus::Retry => {
                let data = json!({
                    "event_id": event.event_id,
                    "event_type": event.event_type,
                    "processor_name": result.processor,
                    "error_message": result.message,
                    "retry_count": result.attempt.saturating_sub(1),
                    "will_retry": result.status == ResultStatus::Retry,
                    "timestamp": result.at,
                });
                Some(Self::new(DomainEventKind::ProcessedFailed, &of, result.at, data))
            }
            ResultStatus::Skipped => None,
        }
    }

    /// Somebody subscribed.
    #[must_use]
    pub fn subscription_created(subscription: &Subscription) -> Self {
        Self::new(
            DomainEventKind::SubscriptionCreated,
            &format!("{}/{}", subscription.id, subscription.created_at),
            subscription.created_at,
            json!({
                "subscription_id": subscription.id,
                "subscriber_name": subscription.subscriber_name,
                "event_types": subscription.event_types,
                "event_sources": subscription.event_sources,
                "enabled": subscription.enabled,
                "organization_id": subscription.organization,
                "timestamp": subscription.created_at,
            }),
        )
    }

    /// A subscription gets nothing but failures: it will be disabled, or was.
    #[must_use]
    pub fn subscription_troubled(
        kind: DomainEventKind,
        subscription: &Subscription,
        because: DisabledBecause,
        since: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        Self::new(
            kind,
            &format!("{}/{}", subscription.id, since.unwrap_or(now)),
            now,
            json!({
                "subscription_id": subscription.id,
                "subscriber_name": subscription.subscriber_name,
                "organization_id": subscription.organization,
                "reason": because,
                "failing_since": since,
                "timestamp": now,
            }),
        )
    }

    /// A projection was saved for the first time.
    #[must_use]
    pub fn projection_created(saved: &SavedProjection) -> Self {
        let SavedProjection { key, progress } = saved;
        let (projection_id, saved_at) = (key.projection_id(), progress.updated_at.unwrap_or(Timestamp::MIN));
        Self::new(
            DomainEventKind::ProjectionCreated,
            &format!("{projection_id}/{:?}", key.rules),
            saved_at,
            json!({
                "projection_id": projection_id,
                "projection_name": key.name,
                "entity_type": key.stream.stream.entity_type(),
                "entity_id": key.stream.stream.entity_id(),
                "organization_id": key.stream.organization,
                "events_count": progress.version,
                "version": progress.version,
                "rules_version": key.rules.version,
                "timestamp": saved_at,
            }),
        )
    }

    /// A replay was started.
    #[must_use]
    pub fn replay_started(replay: &Replay) -> Self {
        let data = replay_data(replay, replay.started_at);
        Self::new(DomainEventKind::ReplayStarted, replay.id.as_str(), replay.started_at, data)
    }

    /// A replay ended, whichever way. None while it goes on.
    #[must_use]
    pub fn replay_ended(replay: &Replay) -> Option<Self> {
        let completed_at = replay.completed_at?;
        let mut data = replay_data(replay, completed_at);
        data["replayed"] = replay.tally.replayed.into();
        data["skipped"] = replay.tally.skipped.into();
        data["failed"] = replay.tally.failed.into();
        data["status"] = replay.state.as_str().into();
        data["duration_ms"] = (completed_at.millis() - replay.started_at.millis()).max(0).into();
        data["success"] = (replay.state == ReplayState::Completed && replay.tally.failed == 0).into();
        Some(Self::new(DomainEventKind::ReplayCompleted, replay.id.as_str(), completed_at, data))
    }
}

/// What both domain events of a replay say.
fn replay_data(replay: &Replay, timestamp: Timestamp) -> Value {
    let stream = match &replay.selection {
        Selection::Stream { stream, .. } => Some(&stream.stream),
        Selection::Events(_) | Selection::Time(_) => None,
    };
    json!({
        "replay_id": replay.id,
        "events_count": replay.events_count,
        "stream_id": stream,
        "target_service": replay.target_name,
        "organization_id": replay.organization,
        "dry_run": false,
        "timestamp": timestamp,
    })
}

/// What domain events say of an event that was processed.
#[derive(Debug, Clone, Copy)]
pub struct ProcessedEvent<'a> {
    /// Where it lies.
    pub place: super::event_id::EventId,
    /// Its id.
    pub event_id: super::event_id::EventId,
    /// Its type.
    pub event_type: &'a super::identifiers::EventType,
}

/// The results that `after` has and `before` has not.
#[must_use]
pub fn new_results<'a>(before: Option<&EventOutcome>, after: &'a EventOutcome) -> Vec<&'a ProcessingResult> {
    after.results.iter().filter(|result| before.is_none_or(|before| !before.results.contains(result))).collect()
}
