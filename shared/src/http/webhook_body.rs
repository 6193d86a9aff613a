//! What a webhook carries: the event as `GET` answers it, in the form of Standard Webhooks.

use serde::Serialize;

use super::answers::events::EventAnswer;
use crate::commands::bridge_events::WriteBridged;
use crate::domain::identifiers::{EventType, ReplayId};
use crate::domain::query::ObservedEvent;
use crate::domain::timestamp::Timestamp;

#[derive(Serialize)]
struct WebhookBody<'a> {
    #[serde(rename = "type")]
    event_type: &'a EventType,
    timestamp: Timestamp,
    data: EventAnswer<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replay: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay_id: Option<&'a ReplayId>,
}

/// How the bridge to NATS writes events.
pub const WRITE_BRIDGED: WriteBridged = WriteBridged { event: event_body, replayed: webhook_body };

/// An event as `GET` answers it.
#[must_use]
pub fn event_body(observed: &ObservedEvent) -> String {
    // Texts, numbers and checked JSON can always be written.
    serde_json::to_string(&EventAnswer::from(observed)).unwrap_or_default()
}

/// The body of a webhook about an event, marked if it is of a replay.
#[must_use]
pub fn webhook_body(observed: &ObservedEvent, replay: Option<&ReplayId>) -> String {
    let event = &observed.event;
    let body = WebhookBody {
        event_type: &event.details.event_type,
        timestamp: event.occurred_at,
        data: EventAnswer::from(observed),
        replay: replay.is_some(),
        replay_id: replay,
    };
    // Texts, numbers and checked JSON can always be written.
    serde_json::to_string(&body).unwrap_or_default()
}
