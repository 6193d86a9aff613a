//! Replays in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::stores::{load, save};
use crate::domain::identifiers::{OrganizationId, ReplayId};
use crate::domain::replay::Replay;
use crate::domain::timestamp::Timestamp;
use crate::ports::replay_store::ReplayStore;
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;

type Kept = BTreeMap<ReplayId, (Option<Replay>, Revision)>;

/// Replays in memory.
#[derive(Debug, Default)]
pub struct MemoryReplays(Mutex<Kept>);

impl MemoryReplays {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ReplayStore for MemoryReplays {
    async fn replay(&self, id: &ReplayId) -> Result<(Option<Replay>, Revision), StoreError> {
        Ok(load(&self.0, id))
    }

    async fn save_replay(&self, replay: &Replay, seen: Revision) -> Result<bool, StoreError> {
        Ok(save(&self.0, &replay.id, &Some(replay.clone()), seen))
    }

    async fn replays(
        &self,
        organization: Option<&OrganizationId>,
        after: Option<&ReplayId>,
        most: usize,
    ) -> Result<(Vec<Replay>, Option<ReplayId>), StoreError> {
        let kept = self.kept();
        let wanted = |replay: &&Replay| {
            after.is_none_or(|after| replay.id < *after) && (organization.is_none() || replay.organization.as_ref() == organization)
        };
        let mut found = kept.values().rev().filter_map(|(replay, _)| replay.as_ref()).filter(wanted);
        let page: Vec<Replay> = found.by_ref().take(most).cloned().collect();
        let next = found.next().and(page.last()).map(|last| last.id.clone());
        Ok((page, next))
    }

    async fn due_replays(&self, now: Timestamp, most: usize) -> Result<Vec<(Replay, Revision)>, StoreError> {
        let kept = self.kept();
        let is_due = |replay: &&Replay| replay.due_at.is_some_and(|due_at| due_at <= now);
        let all = kept.values().filter_map(|(replay, revision)| Some((replay.as_ref().filter(is_due)?.clone(), *revision)));
        let mut due: Vec<(Replay, Revision)> = all.collect();
        due.sort_by(|(one, _), (other, _)| (one.due_at, &one.id).cmp(&(other.due_at, &other.id)));
        due.truncate(most);
        Ok(due)
    }
}
