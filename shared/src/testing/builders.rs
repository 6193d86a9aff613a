//! Things to test with.

use crate::domain::commit::{Attempt, Commit, CommittedEvent, Storage};
use crate::domain::delivery::{Delivery, DeliveryAttempt, DeliveryId, DeliveryState};
use crate::domain::event::EventDetails;
use crate::domain::event_id::EventId;
use crate::domain::json::JsonObject;
use crate::domain::processor::Processor;
use crate::domain::projection::ProjectionDefinition;
use crate::domain::replay::{Replay, ReplayTally};
use crate::domain::stream_id::StreamKey;
use crate::domain::subscription::Subscription;
use crate::domain::timestamp::Timestamp;
use crate::domain::version::Version;
use crate::domain::work::{EventRef, StreamRef};

/// A Monday noon.
#[must_use]
pub fn noon() -> Timestamp {
    Timestamp::parse("2026-11-23T12:00:00Z").unwrap()
}

/// The stream of this name, of no organization, or of the one before a slash: `acme/order:1`.
#[must_use]
pub fn stream(text: &str) -> StreamKey {
    let (organization, stream) = match text.split_once('/') {
        Some((organization, stream)) => (Some(organization), stream),
        None => (None, text),
    };
    StreamKey { organization: organization.map(|organization| organization.parse().unwrap()), stream: stream.parse().unwrap() }
}

/// The details of an event, from the JSON that a commit's body holds.
#[must_use]
pub fn details(json: &serde_json::Value) -> EventDetails {
    serde_json::from_value(json.clone()).unwrap()
}

/// An event of this type that happened at noon.
#[must_use]
pub fn event(event_type: &str) -> CommittedEvent {
    CommittedEvent { client_id: None, occurred_at: noon(), details: details(&serde_json::json!({ "type": event_type })) }
}

/// An event whose payload holds `bytes` characters that do not compress well.
#[must_use]
pub fn large_event(bytes: usize) -> CommittedEvent {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let text: String = (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'!' + u8::try_from(state % 90).unwrap()).max('#')
        })
        .map(|character| if character == '\\' { '/' } else { character })
        .collect();
    let mut event = event("large");
    event.details.data = JsonObject::parse(&format!("{{\"text\":\"{text}\"}}")).unwrap();
    event
}

/// A commit of these events, recorded at noon.
#[must_use]
pub fn commit(stream_name: &str, first: u64, events: Vec<CommittedEvent>) -> Commit {
    let attempt = Attempt(first.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ events.len() as u64);
    let storage = Storage::Table;
    Commit { stream: stream(stream_name), first: Version::new(first), recorded_at: noon(), attempt, request: None, storage, events }
}

/// An id as clients make them.
#[must_use]
pub fn client_id(number: u64) -> EventId {
    format!("00000000-0000-4000-8000-{number:012}").parse().unwrap()
}

/// These members over the default ones, as the type that both make up.
fn over<T: serde::de::DeserializeOwned>(mut default: serde_json::Value, json: &serde_json::Value) -> T {
    for (name, value) in json.as_object().unwrap() {
        default[name] = value.clone();
    }
    serde_json::from_str(&default.to_string()).unwrap()
}

/// A subscription as the store keeps it, with these members: by default one to everything, made at noon, that gets webhooks.
#[must_use]
pub fn subscription(json: &serde_json::Value) -> Subscription {
    let default = serde_json::json!({
        "id": "subscription-1", "organization": null, "subscriber_name": "mailer", "subscriber_type": "webhook",
        "event_types": ["*"], "event_sources": null, "event_categories": null, "callback_url": "https://receiver.example/hook",
        "secrets": [{"secret": "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "until": null}], "enabled": true, "disabled_because": null,
        "retry_policy": {}, "ordering": "none", "rate_limit": null, "delivery_log": "failures",
        "active_since": noon(), "selecting_since": noon(), "created_at": noon(), "updated_at": noon(),
    });
    over(default, json)
}

/// A processor as the store keeps it, with these members: by default one of everything, made at noon and on since then, that
/// writes to the log.
#[must_use]
pub fn processor(json: &serde_json::Value) -> Processor {
    let filters = json.get("filters").cloned().unwrap_or_else(|| serde_json::json!({}));
    let enabled = json.get("enabled").and_then(serde_json::Value::as_bool).unwrap_or(true);
    let activation = serde_json::json!({"from": noon(), "until": null, "filters": filters});
    let default = serde_json::json!({
        "id": "processor-1", "organization": null, "name": "logger", "kind": "internal", "enabled": enabled, "priority": 0,
        "filters": filters, "config": {"action": "log"}, "retry_policy": {}, "activations": if enabled { vec![activation] } else { vec![] },
        "removed_at": null, "created_at": noon(), "updated_at": noon(),
    });
    over(default, json)
}

/// A projection as the store keeps it, with these members: by default one of every organization's orders, made at noon.
#[must_use]
pub fn projection(json: &serde_json::Value) -> ProjectionDefinition {
    let default = serde_json::json!({
        "id": "projection-1", "organization": null, "name": "summary", "entity_type": "order",
        "rules": {"*": [{"count": "events"}]}, "version": 1, "created_at": noon(), "updated_at": noon(),
    });
    over(default, json)
}

/// A replay of this id as the store keeps it, with these members: by default one of all of `order:1` to `subscription-1`, started at noon.
#[must_use]
pub fn replay(id: &str, json: &serde_json::Value) -> Replay {
    let default = serde_json::json!({
        "id": id, "selection": {"stream": {"stream": {"stream_id": "order:1"}, "from": 1, "to": 3}},
        "target": {"subscription": "subscription-1"}, "target_name": "mailer", "rate": 100, "events_count": 3, "is_exact": true,
        "state": "running", "tally": ReplayTally::default(), "checkpoint": {"place": null}, "ticket": 1, "attempt": 1,
        "due_at": noon(), "started_by": "key:1", "started_at": noon(), "updated_at": noon(), "completed_at": null,
    });
    over(default, json)
}

/// The delivery of a stream's only event to `subscription-1`, recorded so many seconds after noon, that failed once and is
/// tried again in an hour.
#[must_use]
pub fn delivery(seconds: u64) -> Delivery {
    let mut commit = commit("acme/order:1", 1, vec![event("order.placed")]);
    commit.recorded_at = noon().plus(std::time::Duration::from_secs(seconds));
    let (place, now) = (commit.id(), commit.recorded_at);
    let later = now.plus(std::time::Duration::from_hours(1));
    let (response, error) = (Some("busy".to_owned()), None);
    Delivery {
        id: DeliveryId::of("subscription-1", place),
        subscription: "subscription-1".parse().unwrap(),
        event: EventRef { stream: StreamRef::from(&commit.stream), commit: commit.first, index: 0 },
        event_id: place,
        event_type: "order.placed".parse().unwrap(),
        state: DeliveryState::Retrying,
        attempts: vec![DeliveryAttempt { at: now, status: Some(503), ms: 12, response, error }],
        attempt_count: 1,
        round: 1,
        due_at: Some(later),
        next_attempt_at: Some(later),
        since: now,
        updated_at: now,
    }
}
