//! Counters on DynamoDB.

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::put_item::PutItemError;

use super::DynamoEvents;
use super::failure::store_error;
use super::items::{self, Item, number};
use super::keys;
use crate::domain::counters::{CounterKey, CounterScope, Period, ProcessorTallies, Tally, UserRanking};
use crate::ports::counter_store::CounterStore;
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;

#[async_trait]
impl CounterStore for DynamoEvents {
    async fn tally(&self, key: &CounterKey) -> Result<(Tally, Revision), StoreError> {
        let (pk, sk) = keys::counter_key(key);
        let Some(item) = self.get(pk, sk).await? else { return Ok((Tally::default(), Revision::default())) };
        Ok((items::read_tally(&item)?, Revision(items::read_number(&item, items::REVISION)?)))
    }

    async fn save_tally(&self, key: &CounterKey, tally: &Tally, revision: Revision) -> Result<bool, StoreError> {
        self.save(items::write_tally(key, tally, revision.0 + 1), revision).await
    }

    async fn ranking(&self, scope: &CounterScope) -> Result<(UserRanking, Revision), StoreError> {
        let (pk, sk) = (keys::counter_pk(scope), keys::counter_sk(Period::Users));
        let Some(item) = self.get(pk, sk).await? else { return Ok((UserRanking::default(), Revision::default())) };
        Ok((items::read_ranking(&item)?, Revision(items::read_number(&item, items::REVISION)?)))
    }

    async fn save_ranking(&self, scope: &CounterScope, ranking: &UserRanking, revision: Revision) -> Result<bool, StoreError> {
        self.save(items::write_ranking(scope, ranking, revision.0 + 1), revision).await
    }

    async fn processor_tallies(&self) -> Result<(ProcessorTallies, Revision), StoreError> {
        let (pk, sk) = (keys::counter_pk(&CounterScope::All), keys::counter_sk(Period::Processors));
        let Some(item) = self.get(pk, sk).await? else { return Ok((ProcessorTallies::default(), Revision::default())) };
        Ok((items::read_processor_tallies(&item)?, Revision(items::read_number(&item, items::REVISION)?)))
    }

    async fn save_processor_tallies(&self, tallies: &ProcessorTallies, revision: Revision) -> Result<bool, StoreError> {
        self.save(items::write_processor_tallies(tallies, revision.0 + 1)?, revision).await
    }
}

impl DynamoEvents {
    /// Puts an item if the one that stands has this revision. A put that the client sends twice
    /// fails the second time; its caller then reads what the first left and finds it counted.
    async fn save(&self, item: Item, revision: Revision) -> Result<bool, StoreError> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = if revision == Revision::default() {
            put.condition_expression("attribute_not_exists(pk)")
        } else {
            put.condition_expression("rev = :rev").expression_attribute_values(":rev", number(revision.0))
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.as_service_error(), Some(PutItemError::ConditionalCheckFailedException(_))) => Ok(false),
            Err(error) => Err(store_error(error)),
        }
    }
}
