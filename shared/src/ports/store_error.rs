//! How a store fails.

/// Why a store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store could not be reached, or refused for now. Trying again may help.
    #[error("the store is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Two writers got in each other's way; nothing was written.
    #[error("other writers were faster, again and again")]
    Contended,
    /// What is stored cannot be read.
    #[error("an item cannot be read: {0}")]
    Corrupt(String),
}
