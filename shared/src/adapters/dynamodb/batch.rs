//! Many items by their keys.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::DynamoEvents;
use super::failure::store_error;
use super::items::{Item, text};
use super::keys::{self, AFTER_ALL, PK, SK};
use super::scan::{Consistency, table_key};
use crate::domain::commit::Commit;
use crate::domain::timestamp::Timestamp;
use crate::ports::store_error::StoreError;

/// The most keys of one call.
const KEYS_A_CALL: usize = 100;
/// How many calls are under way at a time.
const CALLS_AT_ONCE: usize = 8;
/// How often what was left out is asked for again.
const MOST_ROUNDS: usize = 20;

/// The keys, each once, as many together as one call takes.
fn distinct(mut keys: Vec<(String, String)>) -> Vec<Vec<(String, String)>> {
    let mut seen = HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    keys.chunks(KEYS_A_CALL).map(<[_]>::to_vec).collect()
}

impl DynamoEvents {
    /// The items with these keys, each once, in no order. Those that do not exist are left out.
    pub(super) async fn batch_get(&self, keys: Vec<(String, String)>) -> Result<Vec<Item>, StoreError> {
        let calls = distinct(keys).into_iter().map(|keys| self.batch_get_some(keys, Consistency::Eventual));
        let calls: Vec<_> = calls.collect();
        let found: Vec<Vec<Item>> = stream::iter(calls).buffered(CALLS_AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Hands over the commits with these keys, each once, those of earlier keys first, until `each` returns false. Those that do not
    /// exist are left out.
    pub(super) async fn batch_get_commits(
        &self,
        keys: Vec<(String, String)>,
        mut each: impl FnMut(Vec<Commit>) -> bool,
    ) -> Result<(), StoreError> {
        let calls = distinct(keys).into_iter().map(async |keys| {
            let found = self.batch_get_some(keys, Consistency::Eventual).await?;
            self.commits(found).await
        });
        let calls: Vec<_> = calls.collect();
        let mut calls = stream::iter(calls).buffered(CALLS_AT_ONCE);
        while let Some(found) = calls.try_next().await? {
            if !each(found) {
                break;
            }
        }
        Ok(())
    }

    /// The items with these keys as the last write left them, in no order. Those that do not exist are left out.
    pub(super) async fn batch_get_current(&self, keys: Vec<(String, String)>) -> Result<Vec<Item>, StoreError> {
        let calls: Vec<_> = keys.chunks(KEYS_A_CALL).map(|keys| self.batch_get_some(keys.to_vec(), Consistency::Strong)).collect();
        let found: Vec<Vec<Item>> = stream::iter(calls).buffered(CALLS_AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Items that are due at this moment by their index key `who`, those due first, so many at most: as the last write left them. The
    /// index holds keys only, and may be behind, so they may not be due any more.
    pub(super) async fn due_items(&self, who: &str, now: Timestamp, most: usize) -> Result<Vec<Item>, StoreError> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(keys::WHO_INDEX)
            .key_condition_expression("#who = :who AND #order <= :now")
            .expression_attribute_names("#who", keys::WHO)
            .expression_attribute_names("#order", keys::ORDER)
            .expression_attribute_values(":who", text(who))
            .expression_attribute_values(":now", text(format!("{}#{AFTER_ALL}", now.sort_key())))
            .limit(i32::try_from(most).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(store_error)?;
        self.batch_get_current(page.items().iter().map(table_key).collect::<Result<Vec<_>, _>>()?).await
    }

    async fn batch_get_some(&self, keys: Vec<(String, String)>, consistency: Consistency) -> Result<Vec<Item>, StoreError> {
        let key = |(pk, sk): &(String, String)| HashMap::from([(PK.to_owned(), text(pk)), (SK.to_owned(), text(sk))]);
        let mut open: Vec<HashMap<String, AttributeValue>> = keys.iter().map(key).collect();
        let mut items = Vec::with_capacity(open.len());
        for _ in 0..MOST_ROUNDS {
            let wanted = KeysAndAttributes::builder().set_keys(Some(open)).consistent_read(consistency == Consistency::Strong);
            let wanted = wanted.build().map_err(|error| StoreError::Corrupt(error.to_string()))?;
            let answer = self.client.batch_get_item().request_items(&self.table, wanted).send().await.map_err(store_error)?;
            items.extend(answer.responses.into_iter().flatten().flat_map(|(_, items)| items));
            open = answer.unprocessed_keys.into_iter().flatten().flat_map(|(_, keys)| keys.keys).collect();
            if open.is_empty() {
                return Ok(items);
            }
        }
        Err(StoreError::Contended)
    }
}
