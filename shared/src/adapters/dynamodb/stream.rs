//! The table's stream, as Lambda hands it to a function.

use aws_lambda_events::event::dynamodb::EventRecord;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::items::{self, Item, ItemKind, definitions, replays, snapshots};
use crate::domain::counters::{Change, ChangeKind, SequenceNumber};
use crate::domain::happening::Happening;
use crate::ports::store_error::StoreError;

/// What a record changed that counters care about; none for claims, counters and other items.
///
/// # Errors
/// [`StoreError::Corrupt`] if the record's item cannot be read.
pub fn change(record: &EventRecord) -> Result<Option<Change>, StoreError> {
    let sequence =
        record.change.sequence_number.clone().ok_or_else(|| StoreError::Corrupt("a record has no sequence number".to_owned()))?;
    let new = to_item(&record.change.new_image);
    let kind = match items::kind_of(&new) {
        ItemKind::Commit => {
            let old = to_item(&record.change.old_image);
            match (old.is_empty(), items::archive_place(&old)?, items::archive_place(&new)?) {
                (true, _, None) => {
                    ChangeKind::Committed { commit: Box::new(items::read_commit(&new)?), list: items::list_of(&new), settled: 0 }
                }
                (false, None, Some(_)) => ChangeKind::Archived { commit: Box::new(items::read_commit(&old)?), settled: 0 },
                // A commit is written once; a second record of it would be a write without effect. An archived one that is put into a
                // table, from a backup, was counted when it was stored.
                (true, _, Some(_)) | (false, _, _) => return Ok(None),
            }
        }
        ItemKind::Outcome => ChangeKind::Concluded {
            organization: items::read_organization(&new)?,
            before: if record.change.old_image.is_empty() { None } else { Some(items::read_outcome(&to_item(&record.change.old_image))?) },
            after: items::read_outcome(&new)?,
        },
        ItemKind::Other => return Ok(None),
    };
    Ok(Some(Change { sequence: SequenceNumber(sequence), kind }))
}

/// What a record changed that processors, subscribers or the bus are told of; none for anything else.
///
/// # Errors
/// [`StoreError::Corrupt`] if the record's item cannot be read.
pub fn happening(record: &EventRecord) -> Result<Option<Happening>, StoreError> {
    let (old, new) = (to_item(&record.change.old_image), to_item(&record.change.new_image));
    let happening = match items::kind_of(&new) {
        // Nothing is left to be done with what is archived.
        ItemKind::Commit if items::archive_place(&new)?.is_some() => return Ok(None),
        ItemKind::Commit if old.is_empty() => Happening::Committed(Box::new(items::read_commit(&new)?)),
        ItemKind::Outcome => {
            // Outcomes that were saved before they named their commit are past telling of.
            let Some(commit) = items::read_concluded(&new)? else { return Ok(None) };
            let before = if old.is_empty() { None } else { Some(items::read_outcome(&old)?) };
            Happening::Concluded { commit, before, after: items::read_outcome(&new)? }
        }
        ItemKind::Other if definitions::is_subscription(&new) => {
            let after = Box::new(definitions::read_open_subscription(&new)?);
            if old.is_empty() {
                Happening::Subscribed(after)
            } else {
                Happening::SubscriptionChanged { before: Box::new(definitions::read_open_subscription(&old)?), after }
            }
        }
        ItemKind::Other if replays::is_replay(&new) => {
            let after = Box::new(replays::read_replay(&new)?);
            let was_active = !old.is_empty() && replays::read_replay(&old)?.is_active();
            match (old.is_empty(), was_active && !after.is_active()) {
                (true, _) => Happening::ReplayStarted(after),
                (false, true) => Happening::ReplayEnded(after),
                (false, false) => return Ok(None),
            }
        }
        ItemKind::Other if old.is_empty() => {
            return Ok(snapshots::read_saved_projection(&new)?.map(|saved| Happening::Projected(Box::new(saved))));
        }
        ItemKind::Commit | ItemKind::Other => return Ok(None),
    };
    Ok(Some(happening))
}

fn to_item(image: &serde_dynamo::Item) -> Item {
    image.iter().map(|(name, value)| (name.clone(), to_attribute(value))).collect()
}

fn to_attribute(value: &serde_dynamo::AttributeValue) -> AttributeValue {
    use serde_dynamo::AttributeValue as From;
    match value {
        From::S(text) => AttributeValue::S(text.clone()),
        From::N(digits) => AttributeValue::N(digits.clone()),
        From::B(bytes) => AttributeValue::B(Blob::new(bytes.clone())),
        From::Bool(truth) => AttributeValue::Bool(*truth),
        From::Null(null) => AttributeValue::Null(*null),
        From::L(values) => AttributeValue::L(values.iter().map(to_attribute).collect()),
        From::M(members) => AttributeValue::M(members.iter().map(|(name, value)| (name.clone(), to_attribute(value))).collect()),
        From::Ss(texts) => AttributeValue::Ss(texts.clone()),
        From::Ns(numbers) => AttributeValue::Ns(numbers.clone()),
        From::Bs(blobs) => AttributeValue::Bs(blobs.iter().map(|bytes| Blob::new(bytes.clone())).collect()),
    }
}
