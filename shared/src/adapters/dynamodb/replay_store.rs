//! Replays on DynamoDB: one partition, in the order of time.

use async_trait::async_trait;

use super::DynamoEvents;
use super::items::Item;
use super::items::replays::{read_replay, write_replay};
use super::keys::{self, AFTER_ALL, REPLAYS_PK};
use super::revised::{Wanted, revision};
use crate::domain::identifiers::{OrganizationId, ReplayId};
use crate::domain::replay::Replay;
use crate::domain::timestamp::Timestamp;
use crate::ports::replay_store::ReplayStore;
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;

/// What every id sorts after.
const FIRST: &str = " ";

#[async_trait]
impl ReplayStore for DynamoEvents {
    async fn replay(&self, id: &ReplayId) -> Result<(Option<Replay>, Revision), StoreError> {
        let item = self.get(REPLAYS_PK.to_owned(), id.to_string()).await?;
        item.as_ref().map_or(Ok((None, Revision::default())), |item| Ok((Some(read_replay(item)?), revision(item)?)))
    }

    async fn save_replay(&self, replay: &Replay, seen: Revision) -> Result<bool, StoreError> {
        self.put_over(write_replay(replay)?, seen).await
    }

    async fn replays(
        &self,
        organization: Option<&OrganizationId>,
        after: Option<&ReplayId>,
        most: usize,
    ) -> Result<(Vec<Replay>, Option<ReplayId>), StoreError> {
        let wanted = if organization.is_none() { Wanted::All } else { Wanted::Some };
        let below = after.map_or(AFTER_ALL.to_string(), ReplayId::to_string);
        if below.as_str() <= FIRST {
            return Ok((Vec::new(), None));
        }
        let matches = |replay: &Replay| organization.is_none() || replay.organization.as_ref() == organization;
        let read = |item: &Item| Ok(Some(read_replay(item)?).filter(matches));
        let (replays, next) = self.page_back(REPLAYS_PK, (FIRST, &below), most, wanted, read).await?;
        Ok((replays, next.and_then(|next| next.parse().ok())))
    }

    async fn due_replays(&self, now: Timestamp, most: usize) -> Result<Vec<(Replay, Revision)>, StoreError> {
        let items = self.due_items(keys::REPLAY_DUE_WHO, now, most).await?;
        let mut due = items.iter().map(|item| Ok((read_replay(item)?, revision(item)?))).collect::<Result<Vec<_>, StoreError>>()?;
        due.retain(|(replay, _)| replay.due_at.is_some_and(|due_at| due_at <= now));
        due.sort_by(|(one, _), (other, _)| (one.due_at, &one.id).cmp(&(other.due_at, &other.id)));
        Ok(due)
    }
}
