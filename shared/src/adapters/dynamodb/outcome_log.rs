//! Outcomes on DynamoDB.

use async_trait::async_trait;

use super::DynamoEvents;
use super::failure::store_error;
use super::items;
use super::keys;
use crate::domain::event_id::EventId;
use crate::domain::outcome::Outcome;
use crate::ports::outcome_log::{ConcludedCommit, OutcomeLog};
use crate::ports::store_error::StoreError;

#[async_trait]
impl OutcomeLog for DynamoEvents {
    async fn outcome(&self, commit: EventId) -> Result<Option<Outcome>, StoreError> {
        let item = self.get(keys::outcome_pk(commit), keys::OUTCOME_SK.to_owned()).await?;
        item.as_ref().map(items::read_outcome).transpose()
    }

    async fn put_outcome(&self, of: &ConcludedCommit, outcome: &Outcome) -> Result<(), StoreError> {
        let item = items::write_outcome(of, outcome)?;
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await.map_err(store_error)?;
        Ok(())
    }
}
