//! Events: what a client sends, and what the store keeps of it for good.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::category::EventCategory;
use super::commit::Storage;
use super::event_id::EventId;
use super::identifiers::{CorrelationId, DeviceId, EventType, OrganizationId, SchemaVersion, SessionId, UserId};
use super::json::JsonObject;
use super::source::EventSource;
use super::stream_id::{StreamId, StreamKey};
use super::timestamp::Timestamp;
use super::trace::TraceParent;
use super::version::{ExpectedVersion, Version};

/// What a client asks to record, checked and complete but for its place in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventDraft {
    /// The client's own id, which makes the event idempotent.
    pub event_id: Option<EventId>,
    /// The tenant that the event belongs to.
    pub organization: Option<OrganizationId>,
    /// The stream that the client names; else it follows from the event ([`EventDraft::stream`]).
    pub stream: Option<StreamId>,
    /// What the stream must look like before the event is added.
    pub expected_version: ExpectedVersion,
    /// When it happened; the moment of recording if the client does not say (BR-EVT-005).
    pub occurred_at: Option<Timestamp>,
    /// The trace that the request was part of: noted in the event's metadata, and no part of what makes two requests the same.
    pub trace: Option<TraceParent>,
    /// Everything else.
    pub details: EventDetails,
}

/// What happened, to whom, and all that the producer says of it. Never changed once stored
/// (BR-EVT-006).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventDetails {
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// Where it came from.
    #[serde(default, skip_serializing_if = "is_default")]
    pub source: EventSource,
    /// What kind of thing it is about.
    #[serde(default, skip_serializing_if = "is_default")]
    pub category: EventCategory,
    /// Whom it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// In which visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// On which device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// In which operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<CorrelationId>,
    /// The payload.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub data: JsonObject,
    /// Circumstances of the request, such as IP and user agent.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub metadata: JsonObject,
    /// Environment and runtime.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub context: JsonObject,
    /// The producer's own properties.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub properties: JsonObject,
    /// The schema version of `data`.
    #[serde(default, rename = "version", skip_serializing_if = "is_default")]
    pub schema_version: SchemaVersion,
}

impl EventDetails {
    /// About how many bytes the event takes in memory and in an answer: its payloads, and room for
    /// its names.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const NAMES: usize = 1024;
        [&self.data, &self.metadata, &self.context, &self.properties].iter().map(|object| object.as_str().len()).sum::<usize>() + NAMES
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl EventDraft {
    /// The most bytes of JSON that one event may have; more is refused before it is compressed.
    pub const MAX_BYTES: usize = 512 * 1024;

    /// Where the event belongs, if it belongs anywhere: the stream that the client names, else the
    /// first of user, device, session and organization that applies.
    ///
    /// An event that belongs nowhere gets a stream of its own, `event:{event_id}`.
    #[must_use]
    pub fn stream(&self) -> Option<StreamId> {
        let of = |entity_type: &str, id: Option<&str>| id.and_then(|id| StreamId::new(entity_type, id).ok());
        self.stream
            .clone()
            .or_else(|| of("user", self.details.user.as_ref().map(UserId::as_str)))
            .or_else(|| of("device", self.details.device.as_ref().map(DeviceId::as_str)))
            .or_else(|| of("session", self.details.session.as_ref().map(SessionId::as_str)))
            .or_else(|| of("organization", self.organization.as_ref().map(OrganizationId::as_str)))
            .or_else(|| self.event_id.map(StreamId::of_event))
    }

    /// A digest of all that the client said of the event, for telling a retry from another event
    /// under the same id. What it expects of the stream is no part of the event.
    #[must_use]
    pub fn digest(&self) -> BodyDigest {
        let occurred_at = self.occurred_at.map(|moment| moment.to_string());
        let organization = self.organization.as_ref().map(OrganizationId::as_str);
        let parts = (self.event_id, organization, self.stream.as_ref().map(ToString::to_string), occurred_at, &self.details);
        BodyDigest::of(&serde_json::to_vec(&parts).unwrap_or_default())
    }

    /// The details as they are stored: with the trace of the request.
    #[must_use]
    pub fn details_to_keep(&self) -> EventDetails {
        let mut details = self.details.clone();
        if let Some(trace) = &self.trace {
            trace.note_in(&mut details);
        }
        details
    }

    /// The bytes of JSON that the event takes in a commit, before compression.
    #[must_use]
    pub fn bytes(&self) -> usize {
        serde_json::to_vec(&self.details).map_or(usize::MAX, |json| json.len())
    }
}

/// 128 bits of SHA-256, for telling equal requests from different ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyDigest(pub u128);

impl BodyDigest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        Self(digest.iter().take(16).fold(0, |bits, byte| (bits << 8) | u128::from(*byte)))
    }

    /// The digest of several, in their order.
    #[must_use]
    pub fn of_all(digests: impl IntoIterator<Item = Self>) -> Self {
        let bytes: Vec<u8> = digests.into_iter().flat_map(|digest| digest.0.to_be_bytes()).collect();
        Self::of(&bytes)
    }
}

/// 32 hexadecimal digits.
impl std::fmt::Display for BodyDigest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its identity: the client's id if it brought one, else its place.
    pub id: EventId,
    /// The id that says where it lies. It is also the tie-break of every order by time.
    pub place: EventId,
    /// The id of the commit that holds it.
    pub commit: EventId,
    /// Its stream.
    pub stream: StreamKey,
    /// Its number in the stream, from 1.
    pub stream_version: Version,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When it was stored, to the millisecond.
    pub recorded_at: Timestamp,
    /// Where it is kept.
    pub storage: Storage,
    /// Everything else.
    pub details: EventDetails,
}

impl Event {
    /// Where the event stands in an order by time: newest first is this, descending (BR-QRY-002).
    #[must_use]
    pub const fn position(&self) -> Position {
        Position { occurred_at: self.occurred_at, place: self.place }
    }

    /// The tenant that the event belongs to.
    #[must_use]
    pub const fn organization(&self) -> Option<&OrganizationId> {
        self.stream.organization.as_ref()
    }
}

/// A place in the total order of events by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// When the event happened.
    pub occurred_at: Timestamp,
    /// What tells apart events of the same microsecond.
    pub place: EventId,
}
