//! Rejected events on DynamoDB: one partition, in the order of time.

use async_trait::async_trait;
use futures::future::try_join_all;

use super::DynamoEvents;
use super::failure::store_error;
use super::items::deliveries::{read_rejected, write_rejected};
use super::items::{Item, text};
use super::keys::{self, AFTER_ALL, PK, REJECTED_PK, SK};
use super::revised::Wanted;
use crate::domain::identifiers::OrganizationId;
use crate::domain::rejected_event::{RejectedEvent, RejectedEventId};
use crate::ports::rejected_events::RejectedEvents;
use crate::ports::store_error::StoreError;

/// What every id sorts after.
const FIRST: &str = " ";

#[async_trait]
impl RejectedEvents for DynamoEvents {
    async fn keep(&self, events: &[RejectedEvent]) -> Result<(), StoreError> {
        try_join_all(events.iter().map(async |event| {
            let put = self.client.put_item().table_name(&self.table).set_item(Some(write_rejected(event)?));
            put.send().await.map_err(store_error)
        }))
        .await?;
        Ok(())
    }

    async fn rejected_event(&self, id: &RejectedEventId) -> Result<Option<RejectedEvent>, StoreError> {
        if !is_key(id) {
            return Ok(None);
        }
        self.get(REJECTED_PK.to_owned(), id.to_string()).await?.as_ref().map(read_rejected).transpose()
    }

    async fn rejected_events(
        &self,
        organization: Option<&OrganizationId>,
        after: Option<&RejectedEventId>,
        most: usize,
    ) -> Result<(Vec<RejectedEvent>, Option<RejectedEventId>), StoreError> {
        if after.is_some_and(|id| !is_key(id)) {
            return Ok((Vec::new(), None));
        }
        let wanted = if organization.is_none() { Wanted::All } else { Wanted::Some };
        let below = after.map_or(AFTER_ALL.to_string(), RejectedEventId::to_string);
        let matches = |event: &RejectedEvent| organization.is_none() || event.organization() == organization;
        let read = |item: &Item| Ok(Some(read_rejected(item)?).filter(matches));
        let (events, next) = self.page_back(REJECTED_PK, (FIRST, &below), most, wanted, read).await?;
        Ok((events, next.map(RejectedEventId)))
    }

    async fn remove_rejected_event(&self, id: &RejectedEventId) -> Result<(), StoreError> {
        if !is_key(id) {
            return Ok(());
        }
        let delete = self.client.delete_item().table_name(&self.table).key(PK, text(REJECTED_PK)).key(SK, text(id.to_string()));
        delete.send().await.map_err(store_error)?;
        Ok(())
    }
}

/// Whether there can be an event of this id: a client may ask for any.
fn is_key(id: &RejectedEventId) -> bool {
    id.0.len() <= keys::MAX_SORT_KEY && id.0.as_str() > FIRST
}
