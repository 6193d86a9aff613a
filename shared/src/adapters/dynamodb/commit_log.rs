//! Commits and claims on DynamoDB.

use async_trait::async_trait;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::error::TransactionCanceledException;
use aws_sdk_dynamodb::types::{CancellationReason, Put as PutAction, ReturnValuesOnConditionCheckFailure, TransactWriteItem};

use super::DynamoEvents;
use super::failure::store_error;
use super::items::{self, Item, read_text, text};
use super::keys::{self, PK, SK};
use super::scan::{Consistency, Direction};
use crate::domain::claim::{Claim, ClaimKey, Fence, Slot};
use crate::domain::commit::Commit;
use crate::domain::event::BodyDigest;
use crate::domain::event_id::EventId;
use crate::domain::identifiers::OrganizationId;
use crate::domain::stream_id::StreamKey;
use crate::domain::version::Version;
use crate::ports::commit_log::{CommitLog, Put, PutNoting, TogetherWith};
use crate::ports::store_error::StoreError;

const KEY_IS_FREE: &str = "attribute_not_exists(pk)";

#[async_trait]
impl CommitLog for DynamoEvents {
    async fn head(&self, stream: &StreamKey) -> Result<Version, StoreError> {
        let address = stream.address();
        let mut start = None;
        // One item is enough, unless another stream has the same address.
        let mut limit = 1;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND begins_with(sk, :tag)")
                .expression_attribute_values(":pk", text(keys::place(address.place)))
                .expression_attribute_values(":tag", text(keys::tag_prefix(address)))
                .projection_expression("pk, sk, n")
                .scan_index_forward(false)
                .consistent_read(true)
                .limit(limit)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(store_error)?;
            for item in page.items() {
                let slot = keys::read_commit_sk(read_text(item, SK)?);
                if let Some(slot) = slot.filter(|slot| slot.stream == *stream) {
                    let events: u64 = items::read_number(item, items::COUNT)?;
                    return Ok(Version::new(slot.first.get() + events.saturating_sub(1)));
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(Version::EMPTY);
            }
            limit = 100;
        }
    }

    async fn commit_at(&self, slot: &Slot) -> Result<Option<Commit>, StoreError> {
        let item = self.get(keys::stream_pk(&slot.stream), keys::commit_sk(&slot.stream, slot.first)).await?;
        Ok(self.commits(item.into_iter().collect()).await?.pop())
    }

    async fn commit_holding(&self, stream: &StreamKey, version: Version) -> Result<Option<Commit>, StoreError> {
        let address = stream.address();
        let (lowest, highest) = (keys::tag_prefix(address), keys::version_prefix(address, version.next()));
        let (pk, mut start) = (keys::place(address.place), None);
        // One item is enough, unless another stream has the same address.
        let mut most = 1;
        loop {
            let range = (lowest.as_str(), highest.as_str());
            let (page, next) = self.page_between(&pk, range, Direction::Backward, Some(most), Consistency::Strong, start).await?;
            if let Some(item) = page.into_iter().find(|item| items::is_of(item, stream)) {
                let commit = self.commits(vec![item]).await?.pop();
                return Ok(commit.filter(|commit| version >= commit.first && version <= commit.last()));
            }
            if next.is_none() {
                return Ok(None);
            }
            (start, most) = (next, 100);
        }
    }

    async fn is_placed(&self, id: EventId, organization: Option<&OrganizationId>) -> Result<bool, StoreError> {
        let Some(location) = id.location() else { return Ok(false) };
        let found = self.located(id, location, organization).await?;
        Ok(found.is_some_and(|found| found.event.place == id && found.event.organization() == organization))
    }

    async fn put(&self, commits: &[Commit]) -> Result<Put, StoreError> {
        let mut written = commits.iter().map(|commit| items::write_commit(commit, self.time_shards.0)).collect::<Result<Vec<Item>, _>>()?;
        match (written.pop(), written.is_empty()) {
            (None, _) => Ok(Put::Stored),
            (Some(only), true) => self.put_one(only).await,
            (Some(last), false) => {
                written.push(last);
                self.put_together(commits, written).await
            }
        }
    }

    async fn put_noting(&self, commits: &[Commit], together: &TogetherWith) -> Result<PutNoting, StoreError> {
        self.put_with_notes(commits, together).await
    }

    async fn claim(&self, key: &ClaimKey) -> Result<Option<Claim>, StoreError> {
        self.get(keys::claim_pk(key), keys::CLAIM_SK.to_owned()).await?.as_ref().map(items::read_claim).transpose()
    }

    async fn put_claim(&self, key: &ClaimKey, claim: &Claim) -> Result<Option<Claim>, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(items::write_claim(key, claim)))
            .condition_expression(KEY_IS_FREE)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match standing(put)? {
            Standing::Free => Ok(None),
            Standing::Item(item) => {
                let found = items::read_claim(&item)?;
                // The client may have sent the call twice, and find its own claim.
                Ok((found != *claim).then_some(found))
            }
        }
    }

    async fn move_claim(&self, key: &ClaimKey, from: Fence, claim: &Claim) -> Result<bool, StoreError> {
        let (attribute, fence) = items::fence_is(from);
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(items::write_claim(key, claim)))
            .condition_expression(format!("{attribute} = :fence"))
            .expression_attribute_values(":fence", fence)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match standing(put)? {
            Standing::Free => Ok(true),
            Standing::Item(item) => Ok(items::read_claim(&item)?.fence == claim.fence),
        }
    }
}

impl DynamoEvents {
    /// The item with this key, as the last write left it.
    pub(super) async fn get(&self, pk: String, sk: String) -> Result<Option<Item>, StoreError> {
        let get = self.client.get_item().table_name(&self.table).key(PK, text(pk)).key(SK, text(sk)).consistent_read(true);
        Ok(get.send().await.map_err(store_error)?.item)
    }

    async fn put_one(&self, item: Item) -> Result<Put, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(KEY_IS_FREE)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match standing(put)? {
            Standing::Free => Ok(Put::Stored),
            Standing::Item(item) => Ok(Put::Taken(self.commits(vec![item]).await?)),
        }
    }

    async fn put_together(&self, commits: &[Commit], written: Vec<Item>) -> Result<Put, StoreError> {
        let action = |item: Item| {
            let put = PutAction::builder()
                .table_name(&self.table)
                .set_item(Some(item))
                .condition_expression(KEY_IS_FREE)
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .build()
                .map_err(|error| StoreError::Corrupt(error.to_string()))?;
            Ok::<_, StoreError>(TransactWriteItem::builder().put(put).build())
        };
        let actions = written.into_iter().map(action).collect::<Result<Vec<_>, _>>()?;
        let answer = self.client.transact_write_items().set_transact_items(Some(actions)).client_request_token(token(commits)).send().await;
        let Err(error) = answer else { return Ok(Put::Stored) };
        if let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = error.as_service_error() {
            let standing = standing_items(canceled);
            if !standing.is_empty() {
                return Ok(Put::Taken(self.commits(standing).await?));
            }
            if by_others(canceled) {
                return Err(StoreError::Contended);
            }
        }
        Err(store_error(error))
    }
}

/// Tells a call that the client sends twice from another: the same commits at the same slots.
fn token(commits: &[Commit]) -> String {
    let slots: Vec<String> =
        commits.iter().map(|commit| format!("{:x}|{}", commit.attempt.0, keys::commit_sk(&commit.stream, commit.first))).collect();
    BodyDigest::of(slots.join("|").as_bytes()).to_string()
}

/// What stands in the way of a transaction that was cancelled.
fn standing_items(canceled: &TransactionCanceledException) -> Vec<Item> {
    let refused = |reason: &&CancellationReason| reason.code() == Some("ConditionalCheckFailed");
    canceled.cancellation_reasons().iter().filter(refused).filter_map(|reason| reason.item().cloned()).collect()
}

/// Whether a transaction was cancelled because of another that was under way.
fn by_others(canceled: &TransactionCanceledException) -> bool {
    let is_others = |reason: &CancellationReason| matches!(reason.code(), Some("TransactionConflict" | "ConditionalCheckFailed"));
    canceled.cancellation_reasons().iter().any(is_others)
}

/// Whether a conditional put found its condition true, or what it found instead.
enum Standing {
    Free,
    Item(Item),
}

fn standing<T, R>(put: Result<T, SdkError<PutItemError, R>>) -> Result<Standing, StoreError>
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let Err(error) = put else { return Ok(Standing::Free) };
    if let Some(PutItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() {
        // An item that has gone again is as good as one that was never there: try again.
        return failed.item().cloned().map(Standing::Item).ok_or(StoreError::Contended);
    }
    Err(store_error(error))
}
