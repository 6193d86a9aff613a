//! Deliveries, and how receivers answer, in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::stores::{load, save};
use crate::domain::delivery::{Delivery, DeliveryId, Lane};
use crate::domain::identifiers::SubscriptionId;
use crate::domain::subscription::Health;
use crate::domain::timestamp::Timestamp;
use crate::domain::work::StreamRef;
use crate::ports::delivery_log::{DeliveriesRequest, DeliveryLog, DeliveryPage};
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;

/// Values, each with its revision.
type Revised<K, V> = Mutex<BTreeMap<K, (V, Revision)>>;

/// Deliveries in memory.
#[derive(Debug, Default)]
pub struct MemoryDeliveries {
    deliveries: Revised<(SubscriptionId, DeliveryId), Option<Delivery>>,
    health: Revised<SubscriptionId, Health>,
    lanes: Revised<(SubscriptionId, StreamRef), Option<Lane>>,
    /// How many deliveries were taken, by subscription and second.
    quotas: Mutex<BTreeMap<(SubscriptionId, i64), u32>>,
}

impl MemoryDeliveries {
    /// The deliveries that fit, by subscription and id, each with its revision.
    fn select(&self, fits: impl Fn(&Delivery) -> bool) -> Vec<(Delivery, Revision)> {
        let deliveries = self.deliveries.lock().unwrap_or_else(PoisonError::into_inner);
        let found = deliveries.values().filter_map(|(delivery, revision)| Some((delivery.clone()?, *revision)));
        found.filter(|(delivery, _)| fits(delivery)).collect()
    }
}

#[async_trait]
impl DeliveryLog for MemoryDeliveries {
    async fn delivery(&self, subscription: &SubscriptionId, id: &DeliveryId) -> Result<(Option<Delivery>, Revision), StoreError> {
        Ok(load(&self.deliveries, &(subscription.clone(), id.clone())))
    }

    async fn save_delivery(&self, delivery: &Delivery, seen: Revision) -> Result<bool, StoreError> {
        Ok(save(&self.deliveries, &(delivery.subscription.clone(), delivery.id.clone()), &Some(delivery.clone()), seen))
    }

    async fn deliveries(&self, request: &DeliveriesRequest) -> Result<DeliveryPage, StoreError> {
        let first = request.since.map(DeliveryId::first_at);
        let mut found = self.select(|delivery| {
            delivery.subscription == request.subscription
                && request.state.is_none_or(|state| delivery.state == state)
                && first.as_ref().is_none_or(|first| delivery.id.as_str() >= first.as_str())
                && request.after.as_ref().is_none_or(|after| delivery.id < *after)
        });
        found.reverse();
        let more = found.len() > request.limit;
        let deliveries: Vec<Delivery> = found.into_iter().take(request.limit).map(|(delivery, _)| delivery).collect();
        let next = deliveries.last().filter(|_| more).map(|last| last.id.clone());
        Ok(DeliveryPage { deliveries, next })
    }

    async fn due_deliveries(&self, now: Timestamp, most: usize) -> Result<Vec<(Delivery, Revision)>, StoreError> {
        let mut due = self.select(|delivery| delivery.due_at.is_some_and(|due_at| due_at <= now));
        due.sort_by(|(one, _), (other, _)| (one.due_at, &one.id).cmp(&(other.due_at, &other.id)));
        due.truncate(most);
        Ok(due)
    }

    async fn health(&self, subscription: &SubscriptionId) -> Result<(Health, Revision), StoreError> {
        Ok(load(&self.health, subscription))
    }

    async fn save_health(&self, subscription: &SubscriptionId, health: &Health, seen: Revision) -> Result<bool, StoreError> {
        Ok(save(&self.health, subscription, health, seen))
    }

    async fn lane(&self, subscription: &SubscriptionId, stream: &StreamRef) -> Result<(Option<Lane>, Revision), StoreError> {
        Ok(load(&self.lanes, &(subscription.clone(), stream.clone())))
    }

    async fn save_lane(&self, subscription: &SubscriptionId, stream: &StreamRef, lane: &Lane, seen: Revision) -> Result<bool, StoreError> {
        Ok(save(&self.lanes, &(subscription.clone(), stream.clone()), &Some(*lane), seen))
    }

    async fn take_quota(&self, subscription: &SubscriptionId, now: Timestamp, wanted: u32, limit: u32) -> Result<u32, StoreError> {
        let mut quotas = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = quotas.entry((subscription.clone(), now.second())).or_default();
        let granted = wanted.min(limit.saturating_sub(*taken));
        *taken += granted;
        Ok(granted)
    }
}
