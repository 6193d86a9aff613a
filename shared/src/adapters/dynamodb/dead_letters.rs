//! Dead letters on DynamoDB: one partition, in the order of time.

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::put_item::PutItemError;

use super::DynamoEvents;
use super::failure::store_error;
use super::items::Item;
use super::items::deliveries::{read_letter, write_letter};
use super::items::text;
use super::keys::{self, AFTER_ALL, LETTERS_PK, PK, SK};
use super::revised::Wanted;
use crate::domain::dead_letter::{DeadLetter, DeadLetterFilter, DeadLetterId};
use crate::ports::dead_letters::DeadLetters;
use crate::ports::store_error::StoreError;

/// What every id sorts after.
const FIRST: &str = " ";

#[async_trait]
impl DeadLetters for DynamoEvents {
    async fn park(&self, letter: &DeadLetter) -> Result<(), StoreError> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(write_letter(letter)?));
        match put.condition_expression("attribute_not_exists(pk)").send().await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.as_service_error(), Some(PutItemError::ConditionalCheckFailedException(_))) => Ok(()),
            Err(error) => Err(store_error(error)),
        }
    }

    async fn letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<&DeadLetterId>,
        most: usize,
    ) -> Result<(Vec<DeadLetter>, Option<DeadLetterId>), StoreError> {
        if [after, filter.id.as_ref()].into_iter().flatten().any(|id| !is_key(id)) {
            return Ok((Vec::new(), None));
        }
        if let Some(id) = &filter.id {
            let item = self.get(LETTERS_PK.to_owned(), id.to_string()).await?;
            let letter = item.as_ref().map(read_letter).transpose()?;
            let wanted = |letter: &DeadLetter| filter.matches(letter) && after.is_none_or(|after| letter.id < *after);
            return Ok((letter.filter(wanted).into_iter().take(most).collect(), None));
        }
        let wanted = if *filter == DeadLetterFilter::default() { Wanted::All } else { Wanted::Some };
        let below = after.map_or(AFTER_ALL.to_string(), DeadLetterId::to_string);
        let read = |item: &Item| Ok(Some(read_letter(item)?).filter(|letter| filter.matches(letter)));
        let (letters, next) = self.page_back(LETTERS_PK, (FIRST, &below), most, wanted, read).await?;
        Ok((letters, next.map(DeadLetterId)))
    }

    async fn remove_letter(&self, id: &DeadLetterId) -> Result<(), StoreError> {
        if !is_key(id) {
            return Ok(());
        }
        let delete = self.client.delete_item().table_name(&self.table).key(PK, text(LETTERS_PK)).key(SK, text(id.to_string()));
        delete.send().await.map_err(store_error)?;
        Ok(())
    }
}

/// Whether there can be a letter of this id: a client may ask for any.
fn is_key(id: &DeadLetterId) -> bool {
    id.0.len() <= keys::MAX_SORT_KEY && id.0.as_str() > FIRST
}
