//! Items that are saved over the revision that was seen, and read back page by page.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::DynamoEvents;
use super::failure::store_error;
use super::items::{self, Item, number, read_text};
use super::keys;
use super::scan::{Consistency, Direction};
use crate::adapters::system::SystemRandom;
use crate::ports::random::Random as _;
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;

/// The most items that a read of a page looks at, whether they fit or not.
const MOST_EXAMINED: usize = 1000;
/// The most items of one call if not all of them fit.
const MOST_A_CALL: usize = 250;

/// Which items of a page are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All.
    All,
    /// Some: others are looked at as well.
    Some,
}

/// The revision of an item that was read.
pub(super) fn revision(item: &Item) -> Result<Revision, StoreError> {
    items::read_number(item, items::REVISION).map(Revision)
}

impl DynamoEvents {
    /// Puts an item if the one that stands has the revision that was seen. A mark tells this put from another's, in case the
    /// client sends it twice.
    pub(super) async fn put_over(&self, mut item: Item, seen: Revision) -> Result<bool, StoreError> {
        let attempt = items::attempt(SystemRandom.number());
        item.insert(items::REVISION.to_owned(), number(seen.0 + 1));
        item.insert(items::ATTEMPT.to_owned(), attempt.clone());
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = if seen == Revision::default() {
            put.condition_expression("attribute_not_exists(pk)")
        } else {
            put.condition_expression("rev = :rev").expression_attribute_values(":rev", number(seen.0))
        };
        let Err(error) = put.send().await else { return Ok(true) };
        if let Some(PutItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() {
            return Ok(failed.item().is_some_and(|standing| standing.get(items::ATTEMPT) == Some(&attempt)));
        }
        Err(store_error(error))
    }

    /// What `read` makes of a partition's items between two sort keys, last first, and the sort key to go on below, if there
    /// may be more.
    pub(super) async fn page_back<T>(
        &self,
        pk: &str,
        (low, below): (&str, &str),
        most: usize,
        wanted: Wanted,
        read: impl Fn(&Item) -> Result<Option<T>, StoreError>,
    ) -> Result<(Vec<T>, Option<String>), StoreError> {
        // One more than are wanted says whether there are more; and one may be that to go on below, which has been read.
        let limit = match wanted {
            Wanted::All => most.saturating_add(2),
            Wanted::Some => MOST_A_CALL,
        };
        let limit = i32::try_from(limit.min(MOST_EXAMINED)).ok();
        let (mut found, mut examined, mut last, mut start) = (Vec::new(), 0, None, None);
        loop {
            let (page, next) = self.page_between(pk, (low, below), Direction::Backward, limit, Consistency::Strong, start).await?;
            for item in &page {
                let sk = read_text(item, keys::SK)?;
                if sk == below {
                    continue;
                }
                if found.len() == most {
                    return Ok((found, last));
                }
                found.extend(read(item)?);
                examined += 1;
                last = Some(sk.to_owned());
            }
            if next.is_none() {
                return Ok((found, None));
            }
            if found.len() == most || examined >= MOST_EXAMINED {
                return Ok((found, last));
            }
            start = next;
        }
    }
}
