//! Where dead letters are kept.

use async_trait::async_trait;

use super::store_error::StoreError;
use crate::domain::dead_letter::{DeadLetter, DeadLetterFilter, DeadLetterId};

/// Keeps dead letters until somebody sends them again or removes them. Held to `testing::dead_letters`.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Keeps a letter. The same one again changes nothing.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then it may or may not be kept.
    async fn park(&self, letter: &DeadLetter) -> Result<(), StoreError>;

    /// A page of the letters that match, latest first: those after `after`, at most `most`, and after which one to go on if
    /// there may be more. A page may have fewer, or none, and yet not be the last.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<&DeadLetterId>,
        most: usize,
    ) -> Result<(Vec<DeadLetter>, Option<DeadLetterId>), StoreError>;

    /// Removes a letter. One that is gone already is no error.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then it may or may not be removed.
    async fn remove_letter(&self, id: &DeadLetterId) -> Result<(), StoreError>;
}
