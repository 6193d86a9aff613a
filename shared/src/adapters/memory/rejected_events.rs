//! Rejected events in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::domain::identifiers::OrganizationId;
use crate::domain::rejected_event::{RejectedEvent, RejectedEventId};
use crate::ports::rejected_events::RejectedEvents;
use crate::ports::store_error::StoreError;

/// Rejected events in memory. None expires.
#[derive(Debug, Default)]
pub struct MemoryRejectedEvents(Mutex<BTreeMap<RejectedEventId, RejectedEvent>>);

impl MemoryRejectedEvents {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<RejectedEventId, RejectedEvent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl RejectedEvents for MemoryRejectedEvents {
    async fn keep(&self, events: &[RejectedEvent]) -> Result<(), StoreError> {
        self.kept().extend(events.iter().map(|event| (event.id.clone(), event.clone())));
        Ok(())
    }

    async fn rejected_event(&self, id: &RejectedEventId) -> Result<Option<RejectedEvent>, StoreError> {
        Ok(self.kept().get(id).cloned())
    }

    async fn rejected_events(
        &self,
        organization: Option<&OrganizationId>,
        after: Option<&RejectedEventId>,
        most: usize,
    ) -> Result<(Vec<RejectedEvent>, Option<RejectedEventId>), StoreError> {
        let kept = self.kept();
        let wanted = |event: &&RejectedEvent| {
            after.is_none_or(|after| event.id < *after) && (organization.is_none() || event.organization() == organization)
        };
        let mut found = kept.values().rev().filter(wanted);
        let page: Vec<RejectedEvent> = found.by_ref().take(most).cloned().collect();
        let next = found.next().and(page.last()).map(|last| last.id.clone());
        Ok((page, next))
    }

    async fn remove_rejected_event(&self, id: &RejectedEventId) -> Result<(), StoreError> {
        self.kept().remove(id);
        Ok(())
    }
}
