//! Waiting.

use async_trait::async_trait;

use crate::domain::timestamp::Timestamp;

/// Waits.
#[async_trait]
pub trait Timer: Send + Sync {
    /// Returns once this moment has passed.
    async fn wait_until(&self, moment: Timestamp);
}
