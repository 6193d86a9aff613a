//! How the bridge was when somebody looked last: only the bridge itself can reach the broker.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::store_error::StoreError;
use crate::domain::timestamp::Timestamp;

/// Keeps how the bridge is. Held to `testing::bridge_status`.
#[async_trait]
pub trait BridgeStatusStore: Send + Sync {
    /// Keeps what was found, in place of what was before.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    async fn save_bridge_status(&self, status: &BridgeStatus) -> Result<(), StoreError>;

    /// What was found last, if anybody has looked.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    async fn bridge_status(&self) -> Result<Option<BridgeStatus>, StoreError>;
}

/// Whether the broker can be reached, as far as is known at this moment. A store that does not answer knows nothing of it.
pub async fn is_connected(bridge: &dyn BridgeStatusStore, now: Timestamp) -> bool {
    match bridge.bridge_status().await {
        Ok(status) => status.is_some_and(|status| status.is_connected_at(now)),
        Err(error) => {
            tracing::warn!(%error, "nobody knows how the bridge is");
            false
        }
    }
}

/// How the bridge was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeStatus {
    /// When that was.
    pub checked_at: Timestamp,
    /// Whether the broker could be reached.
    pub connected: bool,
}

impl BridgeStatus {
    /// For how long what was found holds: the bridge looks every minute.
    pub const HOLDS_SECONDS: i64 = 180;

    /// Whether the broker can be reached, as far as is known at this moment.
    #[must_use]
    pub const fn is_connected_at(&self, now: Timestamp) -> bool {
        self.connected && now.micros() - self.checked_at.micros() <= Self::HOLDS_SECONDS * 1_000_000
    }
}
