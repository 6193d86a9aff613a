//! Where objects are kept: large, written once, cheap.

use std::ops::Range;

use async_trait::async_trait;

use crate::domain::archive::ObjectKey;

/// Keeps objects. What is put is there for every read that begins after the answer. Held to `testing::object_store`.
#[async_trait]
pub trait ObjectStore: Send + Sync + std::fmt::Debug {
    /// Stores an object, in place of the one that has its key.
    ///
    /// # Errors
    /// [`ObjectStoreError`] if the store does not answer: then the object may or may not be stored, but never in part.
    async fn put(&self, key: &ObjectKey, bytes: Vec<u8>) -> Result<(), ObjectStoreError>;

    /// The whole object, if there is one of this key.
    ///
    /// # Errors
    /// [`ObjectStoreError`] if the store does not answer.
    async fn get(&self, key: &ObjectKey) -> Result<Option<Vec<u8>>, ObjectStoreError>;

    /// The bytes of an object in a range, which lies in it and is not empty, if there is one of this key.
    ///
    /// # Errors
    /// [`ObjectStoreError`] if the store does not answer.
    async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Option<Vec<u8>>, ObjectStoreError>;
}

/// Why an object store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ObjectStoreError {
    /// It could not be reached, or refused for now. Trying again may help.
    #[error("the object store is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It refused, and will again.
    #[error("the object store answered {status}: {reason}")]
    Refused {
        /// The status of its answer.
        status: u16,
        /// The start of what it said.
        reason: String,
    },
}
