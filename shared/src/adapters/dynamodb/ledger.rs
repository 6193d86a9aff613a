//! The ledger of messages on DynamoDB: commits and the notes of their messages in one transaction.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::error::TransactionCanceledException;
use aws_sdk_dynamodb::types::{AttributeValue, CancellationReason, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update};
use uuid::Uuid;

use super::DynamoEvents;
use super::failure::store_error;
use super::items::{self, Item, number, text};
use super::keys::{self, PK, SK};
use crate::domain::commit::Commit;
use crate::domain::event::BodyDigest;
use crate::domain::event_id::EventId;
use crate::domain::message::{LedgerNote, LedgerPage};
use crate::ports::commit_log::{PutNoting, TogetherWith};
use crate::ports::store_error::StoreError;

/// How many messages a page holds.
const COUNT: &str = "c";
const REFUSED: &str = "ConditionalCheckFailed";

/// The notes of a call, by their pages.
type Pages<'a> = BTreeMap<&'a LedgerPage, Vec<&'a LedgerNote>>;

fn malformed(error: &BuildError) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

impl DynamoEvents {
    pub(super) async fn put_with_notes(&self, commits: &[Commit], together: &TogetherWith) -> Result<PutNoting, StoreError> {
        let mut pages: Pages<'_> = BTreeMap::new();
        for note in &together.notes {
            pages.entry(&note.page).or_default().push(note);
        }
        let mut actions = Vec::with_capacity(commits.len() + together.claims.len() + pages.len());
        for commit in commits {
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(items::write_commit(commit, self.time_shards.0)?))
                .condition_expression("attribute_not_exists(pk)")
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
            actions.push(TransactWriteItem::builder().put(put.build().map_err(|error| malformed(&error))?).build());
        }
        for (key, claim) in &together.claims {
            let put = Put::builder().table_name(&self.table).set_item(Some(items::write_claim(key, claim)));
            actions.push(TransactWriteItem::builder().put(put.build().map_err(|error| malformed(&error))?).build());
        }
        for (page, notes) in &pages {
            actions.push(TransactWriteItem::builder().update(self.note(page, notes)?).build());
        }
        // The same call that the client sends twice is answered as the first time.
        let token = token(commits, together);
        let answer = self.client.transact_write_items().set_transact_items(Some(actions)).client_request_token(token).send().await;
        let Err(error) = answer else { return Ok(PutNoting::Stored) };
        if let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = error.as_service_error() {
            let in_the_way = taken(canceled, commits.len());
            if !in_the_way.is_empty() {
                return Ok(PutNoting::Taken(self.commits(in_the_way).await?));
            }
            return refused(canceled, commits.len() + together.claims.len(), &pages).unwrap_or_else(|| Err(store_error(error)));
        }
        Err(store_error(error))
    }

    /// The action that notes messages in a page, unless one of them is noted there, or it is full.
    fn note(&self, page: &LedgerPage, notes: &[&LedgerNote]) -> Result<Update, StoreError> {
        let set: Vec<String> = (0..notes.len()).map(|index| format!("#{index}=:{index}")).collect();
        let free: Vec<String> = (0..notes.len()).map(|index| format!("attribute_not_exists(#{index})")).collect();
        let mut update = Update::builder()
            .table_name(&self.table)
            .key(PK, text(keys::ledger_pk(page)))
            .key(SK, text(keys::LEDGER_SK))
            .update_expression(format!("ADD {COUNT} :n SET {}", set.join(",")))
            .condition_expression(format!("(attribute_not_exists({COUNT}) OR {COUNT}<:full) AND {}", free.join(" AND ")))
            .expression_attribute_values(":n", number(notes.len()))
            .expression_attribute_values(":full", number(LedgerPage::FULL))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        for (index, note) in notes.iter().enumerate() {
            let event = AttributeValue::B(Blob::new(note.event.bytes()));
            update = update.expression_attribute_names(format!("#{index}"), keys::mark(note.mark));
            update = update.expression_attribute_values(format!(":{index}"), event);
        }
        update.build().map_err(|error| malformed(&error))
    }
}

/// Tells a call that the client sends twice from another.
fn token(commits: &[Commit], together: &TogetherWith) -> String {
    let mut parts: Vec<String> =
        commits.iter().map(|commit| format!("{:x}|{}", commit.attempt.0, keys::commit_sk(&commit.stream, commit.first))).collect();
    parts.extend(together.notes.iter().map(|note| format!("{}{}{}", keys::ledger_pk(&note.page), keys::mark(note.mark), note.event)));
    parts.extend(together.claims.iter().map(|(key, claim)| format!("{}{:x}", keys::claim_pk(key), claim.fence.0)));
    BodyDigest::of(parts.join("|").as_bytes()).to_string()
}

/// What stands in the way of a condition.
fn standing(reason: &CancellationReason) -> Option<Item> {
    (reason.code() == Some(REFUSED)).then(|| reason.item().cloned()).flatten()
}

/// The items that stand where commits were to go. Reasons stand in the order of the actions, and those of commits come first.
fn taken(canceled: &TransactionCanceledException, commits: usize) -> Vec<Item> {
    canceled.cancellation_reasons().iter().take(commits).filter_map(standing).collect()
}

/// What a transaction that was cancelled says of the pages, which come after so many other actions. None if it was cancelled for another
/// reason than a condition or others' writes.
fn refused(canceled: &TransactionCanceledException, before: usize, pages: &Pages<'_>) -> Option<Result<PutNoting, StoreError>> {
    let reasons = canceled.cancellation_reasons();
    let (mut known, mut full) = (Vec::new(), Vec::new());
    for (reason, (page, notes)) in reasons.iter().skip(before).zip(pages) {
        let Some(item) = standing(reason) else { continue };
        let noted: Vec<LedgerNote> = notes.iter().filter_map(|note| noted(&item, note)).collect();
        if noted.is_empty() {
            full.push(LedgerPage::clone(page));
        }
        known.extend(noted);
    }
    if !known.is_empty() || !full.is_empty() {
        return Some(Ok(PutNoting::Noted { known, full }));
    }
    let by_others = |reason: &CancellationReason| matches!(reason.code(), Some("TransactionConflict" | REFUSED));
    reasons.iter().any(by_others).then_some(Err(StoreError::Contended))
}

/// The note that a page has of the same message, if it has one.
fn noted(item: &Item, note: &LedgerNote) -> Option<LedgerNote> {
    let bytes: [u8; 16] = item.get(&keys::mark(note.mark))?.as_b().ok()?.as_ref().try_into().ok()?;
    Some(LedgerNote { event: EventId::new(Uuid::from_bytes(bytes)), ..note.clone() })
}
