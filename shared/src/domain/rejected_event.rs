//! Events that a collector could not read: kept for a while, with the reason, so that somebody can mend and send them again.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::collected_event::{Circumstances, Collector};
use super::event::BodyDigest;
use super::identifiers::OrganizationId;
use super::timestamp::Timestamp;

/// An event that was not recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedEvent {
    /// Its id.
    pub id: RejectedEventId,
    /// Which door it came through.
    pub collector: Collector,
    /// What kind of thing is wrong with it.
    pub reason: RejectionReason,
    /// What is wrong with it, in words.
    pub detail: String,
    /// What was sent, as far as it is kept: JSON, unless that is what is wrong.
    pub body: String,
    /// Whether more was sent than is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// How it was sent: what is sent again in its place is read as if it had come then.
    pub circumstances: Circumstances,
}

impl RejectedEvent {
    /// How long it is kept.
    pub const KEPT_FOR: Duration = Duration::from_hours(30 * 24);
    /// The most bytes of a body that are kept.
    pub const MOST_BYTES: usize = 64 * 1024;

    /// A rejected event, with as much of its body as is kept. `place` tells it from others of the same moment.
    #[must_use]
    pub fn new(rejection: Rejection, collector: Collector, body: &str, circumstances: Circumstances, place: u64) -> Self {
        let kept = &body[..body.floor_char_boundary(Self::MOST_BYTES)];
        Self {
            id: RejectedEventId::of(circumstances.received_at, place, body),
            collector,
            reason: rejection.reason,
            detail: rejection.detail,
            truncated: kept.len() < body.len(),
            body: kept.to_owned(),
            circumstances,
        }
    }

    /// The tenant whose it is.
    #[must_use]
    pub const fn organization(&self) -> Option<&OrganizationId> {
        self.circumstances.organization.as_ref()
    }

    /// Until when it is kept.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.circumstances.received_at.plus(Self::KEPT_FOR)
    }
}

/// Why an event is not recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// What kind of thing is wrong.
    pub reason: RejectionReason,
    /// What is wrong, in words.
    pub detail: String,
}

/// What kind of thing is wrong with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectionReason {
    /// It is not JSON that can be kept: malformed, nested too deeply, or with a key that stands twice in one object.
    InvalidJson,
    /// A field is missing, or is not what it must be.
    InvalidFields,
    /// It has too many bytes.
    TooLarge,
    /// It does not fit the schema of its type.
    Schema,
}

impl RejectionReason {
    /// Every reason.
    pub const ALL: &'static [Self] = &[Self::InvalidJson, Self::InvalidFields, Self::TooLarge, Self::Schema];

    /// The word for this value in JSON and in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidFields => "invalid_fields",
            Self::TooLarge => "too_large",
            Self::Schema => "schema",
        }
    }
}

/// Names a rejected event. Sorts by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RejectedEventId(pub String);

impl RejectedEventId {
    fn of(received_at: Timestamp, place: u64, body: &str) -> Self {
        let digest = BodyDigest::of(format!("{place} {body}").as_bytes()).0 >> 64;
        Self(format!("{}-{digest:016x}", received_at.sort_key()))
    }
}

impl fmt::Display for RejectedEventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
