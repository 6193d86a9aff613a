//! Where rejected events are kept.

use async_trait::async_trait;

use super::store_error::StoreError;
use crate::domain::identifiers::OrganizationId;
use crate::domain::rejected_event::{RejectedEvent, RejectedEventId};

/// Keeps rejected events for [`RejectedEvent::KEPT_FOR`]. Held to `testing::rejected_events`.
#[async_trait]
pub trait RejectedEvents: Send + Sync {
    /// Keeps events, in place of those that have their ids.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then some may be kept.
    async fn keep(&self, events: &[RejectedEvent]) -> Result<(), StoreError>;

    /// The event of this id.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn rejected_event(&self, id: &RejectedEventId) -> Result<Option<RejectedEvent>, StoreError>;

    /// A page of an organization's events, or of all if none is named, latest first: those after `after`, at most `most`, and after
    /// which one to go on if there may be more. A page may have fewer, or none, and yet not be the last.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn rejected_events(
        &self,
        organization: Option<&OrganizationId>,
        after: Option<&RejectedEventId>,
        most: usize,
    ) -> Result<(Vec<RejectedEvent>, Option<RejectedEventId>), StoreError>;

    /// Removes an event. One that is gone already is no error.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then it may or may not be removed.
    async fn remove_rejected_event(&self, id: &RejectedEventId) -> Result<(), StoreError>;
}
