//! Where processors and subscriptions are kept.

use std::sync::Arc;

use async_trait::async_trait;

use super::revision::Revision;
use super::store_error::StoreError;
use crate::domain::definitions::Definitions;
use crate::domain::identifiers::SubscriptionId;
use crate::domain::processor::Processor;
use crate::domain::subscription::Subscription;

/// How new definitions have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// With every change that was answered before: for those who act on them.
    Current,
    /// A few seconds old at most: for those who only show something.
    Recent,
}

/// Keeps processors and subscriptions. All of them together have one revision, which changes with every save.
/// Held to `testing::definition_store`.
#[async_trait]
pub trait DefinitionStore: Send + Sync {
    /// All of them.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn definitions(&self, freshness: Freshness) -> Result<Arc<Definitions>, StoreError>;

    /// Saves a processor if the definitions still have the revision. Returns whether they had.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then it may or may not be saved.
    async fn save_processor(&self, processor: &Processor, seen: Revision) -> Result<bool, StoreError>;

    /// Saves a subscription if the definitions still have the revision. Returns whether they had.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then it may or may not be saved.
    async fn save_subscription(&self, subscription: &Subscription, seen: Revision) -> Result<bool, StoreError>;

    /// Removes a subscription if the definitions still have the revision. Returns whether they had.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then it may or may not be removed.
    async fn remove_subscription(&self, id: &SubscriptionId, seen: Revision) -> Result<bool, StoreError>;
}
