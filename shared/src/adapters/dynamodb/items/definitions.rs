//! Items of processors and subscriptions, with their secrets apart, and of projections, which have none.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::deliveries::read_json;
use super::{BODY, Item, REVISION, corrupt, number, read_number, read_text, text};
use crate::adapters::dynamodb::keys;
use crate::adapters::sealing::Secrets;
use crate::domain::definitions::Definitions;
use crate::domain::event_schema::EventSchemas;
use crate::domain::json::JsonObject;
use crate::domain::processor::Processor;
use crate::domain::projection::ProjectionDefinition;
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

/// What a save does to the definition with a sort key.
#[derive(Debug, Clone, Copy)]
pub(in crate::adapters::dynamodb) enum Change<'a> {
    /// It is saved.
    Saved(&'a str),
    /// It is removed.
    Removed(&'a str),
}

/// A processor's item. All of its `config` is kept as a secret.
pub(in crate::adapters::dynamodb) fn write_processor(processor: &Processor, revision: u64, secrets: &Secrets) -> Result<Item, StoreError> {
    let mut open = processor.clone();
    let config = std::mem::take(&mut open.config);
    write(keys::processor_sk(&processor.id), &open, config.as_str(), revision, secrets)
}

/// A subscription's item.
pub(in crate::adapters::dynamodb) fn write_subscription(
    subscription: &Subscription,
    revision: u64,
    secrets: &Secrets,
) -> Result<Item, StoreError> {
    let mut open = subscription.clone();
    let signing: Vec<SigningSecret> = std::mem::take(&mut open.secrets);
    let signing = serde_json::to_string(&signing).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    write(keys::subscription_sk(&subscription.id), &open, &signing, revision, secrets)
}

/// A projection's item.
pub(in crate::adapters::dynamodb) fn write_projection(projection: &ProjectionDefinition, revision: u64) -> Result<Item, StoreError> {
    let json = serde_json::to_string(projection).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(open_item(keys::projection_sk(&projection.id), json, revision))
}

/// The item of a type's schemas.
pub(in crate::adapters::dynamodb) fn write_schemas(schemas: &EventSchemas, revision: u64) -> Result<Item, StoreError> {
    let json = serde_json::to_string(schemas).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(open_item(keys::schemas_sk(schemas.organization.as_ref(), &schemas.event_type), json, revision))
}

/// The item of a definition without secrets.
fn open_item(sk: String, json: String, revision: u64) -> Item {
    Item::from([
        (keys::PK.to_owned(), text(keys::CONFIG_PK)),
        (keys::SK.to_owned(), text(sk)),
        (REVISION.to_owned(), number(revision)),
        (BODY.to_owned(), text(json)),
    ])
}

fn write(sk: String, open: &impl serde::Serialize, secret: &str, revision: u64, secrets: &Secrets) -> Result<Item, StoreError> {
    let json = serde_json::to_string(open).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    if json.len() + secret.len() > MOST_BYTES {
        return Err(StoreError::Corrupt(format!("{sk} is larger than {MOST_BYTES} bytes")));
    }
    let secret = match secrets {
        Secrets::Sealed(sealer) => {
            let bytes = sealer.seal(&place(&sk), secret).map_err(|error| StoreError::Corrupt(format!("{SECRETS} of {sk}: {error}")))?;
            AttributeValue::B(Blob::new(bytes))
        }
        Secrets::Plain => text(secret),
        // What was read has lost its secrets: saving it would lose them for good.
        Secrets::Unread => return Err(StoreError::Corrupt(format!("{sk} cannot be saved by a process that has no business with secrets"))),
    };
    let mut item = open_item(sk, json, revision);
    item.insert(SECRETS.to_owned(), secret);
    Ok(item)
}

/// What a secret is bound to: a sealed one that is moved to another item is refused there.
fn place(sk: &str) -> String {
    format!("{}|{sk}", keys::CONFIG_PK)
}

/// The secret of an item; nothing for a process that has no business with it.
fn read_secret(item: &Item, secrets: &Secrets) -> Result<Option<String>, StoreError> {
    let problem = |problem: &dyn std::fmt::Display| {
        let sk = read_text(item, keys::SK).unwrap_or("?");
        StoreError::Corrupt(format!("{SECRETS} of {} {sk}: {problem}", keys::CONFIG_PK))
    };
    match (item.get(SECRETS), secrets) {
        (_, Secrets::Unread) => Ok(None),
        // Also with a key: what was saved before there was one is sealed with its next save.
        (Some(AttributeValue::S(plain)), Secrets::Plain | Secrets::Sealed(_)) => Ok(Some(plain.clone())),
        (Some(AttributeValue::B(bytes)), Secrets::Sealed(sealer)) => {
            sealer.open(&place(read_text(item, keys::SK)?), bytes.as_ref()).map(Some).map_err(|error| problem(&error))
        }
        (Some(AttributeValue::B(_)), Secrets::Plain) => Err(problem(&"it is sealed, and SECRETS_KEY is not set")),
        (Some(_) | None, Secrets::Plain | Secrets::Sealed(_)) => Err(corrupt(item, SECRETS)),
    }
}

fn read_processor(item: &Item, secrets: &Secrets) -> Result<Processor, StoreError> {
    let mut processor: Processor = serde_json::from_str(read_text(item, BODY)?).map_err(|_| corrupt(item, BODY))?;
    if let Some(config) = read_secret(item, secrets)? {
        processor.config = JsonObject::parse(&config).map_err(|_| corrupt(item, SECRETS))?;
    }
    Ok(processor)
}

fn read_subscription(item: &Item, secrets: &Secrets) -> Result<Subscription, StoreError> {
    let mut subscription = read_open_subscription(item)?;
    if let Some(signing) = read_secret(item, secrets)? {
        subscription.secrets = serde_json::from_str(&signing).map_err(|_| corrupt(item, SECRETS))?;
    }
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
pub(in crate::adapters::dynamodb) fn write_revision(revision: u64, change: Change<'_>) -> Item {
    let (sk, removed) = match change {
        Change::Saved(sk) => (sk, false),
        Change::Removed(sk) => (sk, true),
    };
    Item::from([
        (keys::PK.to_owned(), text(keys::CONFIG_PK)),
        (keys::SK.to_owned(), text(keys::REVISION_SK)),
        (REVISION.to_owned(), number(revision)),
        (CHANGED.to_owned(), text(sk)),
        (REMOVED.to_owned(), AttributeValue::Bool(removed)),
    ])
}

/// The definitions that these items are, and their revision; nothing if the items are not of one revision.
///
/// A save changes a definition and the revision together, but a reader of several items may see one changed and the other not
/// yet. Whoever saves has seen the revision before, so only the last change can be half seen.
pub(in crate::adapters::dynamodb) fn read_definitions(items: &[Item], secrets: &Secrets) -> Result<Option<Definitions>, StoreError> {
    let (mut processors, mut subscriptions, mut projections, mut schemas, mut revision) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), None);
    for item in items {
        match read_text(item, keys::SK)? {
            keys::REVISION_SK => revision = Some(item),
            sk if sk.starts_with(keys::PROCESSOR_PREFIX) => processors.push(read_processor(item, secrets)?),
            sk if sk.starts_with(keys::SUBSCRIPTION_PREFIX) => subscriptions.push(read_subscription(item, secrets)?),
            sk if sk.starts_with(keys::PROJECTION_PREFIX) => projections.push(read_json::<ProjectionDefinition>(item)?),
            sk if sk.starts_with(keys::SCHEMAS_PREFIX) => schemas.push(read_json::<EventSchemas>(item)?),
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
    Ok(is_whole.then(|| Definitions::new(revision, processors, subscriptions).and_projections(projections).and_schemas(schemas)))
}
