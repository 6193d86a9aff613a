//! Many items by their keys.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures::future::try_join_all;

use super::DynamoEvents;
use super::failure::store_error;
use super::items::{Item, read_text, text};
use super::keys::{PK, SK};
use crate::ports::store_error::StoreError;

/// The most keys of one call.
const KEYS_A_CALL: usize = 100;
/// How often what was left out is asked for again.
const MOST_ROUNDS: usize = 20;

impl DynamoEvents {
    /// The items with these keys, each once, in no order. Those that do not exist are left out.
    pub(super) async fn batch_get(&self, mut keys: Vec<(String, String)>) -> Result<Vec<Item>, StoreError> {
        keys.sort_unstable();
        keys.dedup();
        let calls = keys.chunks(KEYS_A_CALL).map(|keys| self.batch_get_some(keys));
        Ok(try_join_all(calls).await?.into_iter().flatten().collect())
    }

    async fn batch_get_some(&self, keys: &[(String, String)]) -> Result<Vec<Item>, StoreError> {
        let key = |(pk, sk): &(String, String)| HashMap::from([(PK.to_owned(), text(pk)), (SK.to_owned(), text(sk))]);
        let mut open: Vec<HashMap<String, AttributeValue>> = keys.iter().map(key).collect();
        let mut items = Vec::with_capacity(open.len());
        for _ in 0..MOST_ROUNDS {
            let wanted =
                KeysAndAttributes::builder().set_keys(Some(open)).build().map_err(|error| StoreError::Corrupt(error.to_string()))?;
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

/// Items by their partition and sort keys.
pub(super) fn by_key(items: Vec<Item>) -> Result<HashMap<(String, String), Item>, StoreError> {
    items.into_iter().map(|item| Ok(((read_text(&item, PK)?.to_owned(), read_text(&item, SK)?.to_owned()), item))).collect()
}
