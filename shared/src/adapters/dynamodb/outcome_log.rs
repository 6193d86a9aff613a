//! Outcomes on DynamoDB.

use async_trait::async_trait;

use super::DynamoEvents;
use super::items;
use super::keys;
use super::revised::revision;
use crate::domain::event_id::EventId;
use crate::domain::outcome::Outcome;
use crate::ports::outcome_log::{ConcludedCommit, OutcomeLog};
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;

#[async_trait]
impl OutcomeLog for DynamoEvents {
    async fn outcome(&self, commit: EventId) -> Result<(Option<Outcome>, Revision), StoreError> {
        let Some(item) = self.get(keys::outcome_pk(commit), keys::OUTCOME_SK.to_owned()).await? else {
            return Ok((None, Revision::default()));
        };
        Ok((Some(items::read_outcome(&item)?), revision(&item)?))
    }

    async fn save_outcome(&self, of: &ConcludedCommit, outcome: &Outcome, seen: Revision) -> Result<bool, StoreError> {
        self.put_over(items::write_outcome(of, outcome)?, seen).await
    }
}
