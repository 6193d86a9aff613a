//! Where deliveries, and how receivers answer, are kept.

use async_trait::async_trait;

use super::revision::Revision;
use super::store_error::StoreError;
use crate::domain::delivery::{Delivery, DeliveryId, DeliveryState, Lane};
use crate::domain::identifiers::SubscriptionId;
use crate::domain::subscription::Health;
use crate::domain::timestamp::Timestamp;
use crate::domain::work::StreamRef;

/// Keeps deliveries, the health of each subscription's receiver, and how far streams have been sent. What was saved by one
/// who had not seen the last save is refused. Held to `testing::delivery_log`.
#[async_trait]
pub trait DeliveryLog: Send + Sync {
    /// A delivery, and its revision.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn delivery(&self, subscription: &SubscriptionId, id: &DeliveryId) -> Result<(Option<Delivery>, Revision), StoreError>;

    /// Saves a delivery if it still has the revision. Returns whether it had. One that came to an end is kept for
    /// [`Delivery::KEPT_FOR`].
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then it may or may not be saved.
    async fn save_delivery(&self, delivery: &Delivery, seen: Revision) -> Result<bool, StoreError>;

    /// A page of a subscription's deliveries, those of the latest events first.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn deliveries(&self, request: &DeliveriesRequest) -> Result<DeliveryPage, StoreError>;

    /// Deliveries of any subscription that were due at `now`, the longest overdue first; at most `most`.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn due_deliveries(&self, now: Timestamp, most: usize) -> Result<Vec<(Delivery, Revision)>, StoreError>;

    /// How a subscription's receiver has answered lately, and the revision of that.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn health(&self, subscription: &SubscriptionId) -> Result<(Health, Revision), StoreError>;

    /// Saves the health if it still has the revision. Returns whether it had.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then it may or may not be saved.
    async fn save_health(&self, subscription: &SubscriptionId, health: &Health, seen: Revision) -> Result<bool, StoreError>;

    /// How far a stream has been sent to a subscription, and the revision of that.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn lane(&self, subscription: &SubscriptionId, stream: &StreamRef) -> Result<(Option<Lane>, Revision), StoreError>;

    /// Saves how far a stream has been sent if that still has the revision. Returns whether it had.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then it may or may not be saved.
    async fn save_lane(&self, subscription: &SubscriptionId, stream: &StreamRef, lane: &Lane, seen: Revision) -> Result<bool, StoreError>;

    /// Takes up to `wanted` of the `limit` deliveries that a subscription may get in the second that holds `now`. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then some may have been taken.
    async fn take_quota(&self, subscription: &SubscriptionId, now: Timestamp, wanted: u32, limit: u32) -> Result<u32, StoreError>;
}

/// Which deliveries are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveriesRequest {
    /// Of which subscription.
    pub subscription: SubscriptionId,
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// Only those of events recorded from this moment on.
    pub since: Option<Timestamp>,
    /// Only those that come after this one.
    pub after: Option<DeliveryId>,
    /// The most of them.
    pub limit: usize,
}

/// A page of deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryPage {
    /// The deliveries, those of the latest events first.
    pub deliveries: Vec<Delivery>,
    /// After which one to go on, if there may be more.
    pub next: Option<DeliveryId>,
}
