//! What a webhook carries: the event as `GET` answers it, in the form of Standard Webhooks.

use serde::Serialize;

use super::answers::events::EventAnswer;
use crate::domain::identifiers::EventType;
use crate::domain::query::ObservedEvent;
use crate::domain::timestamp::Timestamp;

#[derive(Serialize)]
struct WebhookBody<'a> {
    #[serde(rename = "type")]
    event_type: &'a EventType,
    timestamp: Timestamp,
    data: EventAnswer<'a>,
}

/// The body of a webhook about an event.
#[must_use]
pub fn webhook_body(observed: &ObservedEvent) -> String {
    let event = &observed.event;
    let body = WebhookBody { event_type: &event.details.event_type, timestamp: event.occurred_at, data: EventAnswer::from(observed) };
    // Texts, numbers and checked JSON can always be written.
    serde_json::to_string(&body).unwrap_or_default()
}
