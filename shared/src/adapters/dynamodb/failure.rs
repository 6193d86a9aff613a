//! What the SDK's errors mean to the ports.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::ports::store_error::StoreError;

/// The port's error for an SDK error: another writer in the way, or a store that is not available.
pub(super) fn store_error<E, R>(error: SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match error.code() {
        Some("TransactionConflictException" | "TransactionInProgressException") => StoreError::Contended,
        Some(_) | None => StoreError::Unavailable(Box::new(error)),
    }
}
