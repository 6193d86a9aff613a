//! Names of streams, and the place in the table that a name gives.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::event_id::EventId;
use super::identifiers::OrganizationId;

/// Names one entity's events, written `{entity_type}:{entity_id}` (BR-STM-001).
///
/// Invariant: both halves are non-blank and without control characters, the type holds no `:`;
/// at most [`StreamId::MAX_TYPE_BYTES`] and [`StreamId::MAX_ID_BYTES`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamId {
    entity_type: String,
    entity_id: String,
}

/// Why a text names no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamIdError {
    /// There is no `:`.
    #[error("must have the form entity_type:entity_id")]
    NoSeparator,
    /// Nothing stands before the `:`.
    #[error("must have an entity type before the colon")]
    EmptyType,
    /// Nothing stands after the `:`.
    #[error("must have an entity id after the colon")]
    EmptyId,
    /// The entity type holds a `:`.
    #[error("the entity type must not hold a colon")]
    ColonInType,
    /// One half is longer than the table's keys leave room for.
    #[error("the entity type may have at most 64 bytes and the entity id at most 512")]
    TooLong,
    /// A control character.
    #[error("must not hold control characters")]
    Control,
}

impl StreamId {
    /// The most bytes of an entity type.
    pub const MAX_TYPE_BYTES: usize = 64;
    /// The most bytes of an entity id.
    pub const MAX_ID_BYTES: usize = 512;
    /// The entity type of events that belong to nothing else: each is a stream of its own.
    pub const EVENT_TYPE: &'static str = "event";

    /// The stream of an entity.
    ///
    /// # Errors
    /// [`StreamIdError`] says which part is wrong.
    pub fn new(entity_type: &str, entity_id: &str) -> Result<Self, StreamIdError> {
        if entity_type.trim().is_empty() {
            Err(StreamIdError::EmptyType)
        } else if entity_id.trim().is_empty() {
            Err(StreamIdError::EmptyId)
        } else if entity_type.contains(':') {
            Err(StreamIdError::ColonInType)
        } else if entity_type.len() > Self::MAX_TYPE_BYTES || entity_id.len() > Self::MAX_ID_BYTES {
            Err(StreamIdError::TooLong)
        } else if entity_type.chars().chain(entity_id.chars()).any(char::is_control) {
            Err(StreamIdError::Control)
        } else {
            Ok(Self { entity_type: entity_type.to_owned(), entity_id: entity_id.to_owned() })
        }
    }

    /// The stream of an event that belongs to no entity: `event:{event_id}`.
    #[must_use]
    pub fn of_event(id: EventId) -> Self {
        Self { entity_type: Self::EVENT_TYPE.to_owned(), entity_id: id.to_string() }
    }

    /// The half before the colon.
    #[must_use]
    pub fn entity_type(&self) -> &str {
        &self.entity_type
    }

    /// The half after the first colon.
    #[must_use]
    pub fn entity_id(&self) -> &str {
        &self.entity_id
    }

    /// Whether this is the stream of `entity_type` and `entity_id`.
    #[must_use]
    pub fn is(&self, entity_type: &str, entity_id: &str) -> bool {
        self.entity_type == entity_type && self.entity_id == entity_id
    }
}

impl FromStr for StreamId {
    type Err = StreamIdError;

    fn from_str(text: &str) -> Result<Self, StreamIdError> {
        let (entity_type, entity_id) = text.split_once(':').ok_or(StreamIdError::NoSeparator)?;
        Self::new(entity_type, entity_id)
    }
}

impl TryFrom<String> for StreamId {
    type Error = StreamIdError;

    fn try_from(text: String) -> Result<Self, StreamIdError> {
        text.parse()
    }
}

impl From<StreamId> for String {
    fn from(stream: StreamId) -> Self {
        stream.to_string()
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.entity_type, self.entity_id)
    }
}

/// What kind of thing entities are: the half of a stream's name before the colon.
///
/// Invariant: not blank, without colons and control characters, at most [`StreamId::MAX_TYPE_BYTES`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntityType(String);

impl EntityType {
    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EntityType {
    type Err = StreamIdError;

    fn from_str(text: &str) -> Result<Self, StreamIdError> {
        // Any id will do for seeing whether a stream may have this type.
        StreamId::new(text, "1").map(|stream| Self(stream.entity_type))
    }
}

impl TryFrom<String> for EntityType {
    type Error = StreamIdError;

    fn try_from(text: String) -> Result<Self, StreamIdError> {
        text.parse()
    }
}

impl From<EntityType> for String {
    fn from(entity_type: EntityType) -> Self {
        entity_type.0
    }
}

impl fmt::Display for EntityType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A stream as the store keeps it: every organization has its own stream of a name.
///
/// Two organizations that both have an `order:1001` share neither versions nor conflicts
/// (docs/decisions/0002).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    /// The organization of the stream's events; none for events without one.
    pub organization: Option<OrganizationId>,
    /// The stream's name.
    pub stream: StreamId,
}

/// Where in the table a stream lies: `place` picks the partition and is the same for every
/// organization's stream of a name; `tag` keeps those apart within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamAddress {
    /// 28 bits: a hash of the stream's name.
    pub place: u32,
    /// 15 bits: a hash of the organization and the name.
    pub tag: u16,
}

impl StreamAddress {
    /// How many bits of [`StreamAddress::place`] are used.
    pub const PLACE_BITS: u32 = 28;
    /// How many bits of [`StreamAddress::tag`] are used.
    pub const TAG_BITS: u32 = 15;
}

/// The partition of every stream of this name, whatever its organization.
#[must_use]
pub fn place_of(stream: &StreamId) -> u32 {
    if let Some(id) = own_event(stream) {
        return id.address().place;
    }
    let digest = Sha256::digest(stream.to_string());
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) >> (32 - StreamAddress::PLACE_BITS)
}

/// The event that an `event:{event_id}` stream is named after, if its id says where it lies.
///
/// Such an id cannot hold a hash of a name that holds the id; it holds random bits instead, and the
/// name is hashed by reading them back.
fn own_event(stream: &StreamId) -> Option<super::event_id::Location> {
    (stream.entity_type == StreamId::EVENT_TYPE)
        .then(|| stream.entity_id.parse::<EventId>().ok())
        .flatten()
        .filter(|id| id.to_string() == stream.entity_id)
        .and_then(EventId::location)
}

impl StreamKey {
    /// Where in the table the stream lies.
    #[must_use]
    pub fn address(&self) -> StreamAddress {
        if let Some(id) = own_event(&self.stream) {
            return id.address();
        }
        let organization = self.organization.as_ref().map_or("", OrganizationId::as_str);
        let digest = Sha256::new().chain_update(organization).chain_update([0]).chain_update(self.stream.to_string()).finalize();
        StreamAddress { place: place_of(&self.stream), tag: u16::from_be_bytes([digest[0], digest[1]]) >> (16 - StreamAddress::TAG_BITS) }
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BR-STM-001.
    #[test]
    fn a_stream_id_is_an_entity_type_and_an_entity_id() {
        for (text, expected) in [
            ("order", Err(StreamIdError::NoSeparator)),
            (":1", Err(StreamIdError::EmptyType)),
            ("order:", Err(StreamIdError::EmptyId)),
            ("order: ", Err(StreamIdError::EmptyId)),
            ("order:1\n", Err(StreamIdError::Control)),
            ("order:1:2", Ok(("order", "1:2"))),
            ("user:user_12345", Ok(("user", "user_12345"))),
        ] {
            let parsed = text.parse::<StreamId>();
            let halves = parsed.as_ref().map(|stream| (stream.entity_type(), stream.entity_id()));
            assert_eq!(halves, expected.as_ref().copied(), "{text:?}");
            if let Ok(stream) = &parsed {
                assert_eq!(stream.to_string(), text);
            }
        }
        assert_eq!(StreamId::new("a:b", "c"), Err(StreamIdError::ColonInType));
        assert_eq!(StreamId::new(&"t".repeat(65), "c"), Err(StreamIdError::TooLong));
    }
}
