//! Claims: what makes a client's own event id, or its `Idempotency-Key`, count once.

use super::commit::RequestToken;
use super::event::BodyDigest;
use super::event_id::EventId;
use super::identifiers::{IdempotencyKey, OrganizationId};
use super::stream_id::StreamKey;
use super::timestamp::Timestamp;
use super::version::Version;

/// What a claim is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClaimKey {
    /// Whose id or key it is: organizations do not see each other's.
    pub organization: Option<OrganizationId>,
    /// The id or key.
    pub subject: ClaimSubject,
}

/// The two things that a client can bring to make a request repeatable.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClaimSubject {
    /// An event's id.
    Event(EventId),
    /// The `Idempotency-Key` of a whole request.
    Request(IdempotencyKey),
}

impl ClaimKey {
    /// What commits that are written under the claim carry.
    #[must_use]
    pub fn token(&self) -> RequestToken {
        let digest = BodyDigest::of(format!("{self:?}").as_bytes()).0;
        RequestToken(u64::try_from(digest >> 64).unwrap_or_default())
    }
}

/// Where what is claimed went, or is about to go.
///
/// A claim points at the slot right after a commit that was seen, so the slot is either taken or the
/// next one to be taken. It is moved only once the slot is taken by something else, and only by who
/// knows its fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Changes with each move.
    pub fence: Fence,
    /// What the client sent.
    pub digest: BodyDigest,
    /// When the first attempt came; later attempts record this moment, too.
    pub recorded_at: Timestamp,
    /// Names the streams of events that belong to no entity.
    pub seed: u64,
    /// For each stream of the request, where its events start. None for a claim that only guards the
    /// body of a request whose events have ids of their own.
    pub slots: Vec<Slot>,
}

/// A place for a commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slot {
    /// The stream.
    pub stream: StreamKey,
    /// The version that the commit starts at.
    pub first: Version,
}

/// A random number that is new with each move of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence(pub u64);
