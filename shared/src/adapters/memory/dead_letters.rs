//! Dead letters in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::domain::dead_letter::{DeadLetter, DeadLetterFilter, DeadLetterId};
use crate::ports::dead_letters::DeadLetters;
use crate::ports::store_error::StoreError;

/// Dead letters in memory.
#[derive(Debug, Default)]
pub struct MemoryDeadLetters(Mutex<BTreeMap<DeadLetterId, DeadLetter>>);

impl MemoryDeadLetters {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<DeadLetterId, DeadLetter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl DeadLetters for MemoryDeadLetters {
    async fn park(&self, letter: &DeadLetter) -> Result<(), StoreError> {
        self.kept().entry(letter.id.clone()).or_insert_with(|| letter.clone());
        Ok(())
    }

    async fn letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<&DeadLetterId>,
        most: usize,
    ) -> Result<(Vec<DeadLetter>, Option<DeadLetterId>), StoreError> {
        let kept = self.kept();
        let wanted = |letter: &&DeadLetter| after.is_none_or(|after| letter.id < *after) && filter.matches(letter);
        let mut found = kept.values().rev().filter(wanted);
        let page: Vec<DeadLetter> = found.by_ref().take(most).cloned().collect();
        let next = found.next().and(page.last()).map(|last| last.id.clone());
        Ok((page, next))
    }

    async fn remove_letter(&self, id: &DeadLetterId) -> Result<(), StoreError> {
        self.kept().remove(id);
        Ok(())
    }
}
