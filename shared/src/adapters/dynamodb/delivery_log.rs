//! Deliveries, and how receivers answer, on DynamoDB: one partition for each subscription.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::DynamoEvents;
use super::failure::store_error;
use super::items::deliveries::{read_json, write_delivery, write_json};
use super::items::{self, number, text};
use super::keys::{self, AFTER_ALL, EXPIRES, PK, SK};
use super::revised::{Wanted, revision};
use crate::domain::delivery::{Delivery, DeliveryId, Lane};
use crate::domain::identifiers::SubscriptionId;
use crate::domain::subscription::Health;
use crate::domain::timestamp::Timestamp;
use crate::domain::work::StreamRef;
use crate::ports::delivery_log::{DeliveriesRequest, DeliveryLog, DeliveryPage};
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;

/// How many deliveries were taken in a second.
const TAKEN: &str = "n";
/// For how long it is kept how many were taken.
const QUOTA_KEPT_FOR: Duration = Duration::from_hours(1);
/// How often some are asked for while others take them.
const MOST_TRIES: usize = 10;

#[async_trait]
impl DeliveryLog for DynamoEvents {
    async fn delivery(&self, subscription: &SubscriptionId, id: &DeliveryId) -> Result<(Option<Delivery>, Revision), StoreError> {
        self.revised(keys::delivery_pk(subscription), keys::delivery_sk(id)).await
    }

    async fn save_delivery(&self, delivery: &Delivery, seen: Revision) -> Result<bool, StoreError> {
        self.put_over(write_delivery(delivery)?, seen).await
    }

    async fn deliveries(&self, request: &DeliveriesRequest) -> Result<DeliveryPage, StoreError> {
        let low = format!("{}{}", keys::DELIVERY_PREFIX, request.since.map(DeliveryId::first_at).unwrap_or_default());
        let below = match &request.after {
            Some(after) => keys::delivery_sk(after),
            None => format!("{}{AFTER_ALL}", keys::DELIVERY_PREFIX),
        };
        // A range must not end before it starts.
        if below <= low {
            return Ok(DeliveryPage { deliveries: Vec::new(), next: None });
        }
        let wanted = if request.state.is_some() { Wanted::Some } else { Wanted::All };
        let pk = keys::delivery_pk(&request.subscription);
        let fits = |delivery: &Delivery| request.state.is_none_or(|state| delivery.state == state);
        let read = |item: &items::Item| Ok(Some(read_json::<Delivery>(item)?).filter(fits));
        let (deliveries, next) = self.page_back(&pk, (&low, &below), request.limit, wanted, read).await?;
        let next = next.map(|sk| keys::read_delivery_sk(&sk).ok_or_else(|| StoreError::Corrupt(format!("{SK} of {pk} {sk}"))));
        Ok(DeliveryPage { deliveries, next: next.transpose()? })
    }

    async fn due_deliveries(&self, now: Timestamp, most: usize) -> Result<Vec<(Delivery, Revision)>, StoreError> {
        let items = self.due_items(keys::DUE_WHO, now, most).await?;
        let mut due =
            items.iter().map(|item| Ok((read_json(item)?, revision(item)?))).collect::<Result<Vec<(Delivery, _)>, StoreError>>()?;
        due.retain(|(delivery, _)| delivery.due_at.is_some_and(|due_at| due_at <= now));
        due.sort_by(|(one, _), (other, _)| (one.due_at, &one.id).cmp(&(other.due_at, &other.id)));
        Ok(due)
    }

    async fn health(&self, subscription: &SubscriptionId) -> Result<(Health, Revision), StoreError> {
        let (health, revision) = self.revised(keys::delivery_pk(subscription), keys::HEALTH_SK.to_owned()).await?;
        Ok((health.unwrap_or_default(), revision))
    }

    async fn save_health(&self, subscription: &SubscriptionId, health: &Health, seen: Revision) -> Result<bool, StoreError> {
        self.put_over(write_json(keys::delivery_pk(subscription), keys::HEALTH_SK.to_owned(), health)?, seen).await
    }

    async fn lane(&self, subscription: &SubscriptionId, stream: &StreamRef) -> Result<(Option<Lane>, Revision), StoreError> {
        self.revised(keys::delivery_pk(subscription), keys::lane_sk(stream)).await
    }

    async fn save_lane(&self, subscription: &SubscriptionId, stream: &StreamRef, lane: &Lane, seen: Revision) -> Result<bool, StoreError> {
        self.put_over(write_json(keys::delivery_pk(subscription), keys::lane_sk(stream), lane)?, seen).await
    }

    async fn take_quota(&self, subscription: &SubscriptionId, now: Timestamp, wanted: u32, limit: u32) -> Result<u32, StoreError> {
        let mut granted = wanted.min(limit);
        for _ in 0..MOST_TRIES {
            if granted == 0 {
                break;
            }
            match self.take(subscription, now, granted, limit).await? {
                None => return Ok(granted),
                Some(taken) => granted = wanted.min(limit.saturating_sub(taken)),
            }
        }
        // There is none left, or so many ask that there soon will be none.
        Ok(0)
    }
}

impl DynamoEvents {
    async fn revised<T: serde::de::DeserializeOwned>(&self, pk: String, sk: String) -> Result<(Option<T>, Revision), StoreError> {
        let Some(item) = self.get(pk, sk).await? else { return Ok((None, Revision::default())) };
        Ok((Some(read_json(&item)?), revision(&item)?))
    }

    /// Takes so many of a second's deliveries, or says how many were taken if that leaves too few.
    async fn take(&self, subscription: &SubscriptionId, now: Timestamp, count: u32, limit: u32) -> Result<Option<u32>, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(PK, text(keys::delivery_pk(subscription)))
            .key(SK, text(keys::quota_sk(now)))
            .update_expression("SET #expires = :expires ADD #taken :count")
            .condition_expression("attribute_not_exists(#taken) OR #taken <= :most")
            .expression_attribute_names("#expires", EXPIRES)
            .expression_attribute_names("#taken", TAKEN)
            .expression_attribute_values(":expires", number(now.plus(QUOTA_KEPT_FOR).second()))
            .expression_attribute_values(":count", number(count))
            .expression_attribute_values(":most", number(limit.saturating_sub(count)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = update else { return Ok(None) };
        if let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() {
            let standing = failed.item().ok_or(StoreError::Contended)?;
            return items::read_number(standing, TAKEN).map(Some);
        }
        Err(store_error(error))
    }
}
