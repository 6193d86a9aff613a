//! Items of processors and subscriptions, with their secrets apart.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::{BODY, Item, REVISION, corrupt, number, read_number, read_text, text};
use crate::adapters::dynamodb::keys;
use crate::adapters::sealing::Sealer;
use crate::domain::definitions::Definitions;
use crate::domain::json::JsonObject;
use crate::domain::processor::Processor;
use crate::domain::subscription::{SigningSecret, Subscription};
use crate::ports::store_error::StoreError;

/// What of a definition is secret: a binary if it is sealed, a text if it is not.
const SECRETS: &str = "sec";
/// The sort key of the definition that was changed last.
const CHANGED: &str = "chg";
/// Whether that change was its removal.
const REMOVED: &str = "gone";

/// The most bytes of a definition. An item holds 400 KiB, and sealing and names take a little.
const MOST_BYTES: usize = 350 * 1024;

/// What a save does to a definition.
#[derive(Debug)]
pub(in crate::adapters::dynamodb) enum Change {
    /// This item takes its place.
    Put(Item),
    /// The definition with this sort key is removed.
    Remove(String),
}

/// A processor's item. All of its `config` is kept as a secret.
pub(in crate::adapters::dynamodb) fn write_processor(
    processor: &Processor,
    revision: u64,
    sealer: Option<&Sealer>,
) -> Result<Item, StoreError> {
    let mut open = processor.clone();
    let config = std::mem::take(&mut open.config);
    write(keys::processor_sk(&processor.id), &open, config.as_str(), revision, sealer)
}

/// A subscription's item.
pub(in crate::adapters::dynamodb) fn write_subscription(
    subscription: &Subscription,
    revision: u64,
    sealer: Option<&Sealer>,
) -> Result<Item, StoreError> {
    let mut open = subscription.clone();
    let secrets: Vec<SigningSecret> = std::mem::take(&mut open.secrets);
    let secrets = serde_json::to_string(&secrets).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    write(keys::subscription_sk(&subscription.id), &open, &secrets, revision, sealer)
}

fn write(sk: String, open: &impl serde::Serialize, secret: &str, revision: u64, sealer: Option<&Sealer>) -> Result<Item, StoreError> {
    let json = serde_json::to_string(open).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    if json.len() + secret.len() > MOST_BYTES {
        return Err(StoreError::Corrupt(format!("{sk} is larger than {MOST_BYTES} bytes")));
    }
    let secret = match sealer {
        Some(sealer) => {
            let bytes = sealer.seal(&place(&sk), secret).map_err(|error| StoreError::Corrupt(format!("{SECRETS} of {sk}: {error}")))?;
            AttributeValue::B(Blob::new(bytes))
        }
        None => text(secret),
    };
    Ok(Item::from([
        (keys::PK.to_owned(), text(keys::CONFIG_PK)),
        (keys::SK.to_owned(), text(sk)),
        (REVISION.to_owned(), number(revision)),
        (BODY.to_owned(), text(json)),
        (SECRETS.to_owned(), secret),
    ]))
}

/// What a secret is bound to: a sealed one that is moved to another item is refused there.
fn place(sk: &str) -> String {
    format!("{}|{sk}", keys::CONFIG_PK)
}

fn read_secret(item: &Item, sealer: Option<&Sealer>) -> Result<String, StoreError> {
    let problem = |problem: &dyn std::fmt::Display| {
        let sk = read_text(item, keys::SK).unwrap_or("?");
        StoreError::Corrupt(format!("{SECRETS} of {} {sk}: {problem}", keys::CONFIG_PK))
    };
    match (item.get(SECRETS), sealer) {
        // Also with a key: what was saved before there was one is sealed with its next save.
        (Some(AttributeValue::S(plain)), _) => Ok(plain.clone()),
        (Some(AttributeValue::B(bytes)), Some(sealer)) => {
            sealer.open(&place(read_text(item, keys::SK)?), bytes.as_ref()).map_err(|error| problem(&error))
        }
        (Some(AttributeValue::B(_)), None) => Err(problem(&"it is sealed, and SECRETS_KEY is not set")),
        (Some(_) | None, _) => Err(corrupt(item, SECRETS)),
    }
}

fn read_processor(item: &Item, sealer: Option<&Sealer>) -> Result<Processor, StoreError> {
    let mut processor: Processor = serde_json::from_str(read_text(item, BODY)?).map_err(|_| corrupt(item, BODY))?;
    processor.config = JsonObject::parse(&read_secret(item, sealer)?).map_err(|_| corrupt(item, SECRETS))?;
    Ok(processor)
}

fn read_subscription(item: &Item, sealer: Option<&Sealer>) -> Result<Subscription, StoreError> {
    let mut subscription = read_open_subscription(item)?;
    subscription.secrets = serde_json::from_str(&read_secret(item, sealer)?).map_err(|_| corrupt(item, SECRETS))?;
    Ok(subscription)
}

/// A subscription without its secrets.
pub(in crate::adapters::dynamodb) fn read_open_subscription(item: &Item) -> Result<Subscription, StoreError> {
    serde_json::from_str(read_text(item, BODY)?).map_err(|_| corrupt(item, BODY))
}

/// Whether the item is a subscription.
#[cfg(feature = "stream")]
pub(in crate::adapters::dynamodb) fn is_subscription(item: &Item) -> bool {
    let is_of = |key: &str, start: &str| read_text(item, key).is_ok_and(|value| value.starts_with(start));
    read_text(item, keys::PK).is_ok_and(|pk| pk == keys::CONFIG_PK) && is_of(keys::SK, keys::SUBSCRIPTION_PREFIX)
}

/// The item that says which revision the definitions have, and by which change.
pub(in crate::adapters::dynamodb) fn write_revision(revision: u64, change: &Change) -> Result<Item, StoreError> {
    let (sk, removed) = match change {
        Change::Put(item) => (read_text(item, keys::SK)?, false),
        Change::Remove(sk) => (sk.as_str(), true),
    };
    Ok(Item::from([
        (keys::PK.to_owned(), text(keys::CONFIG_PK)),
        (keys::SK.to_owned(), text(keys::REVISION_SK)),
        (REVISION.to_owned(), number(revision)),
        (CHANGED.to_owned(), text(sk)),
        (REMOVED.to_owned(), AttributeValue::Bool(removed)),
    ]))
}

/// The definitions that these items are, and their revision; nothing if the items are not of one revision.
///
/// A save changes a definition and the revision together, but a reader of several items may see one changed and the other not
/// yet. Whoever saves has seen the revision before, so only the last change can be half seen.
pub(in crate::adapters::dynamodb) fn read_definitions(items: &[Item], sealer: Option<&Sealer>) -> Result<Option<Definitions>, StoreError> {
    let (mut processors, mut subscriptions, mut revision) = (Vec::new(), Vec::new(), None);
    for item in items {
        match read_text(item, keys::SK)? {
            keys::REVISION_SK => revision = Some(item),
            sk if sk.starts_with(keys::PROCESSOR_PREFIX) => processors.push(read_processor(item, sealer)?),
            sk if sk.starts_with(keys::SUBSCRIPTION_PREFIX) => subscriptions.push(read_subscription(item, sealer)?),
            _ => return Err(corrupt(item, keys::SK)),
        }
    }
    let Some(row) = revision else { return Ok(None) };
    let (revision, changed) = (read_number::<u64>(row, REVISION)?, read_text(row, CHANGED)?);
    let removed = matches!(row.get(REMOVED), Some(AttributeValue::Bool(true)));
    let last = items.iter().find(|item| read_text(item, keys::SK).is_ok_and(|sk| sk == changed));
    let is_whole = match last {
        Some(item) => !removed && read_number::<u64>(item, REVISION)? == revision,
        None => removed,
    };
    Ok(is_whole.then(|| Definitions::new(revision, processors, subscriptions)))
}
