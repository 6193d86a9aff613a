//! Things to test with.

use crate::domain::commit::{Attempt, Commit, CommittedEvent};
use crate::domain::event::EventDetails;
use crate::domain::event_id::EventId;
use crate::domain::json::JsonObject;
use crate::domain::stream_id::StreamKey;
use crate::domain::timestamp::Timestamp;
use crate::domain::version::Version;

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
    Commit { stream: stream(stream_name), first: Version::new(first), recorded_at: noon(), attempt, request: None, events }
}

/// An id as clients make them.
#[must_use]
pub fn client_id(number: u64) -> EventId {
    format!("00000000-0000-4000-8000-{number:012}").parse().unwrap()
}
