//! Items of deliveries, of how receivers answer, of dead letters and of rejected events.

use super::{BODY, Item, corrupt, number, read_text, text};
use crate::adapters::dynamodb::keys;
use crate::domain::dead_letter::DeadLetter;
use crate::domain::delivery::{Delivery, DeliveryState};
use crate::domain::rejected_event::RejectedEvent;
use crate::ports::store_error::StoreError;

/// The message of a dead letter, or what was sent as an event. Apart, because JSON within JSON may be several times as large.
const MESSAGE: &str = "msg";

/// A value as JSON under a key.
pub(in crate::adapters::dynamodb) fn write_json(pk: String, sk: String, value: &impl serde::Serialize) -> Result<Item, StoreError> {
    let json = serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(Item::from([(keys::PK.to_owned(), text(pk)), (keys::SK.to_owned(), text(sk)), (BODY.to_owned(), text(json))]))
}

/// Reads what [`write_json`] wrote.
pub(in crate::adapters::dynamodb) fn read_json<T: serde::de::DeserializeOwned>(item: &Item) -> Result<T, StoreError> {
    serde_json::from_str(read_text(item, BODY)?).map_err(|_| corrupt(item, BODY))
}

/// A delivery's item, indexed while it is due at some moment, and expiring once it came to an end.
pub(in crate::adapters::dynamodb) fn write_delivery(delivery: &Delivery) -> Result<Item, StoreError> {
    let mut item = write_json(keys::delivery_pk(&delivery.subscription), keys::delivery_sk(&delivery.id), delivery)?;
    if let Some(due_at) = delivery.due_at {
        item.insert(keys::WHO.to_owned(), text(keys::DUE_WHO));
        item.insert(keys::ORDER.to_owned(), text(keys::due_order(due_at, &delivery.id)));
    }
    match delivery.state {
        DeliveryState::Retrying => {}
        DeliveryState::Delivered | DeliveryState::Failed | DeliveryState::Canceled => {
            item.insert(keys::EXPIRES.to_owned(), number(delivery.updated_at.plus(Delivery::KEPT_FOR).second()));
        }
    }
    Ok(item)
}

pub(in crate::adapters::dynamodb) fn write_letter(letter: &DeadLetter) -> Result<Item, StoreError> {
    let mut open = letter.clone();
    let message = std::mem::take(&mut open.body);
    let mut item = write_json(keys::LETTERS_PK.to_owned(), letter.id.to_string(), &open)?;
    item.insert(MESSAGE.to_owned(), text(message));
    Ok(item)
}

/// Reads what [`write_letter`] wrote.
pub(in crate::adapters::dynamodb) fn read_letter(item: &Item) -> Result<DeadLetter, StoreError> {
    Ok(DeadLetter { body: read_text(item, MESSAGE)?.to_owned(), ..read_json(item)? })
}

/// A rejected event's item, which expires.
pub(in crate::adapters::dynamodb) fn write_rejected(event: &RejectedEvent) -> Result<Item, StoreError> {
    let mut open = event.clone();
    let body = std::mem::take(&mut open.body);
    let mut item = write_json(keys::REJECTED_PK.to_owned(), event.id.to_string(), &open)?;
    item.insert(MESSAGE.to_owned(), text(body));
    item.insert(keys::EXPIRES.to_owned(), number(event.expires_at().second()));
    Ok(item)
}

/// Reads what [`write_rejected`] wrote.
pub(in crate::adapters::dynamodb) fn read_rejected(item: &Item) -> Result<RejectedEvent, StoreError> {
    Ok(RejectedEvent { body: read_text(item, MESSAGE)?.to_owned(), ..read_json(item)? })
}
