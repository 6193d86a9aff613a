//! Where commits and claims are kept.

use async_trait::async_trait;

use super::store_error::StoreError;
use crate::domain::claim::{Claim, ClaimKey, Fence, Slot};
use crate::domain::commit::Commit;
use crate::domain::event_id::EventId;
use crate::domain::identifiers::OrganizationId;
use crate::domain::message::{LedgerNote, LedgerPage};
use crate::domain::stream_id::StreamKey;
use crate::domain::version::Version;

/// Keeps commits and claims: each call is one atomic step of the append protocol, and every read
/// sees all writes that were answered before it. Held to `testing::commit_log`.
#[async_trait]
pub trait CommitLog: Send + Sync {
    /// The version of the stream: the end of its last commit, or [`Version::EMPTY`].
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn head(&self, stream: &StreamKey) -> Result<Version, StoreError>;

    /// The commit that starts at this slot.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn commit_at(&self, slot: &Slot) -> Result<Option<Commit>, StoreError>;

    /// The commit that holds this version of a stream, if the stream has come so far.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn commit_holding(&self, stream: &StreamKey, version: Version) -> Result<Option<Commit>, StoreError>;

    /// Whether an event that was given its id here has this one, in this organization.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn is_placed(&self, id: EventId, organization: Option<&OrganizationId>) -> Result<bool, StoreError>;

    /// Stores 1 to 100 commits, all or none: none if any of their slots is taken.
    ///
    /// The caller promises that each slot comes right after a commit, or another of these.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then the commits may or may not be stored.
    async fn put(&self, commits: &[Commit]) -> Result<Put, StoreError>;

    /// Stores commits as [`CommitLog::put`] does, together with what makes their events count once: notes of messages, and claims of
    /// ids that are this caller's alone, in place of whatever was claimed under them. All or none: none if a slot is taken, a message
    /// was noted before, or a page of the ledger is full.
    ///
    /// Commits, claims and pages are at most [`TogetherWith::MOST`] in all, and notes are no more than that. A message has one note.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then everything may or may not be stored. [`StoreError::Contended`] if others
    /// write the same at this very moment.
    async fn put_noting(&self, commits: &[Commit], together: &TogetherWith) -> Result<PutNoting, StoreError>;

    /// The claim of this key.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn claim(&self, key: &ClaimKey) -> Result<Option<Claim>, StoreError>;

    /// Stores a claim if there is none of this key, else returns the one that there is.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then the claim may or may not be stored.
    async fn put_claim(&self, key: &ClaimKey, claim: &Claim) -> Result<Option<Claim>, StoreError>;

    /// Replaces the claim of this key if it still has the fence `from`. Returns whether it had.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then the claim may or may not be moved.
    async fn move_claim(&self, key: &ClaimKey, from: Fence, claim: &Claim) -> Result<bool, StoreError>;
}

/// What is stored with commits, by [`CommitLog::put_noting`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TogetherWith {
    /// The messages that the commits' events were.
    pub notes: Vec<LedgerNote>,
    /// Where events are found by ids that do not say where they lie.
    pub claims: Vec<(ClaimKey, Claim)>,
}

impl TogetherWith {
    /// The most commits, claims and pages of one call, and the most notes.
    pub const MOST: usize = 100;
}

/// What came of [`CommitLog::put_noting`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutNoting {
    /// Everything is stored.
    Stored,
    /// Nothing was written: these commits, at least one, stand in the way.
    Taken(Vec<Commit>),
    /// Nothing was written: at least one of both stands in the way.
    Noted {
        /// Messages of the call that were noted before, with the events that they became.
        known: Vec<LedgerNote>,
        /// Pages that are full: they take no more, however few.
        full: Vec<LedgerPage>,
    },
}

/// What came of [`CommitLog::put`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// All commits are stored.
    Stored,
    /// Nothing was written: these commits, at least one, stand in the way.
    Taken(Vec<Commit>),
}
