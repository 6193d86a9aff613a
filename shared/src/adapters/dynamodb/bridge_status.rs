//! How the bridge is, on DynamoDB: one item.

use async_trait::async_trait;

use super::DynamoEvents;
use super::failure::store_error;
use super::items::{self, Item, text};
use super::keys::{BRIDGE_STATUS, PK, SK};
use crate::ports::bridge_status::{BridgeStatus, BridgeStatusStore};
use crate::ports::store_error::StoreError;

/// The status as JSON.
const STATUS: &str = "st";

#[async_trait]
impl BridgeStatusStore for DynamoEvents {
    async fn save_bridge_status(&self, status: &BridgeStatus) -> Result<(), StoreError> {
        let json = serde_json::to_string(status).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let item: Item =
            [(PK, BRIDGE_STATUS), (SK, BRIDGE_STATUS), (STATUS, &json)].map(|(name, value)| (name.to_owned(), text(value))).into();
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await.map_err(store_error)?;
        Ok(())
    }

    async fn bridge_status(&self) -> Result<Option<BridgeStatus>, StoreError> {
        let Some(item) = self.get(BRIDGE_STATUS.to_owned(), BRIDGE_STATUS.to_owned()).await? else { return Ok(None) };
        serde_json::from_str(items::read_text(&item, STATUS)?).map(Some).map_err(|error| StoreError::Corrupt(error.to_string()))
    }
}
