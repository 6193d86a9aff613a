//! API keys on DynamoDB.

use async_trait::async_trait;

use super::DynamoEvents;
use super::failure::store_error;
use super::items::{self, text};
use super::keys::{API_KEY_PREFIX, CONFIG_PK, PK, SK};
use crate::domain::access::{ApiKey, KeyDigest};
use crate::ports::key_store::KeyStore;
use crate::ports::store_error::StoreError;

#[async_trait]
impl KeyStore for DynamoEvents {
    async fn key(&self, digest: &KeyDigest) -> Result<Option<ApiKey>, StoreError> {
        let item = self.get(CONFIG_PK.to_owned(), format!("{API_KEY_PREFIX}{}", digest.as_str())).await?;
        item.as_ref().map(items::read_api_key).transpose()
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let items = self.prefixed(CONFIG_PK, API_KEY_PREFIX).await?;
        let mut keys = items.iter().map(items::read_api_key).collect::<Result<Vec<ApiKey>, _>>()?;
        keys.sort_by(|one, other| (one.created_at, &one.digest).cmp(&(other.created_at, &other.digest)));
        Ok(keys)
    }

    async fn put_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.client.put_item().table_name(&self.table).set_item(Some(items::write_api_key(key)?)).send().await.map_err(store_error)?;
        Ok(())
    }

    async fn remove_key(&self, key_id: &str) -> Result<bool, StoreError> {
        let mut removed = false;
        for item in self.prefixed(CONFIG_PK, &format!("{API_KEY_PREFIX}{key_id}")).await? {
            let sk = items::read_text(&item, SK)?;
            self.client
                .delete_item()
                .table_name(&self.table)
                .key(PK, text(CONFIG_PK))
                .key(SK, text(sk))
                .send()
                .await
                .map_err(store_error)?;
            removed = true;
        }
        Ok(removed)
    }
}
