//! Event ids: UUIDs, and those made here say where their event lies.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::stream_id::StreamAddress;
use super::timestamp::Timestamp;
use super::version::Version;

/// The identity of an event: a UUID, unique within its organization (BR-EVT-001).
///
/// Ids made by this service are UUIDv8 that locate their event ([`EventId::location`]) and sort by
/// the time of recording. A client may bring any UUID of its own. Ids can be guessed: they are
/// names, not permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventId(Uuid);

/// The text is not a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a UUID")]
pub struct EventIdError;

/// Where an event lies: what the 122 free bits of a UUIDv8 hold here.
///
/// From the most significant bit: 48 bits of milliseconds since 1970, 7 of the index in the commit,
/// 28 + 15 of the stream's address, and the low 24 of the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// When the commit was recorded, in whole milliseconds.
    pub recorded_at: Timestamp,
    /// The place of the event in its commit, from 0.
    pub index: usize,
    address: StreamAddress,
    version_low: u32,
}

const INDEX_BITS: u32 = 7;
const VERSION_BITS: u32 = 24;

impl Location {
    /// The place of the event at `version` of a stream, `index` events into its commit.
    ///
    /// `index` must be below 128 and `recorded_at` from 1970 on; both hold for every commit.
    #[must_use]
    pub fn new(recorded_at: Timestamp, index: usize, address: StreamAddress, version: Version) -> Self {
        let version_low = (version.get() & ((1 << VERSION_BITS) - 1)) as u32;
        Self { recorded_at: recorded_at.whole_millis(), index: index & ((1 << INDEX_BITS) - 1), address, version_low }
    }

    /// Where the stream lies.
    #[must_use]
    pub const fn address(&self) -> StreamAddress {
        self.address
    }

    /// The first versions of the commit that the event may be in, given that its stream is at
    /// `head`: one for streams of up to sixteen million events.
    pub fn commit_versions(&self, head: Version) -> impl Iterator<Item = Version> + use<> {
        let (low, index) = (u64::from(self.version_low), self.index as u64);
        (0..=(head.get() >> VERSION_BITS))
            .filter_map(move |high| ((high << VERSION_BITS) + low).checked_sub(index))
            .filter(|first| *first > 0)
            .map(Version::new)
    }

    /// The id that holds this place.
    #[must_use]
    pub fn id(&self) -> EventId {
        let millis = u128::from(self.recorded_at.millis().unsigned_abs()) & ((1 << 48) - 1);
        let free = (((((self.index as u128) << StreamAddress::PLACE_BITS) | u128::from(self.address.place)) << StreamAddress::TAG_BITS
            | u128::from(self.address.tag))
            << VERSION_BITS)
            | u128::from(self.version_low);
        // 12 of the 74 free bits stand between the version and the variant of the UUID.
        let bits = (millis << 80) | (8 << 76) | ((free >> 62) << 64) | (2 << 62) | (free & ((1 << 62) - 1));
        EventId(Uuid::from_u128(bits))
    }
}

impl EventId {
    /// The id with these bits, as a client brought it.
    #[must_use]
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The 16 bytes of the UUID.
    #[must_use]
    pub const fn bytes(&self) -> [u8; 16] {
        *self.0.as_bytes()
    }

    /// Where the event lies, if the id has the form of those made here.
    ///
    /// A client may bring a UUIDv8 of its own, so what is found there must be compared with the id.
    #[must_use]
    pub fn location(self) -> Option<Location> {
        if self.0.get_version_num() != 8 || self.0.get_variant() != uuid::Variant::RFC4122 {
            return None;
        }
        let bits = self.0.as_u128();
        let free = (((bits >> 64) & 0xfff) << 62) | (bits & ((1 << 62) - 1));
        let field = |shift: u32, width: u32| (free >> shift) & ((1 << width) - 1);
        let above_version = VERSION_BITS + StreamAddress::TAG_BITS;
        Some(Location {
            recorded_at: i64::try_from(bits >> 80).ok().and_then(|millis| Timestamp::from_micros(millis.checked_mul(1000)?).ok())?,
            index: usize::try_from(field(above_version + StreamAddress::PLACE_BITS, INDEX_BITS)).ok()?,
            address: StreamAddress {
                place: u32::try_from(field(above_version, StreamAddress::PLACE_BITS)).ok()?,
                tag: u16::try_from(field(VERSION_BITS, StreamAddress::TAG_BITS)).ok()?,
            },
            version_low: u32::try_from(field(0, VERSION_BITS)).ok()?,
        })
    }
}

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<Self, EventIdError> {
        Uuid::parse_str(text.trim()).map(Self).map_err(|_| EventIdError)
    }
}

impl TryFrom<String> for EventId {
    type Error = EventIdError;

    fn try_from(text: String) -> Result<Self, EventIdError> {
        text.parse()
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// BR-EVT-001.
        #[test]
        fn an_event_id_is_a_uuid_v8_that_holds_the_place_of_its_event(
            millis in 0..(1_i64 << 47), index in 0..100_usize, place in 0..(1_u32 << 28), tag in 0..(1_u16 << 15), first in 1..1_000_000_000_u64,
        ) {
            let recorded_at = Timestamp::from_micros(millis * 1000);
            prop_assume!(recorded_at.is_ok());
            let Ok(recorded_at) = recorded_at else { return Ok(()) };
            let head = Version::new(first).plus(index);
            let location = Location::new(recorded_at, index, StreamAddress { place, tag }, head);
            let id = location.id();
            prop_assert_eq!(id.0.get_version_num(), 8);
            prop_assert_eq!(id.0.get_variant(), uuid::Variant::RFC4122);
            prop_assert_eq!(id.to_string().parse::<EventId>(), Ok(id));
            prop_assert_eq!(id.location(), Some(location));
            prop_assert!(location.commit_versions(head).any(|version| version == Version::new(first)));
        }
    }

    #[test]
    fn ids_sort_by_the_time_of_recording_and_then_by_their_place_in_the_commit() {
        let at = |millis: i64| Timestamp::from_micros(millis * 1000).unwrap_or(Timestamp::MIN);
        let address = StreamAddress { place: 7, tag: 7 };
        let ids = [(5, 0, 9), (5, 1, 10), (6, 0, 1)]
            .map(|(millis, index, version)| Location::new(at(millis), index, address, Version::new(version)).id());
        assert!(ids.is_sorted(), "{ids:?}");
    }
}
