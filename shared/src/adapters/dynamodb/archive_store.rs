//! What is archived, on DynamoDB. A commit that is keeps its key, so that its slot stays taken and its stream goes on where it was, and
//! the keys of its indexes, so that it is found where it was; only its body is gone.

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::DynamoEvents;
use super::event_reader::{read_day, read_hour};
use super::failure::store_error;
use super::items::{self, Item, text};
use super::keys::{self, ARCHIVE_PK, ARCHIVE_SK, PK, SK};
use super::merge::{Archived, Merge};
use super::revised::revision;
use crate::domain::archive::{ArchiveProgress, ArchivedCommit, UnarchivedCommit};
use crate::domain::commit::Commit;
use crate::domain::counters::{CounterKey, CounterScope, Period};
use crate::domain::replay::CommitPlace;
use crate::domain::timestamp::{Hour, Timestamp};
use crate::ports::archive_store::{ArchiveStore, UnarchivedPage};
use crate::ports::counter_store::CounterStore;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;

/// How many commits are marked at a time.
const MARKS_AT_ONCE: usize = 32;
/// About the most bytes of events of one page.
const MOST_BYTES: usize = 16 * 1024 * 1024;

#[async_trait]
impl ArchiveStore for DynamoEvents {
    async fn hours_to_archive(&self, after: Option<Hour>, before: Hour, most: usize) -> Result<Vec<Hour>, StoreError> {
        let first = after.map_or_else(|| Timestamp::MIN.hour(), Hour::next);
        let Some(last) = before.previous().filter(|last| first <= *last) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let mut days = self.with_unarchived(Period::Day(first.day()), Period::Day(last.day())).await?.into_iter();
        while found.len() < most
            && let Some(day) = days.next()
        {
            let day = read_day(&day)?;
            let (from, to) = (first.max(day.first_hour()), last.min(day.last_hour()));
            for hour in self.with_unarchived(Period::Hour(from), Period::Hour(to)).await? {
                found.push(read_hour(&hour)?);
            }
        }
        found.truncate(most);
        Ok(found)
    }

    async fn commits_to_archive(&self, hour: Hour, after: Option<CommitPlace>, most: usize) -> Result<UnarchivedPage, StoreError> {
        let (day, _) = self.tally(&CounterKey { scope: CounterScope::All, period: Period::Day(hour.day()) }).await?;
        let from = after.map_or(hour.start(), |after| after.last_occurred_at);
        let mut merge = Merge::new(self, day.lists.into_iter().collect(), (from, hour.end()), most, Archived::LeftOut);
        let (mut commits, mut bytes, mut next): (Vec<Commit>, usize, _) = (Vec::new(), 0, None);
        while let Some(commit) = merge.next_commit().await? {
            if after.is_some_and(|after| commit.place_in_time() <= after) {
                continue;
            }
            if commits.len() >= most || bytes >= MOST_BYTES {
                next = commits.last().map(Commit::place_in_time);
                break;
            }
            bytes += commit.bytes();
            commits.push(commit);
        }
        let definitions = self.definitions(Freshness::Current).await?;
        let mut observed = self.observe(commits.iter().flat_map(Commit::to_events).collect(), &definitions).await?.into_iter();
        let with_events = |commit: Commit| {
            let events = observed.by_ref().take(commit.events.len()).collect();
            UnarchivedCommit { commit, events }
        };
        Ok(UnarchivedPage { commits: commits.into_iter().map(with_events).collect(), next })
    }

    async fn mark_archived(&self, commits: &[ArchivedCommit]) -> Result<usize, StoreError> {
        let marks: Vec<_> = commits.iter().map(|commit| self.mark(commit)).collect();
        let marked = stream::iter(marks).buffer_unordered(MARKS_AT_ONCE);
        marked.try_fold(0, async |count, marked| Ok(count + usize::from(marked))).await
    }

    async fn archive_progress(&self) -> Result<(ArchiveProgress, Revision), StoreError> {
        let item = self.get(ARCHIVE_PK.to_owned(), ARCHIVE_SK.to_owned()).await?;
        item.as_ref().map_or(Ok((ArchiveProgress::default(), Revision::default())), |item| {
            Ok((items::read_archive_progress(item)?, revision(item)?))
        })
    }

    async fn save_archive_progress(&self, progress: &ArchiveProgress, seen: Revision) -> Result<bool, StoreError> {
        self.put_over(items::write_archive_progress(progress), seen).await
    }
}

impl DynamoEvents {
    /// The counter items of days or hours, from one to another, that hold events which are not archived.
    async fn with_unarchived(&self, first: Period, last: Period) -> Result<Vec<Item>, StoreError> {
        let mut unarchived = Vec::new();
        for item in self.totals(&CounterScope::All, first, last).await? {
            let archived = if item.contains_key(items::ARCHIVED) { items::read_number(&item, items::ARCHIVED)? } else { 0_u64 };
            if items::read_number::<u64>(&item, items::TOTAL)? > archived {
                unarchived.push(item);
            }
        }
        Ok(unarchived)
    }

    /// Takes the body of a commit whose events are in the archive. Returns whether it had one.
    async fn mark(&self, commit: &ArchivedCommit) -> Result<bool, StoreError> {
        let [encoding, body] = items::BODY_ATTRIBUTES;
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(PK, text(keys::stream_pk(&commit.slot.stream)))
            .key(SK, text(keys::commit_sk(&commit.slot.stream, commit.slot.first)))
            .update_expression("SET #place = :place REMOVE #encoding, #body")
            .condition_expression("attribute_exists(#body)")
            .expression_attribute_names("#place", items::ARCHIVE_PLACE)
            .expression_attribute_names("#encoding", encoding)
            .expression_attribute_names("#body", body)
            .expression_attribute_values(":place", text(commit.place.to_string()))
            .send()
            .await;
        let Err(error) = update else { return Ok(true) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
            Some(_) | None => Err(store_error(error)),
        }
    }
}
