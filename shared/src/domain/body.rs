//! The bodies of commits and outcomes: JSON while that fits one write unit, compressed beyond.
//!
//! An encoding that was ever written stays readable for good; a test keeps a sample of each.

use std::cell::RefCell;
use std::io::Read as _;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::event::EventDetails;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// A JSON value.
    #[serde(rename = "json")]
    Json,
    /// The same, compressed with Zstandard.
    #[serde(rename = "zstd")]
    Zstd,
}

/// A body as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// As text.
    Json(String),
    /// As bytes.
    Zstd(Vec<u8>),
}

/// The most bytes of a stored body: with keys it stays below the store's 400 KB for an item, in the
/// table and in its indexes.
pub const MAX_STORED_BYTES: usize = 300 * 1024;

/// The most bytes that a body unpacks to; what claims more was not written here.
const MAX_UNPACKED_BYTES: u64 = 8 * 1024 * 1024;

/// Zstandard's own default: higher levels gain two percent on events, for twice the time.
const LEVEL: i32 = 3;

/// A body cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("a body cannot be read or written")]
pub struct BodyError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl Body {
    /// Writes a value: as JSON if that has at most `room` bytes, else compressed if that is less.
    ///
    /// # Errors
    /// [`BodyError`] if the compressor fails.
    pub fn write<T: Serialize + ?Sized>(value: &T, room: usize) -> Result<Self, BodyError> {
        let json = serde_json::to_string(value).map_err(|error| BodyError(error.into()))?;
        if json.len() <= room {
            return Ok(Self::Json(json));
        }
        let packed = zstd::bulk::compress(json.as_bytes(), LEVEL).map_err(|error| BodyError(error.into()))?;
        Ok(if packed.len() < json.len() { Self::Zstd(packed) } else { Self::Json(json) })
    }

    /// Reads the value.
    ///
    /// # Errors
    /// [`BodyError`] if the body was not written here.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, BodyError> {
        let value = match self {
            Self::Json(json) => serde_json::from_str(json),
            Self::Zstd(packed) => serde_json::from_slice(&unpacked(packed)?),
        };
        value.map_err(|error| BodyError(error.into()))
    }

    /// How the body is written.
    #[must_use]
    pub const fn encoding(&self) -> Encoding {
        match self {
            Self::Json(_) => Encoding::Json,
            Self::Zstd(_) => Encoding::Zstd,
        }
    }

    /// How many bytes it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Json(json) => json.len(),
            Self::Zstd(packed) => packed.len(),
        }
    }

    /// Whether it has no bytes, which a body that was written here never has.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

thread_local! {
    /// Making one takes longer than unpacking a commit.
    static UNPACKER: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

fn unpacked(packed: &[u8]) -> Result<Vec<u8>, BodyError> {
    let known = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten().filter(|bytes| *bytes <= MAX_UNPACKED_BYTES);
    if let Some(bytes) = known.and_then(|bytes| usize::try_from(bytes).ok()) {
        return UNPACKER.with_borrow_mut(|unpacker| {
            let unpacker = match unpacker {
                Some(unpacker) => unpacker,
                None => unpacker.insert(zstd::bulk::Decompressor::new().map_err(|error| BodyError(error.into()))?),
            };
            unpacker.decompress(packed, bytes).map_err(|error| BodyError(error.into()))
        });
    }
    let mut bytes = Vec::new();
    let mut reader = zstd::Decoder::new(packed).map_err(|error| BodyError(error.into()))?.take(MAX_UNPACKED_BYTES);
    reader.read_to_end(&mut bytes).map_err(|error| BodyError(error.into()))?;
    Ok(bytes)
}

/// Whether an event fits a commit of its own, compressed if need be.
#[must_use]
pub fn fits_alone(details: &EventDetails) -> bool {
    let Ok(json) = serde_json::to_vec(details) else { return false };
    // Room for the event's id and time, and for what does not compress.
    let limit = MAX_STORED_BYTES - 1024;
    json.len() <= limit || zstd::bulk::compress(&json, LEVEL).is_ok_and(|packed| packed.len() <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::commit::CommittedEvent;
    use crate::domain::timestamp::Timestamp;

    fn events() -> Vec<CommittedEvent> {
        serde_json::from_str(JSON_SAMPLE).unwrap()
    }

    /// Bodies as the first release wrote them. Never change these: streams hold them for good.
    const JSON_SAMPLE: &str = r#"[{"at":1763892672345678,"event":{"type":"order.placed","category":"order","user":"u1","data":{"total":99.90,"id":123456789012345678901234567890}}},{"id":"0190f3a1-7e1b-7c3d-8e4f-5a6b7c8d9e0f","at":1763892672345679,"event":{"type":"page.viewed","source":"frontend","category":"page_view","session":"s1","device":"d1","correlation":"c1","metadata":{"ip":"::1"},"context":{"a":1},"properties":{"b":2},"version":"2.0.0"}}]"#;
    const ZSTD_SAMPLE: &str = include_str!("body_zstd_sample.txt");

    #[test]
    fn every_encoding_that_was_ever_written_is_readable() {
        use base64::Engine as _;
        let packed = base64::engine::general_purpose::STANDARD.decode(ZSTD_SAMPLE.trim()).unwrap();
        let from_json: Vec<CommittedEvent> = Body::Json(JSON_SAMPLE.to_owned()).read().unwrap();
        assert_eq!(Body::Zstd(packed).read::<Vec<CommittedEvent>>().unwrap(), from_json);
        assert_eq!(serde_json::to_string(&from_json).unwrap(), JSON_SAMPLE);
        assert_eq!(from_json[1].details.user, None);
        assert_eq!(from_json[0].occurred_at, Timestamp::parse("2025-11-23T10:11:12.345678Z").unwrap());
    }

    #[test]
    fn a_body_is_json_while_there_is_room_and_compressed_beyond() {
        let events = events();
        let length = serde_json::to_string(&events).unwrap().len();
        for (room, encoding) in [(length, Encoding::Json), (length - 1, Encoding::Zstd)] {
            let body = Body::write(&events, room).unwrap();
            assert_eq!(body.encoding(), encoding);
            assert_eq!(body.read::<Vec<CommittedEvent>>().unwrap(), events);
        }
    }

    #[test]
    fn bytes_that_are_no_body_are_an_error() {
        for body in [Body::Json("{".to_owned()), Body::Json("{}".to_owned()), Body::Zstd(vec![1, 2, 3]), Body::Zstd(Vec::new())] {
            assert!(body.read::<Vec<CommittedEvent>>().is_err(), "{body:?}");
        }
    }
}
