//! Where API keys are kept.

use async_trait::async_trait;

use super::store_error::StoreError;
use crate::domain::access::{ApiKey, KeyDigest};

/// Keeps API keys, by the digest of their secret. Held to `testing::key_store`.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// The key whose secret has this digest.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn key(&self, digest: &KeyDigest) -> Result<Option<ApiKey>, StoreError>;

    /// All keys, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError>;

    /// Stores a key.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then the key may or may not be stored.
    async fn put_key(&self, key: &ApiKey) -> Result<(), StoreError>;

    /// Removes the key with this public name. Returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then the key may or may not be removed.
    async fn remove_key(&self, key_id: &str) -> Result<bool, StoreError>;
}
