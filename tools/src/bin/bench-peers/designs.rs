//! Two common designs of an event store on DynamoDB, made as small as they can be: what they use is what counts of them.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType, Put,
    ScalarAttributeType, StreamSpecification, StreamViewType, TransactWriteItem,
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use shared::adapters::aws::Connection;
use shared::adapters::dynamodb::connect;
use shared::adapters::system::SystemRandom;
use shared::ports::random::Random as _;
use tools::http_client::BoxError;

use crate::stores::{EventStore, Versions};

const TABLE: &str = "events";
const STREAM: &str = "stream_id";
const VERSION: &str = "version";
const TIME: &str = "created_at";
/// Where a stream's head is among its events: before them.
const HEAD: &str = "0";

/// A design.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Design {
    /// A transaction of the event, its stream's head and its id; three indexes of keys.
    Outbox,
    /// The same transaction; six indexes of everything, and a status on the event.
    Port,
}

impl Design {
    /// What events are found by, each together with the time.
    const fn indexes(self) -> &'static [&'static str] {
        match self {
            Self::Outbox => &["event_type", "event_category", "correlation_id"],
            Self::Port => &["event_type", "event_category", "event_source", "correlation_id", "status", "day"],
        }
    }

    const fn projection(self) -> ProjectionType {
        match self {
            Self::Outbox => ProjectionType::KeysOnly,
            Self::Port => ProjectionType::All,
        }
    }
}

/// A store of such a design.
pub(crate) struct Designed {
    design: Design,
    client: Client,
    versions: Versions,
}

type Item = HashMap<String, AttributeValue>;

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A put of an item that must not be there yet.
fn new_item(item: Item) -> Result<TransactWriteItem, BoxError> {
    let put = Put::builder().table_name(TABLE).set_item(Some(item)).condition_expression("attribute_not_exists(stream_id)").build()?;
    Ok(TransactWriteItem::builder().put(put).build())
}

impl Designed {
    /// The store at an endpoint.
    pub(crate) fn new(design: Design, endpoint: &str) -> Self {
        Self { design, client: connect(Connection::local(endpoint)), versions: Versions::default() }
    }

    fn event(&self, stream: &str, version: u64, id: &str, now: DateTime<Utc>, payload: &Value) -> Item {
        let mut item = Item::from([
            (STREAM.to_owned(), text(stream)),
            (VERSION.to_owned(), number(version)),
            (TIME.to_owned(), text(&now.to_rfc3339_opts(SecondsFormat::Micros, true))),
            ("event_id".to_owned(), text(id)),
            ("event_type".to_owned(), text("order.placed")),
            ("event_category".to_owned(), text("order")),
            ("correlation_id".to_owned(), text("c-1")),
            ("data".to_owned(), text(&payload.to_string())),
        ]);
        if self.design == Design::Port {
            let more = [("event_source", "backend"), ("status", "pending"), ("day", &now.to_rfc3339()[..10])];
            item.extend(more.map(|(name, value)| (name.to_owned(), text(value))));
        }
        item
    }

    async fn head(&self, stream: &str) -> Result<u64, BoxError> {
        let (stream, head) = (text(stream), AttributeValue::N(HEAD.to_owned()));
        let found = self.client.get_item().table_name(TABLE).key(STREAM, stream).key(VERSION, head).consistent_read(true).send().await?;
        let last = found.item.as_ref().and_then(|item| item.get("last")?.as_n().ok()?.parse().ok());
        Ok(last.unwrap_or_default())
    }

    /// The whole transaction, if the stream has `last` events.
    fn transaction(&self, stream: &str, last: u64, payloads: &[&Value]) -> Result<Vec<TransactWriteItem>, BoxError> {
        let (now, mut items, mut version) = (tools::now(), Vec::with_capacity(2 * payloads.len() + 1), last);
        for payload in payloads {
            version += 1;
            let id = format!("evt_{:016x}{:016x}", SystemRandom.number(), SystemRandom.number());
            items.push(new_item(self.event(stream, version, &id, now, payload))?);
            items.push(new_item(Item::from([
                (STREAM.to_owned(), text(&id)),
                (VERSION.to_owned(), AttributeValue::N(HEAD.to_owned())),
                ("of".to_owned(), text(stream)),
                ("at".to_owned(), number(version)),
            ]))?);
        }
        let head = Put::builder()
            .table_name(TABLE)
            .item(STREAM, text(stream))
            .item(VERSION, AttributeValue::N(HEAD.to_owned()))
            .item("last", number(version));
        let head = if last == 0 {
            head.condition_expression("attribute_not_exists(stream_id)")
        } else {
            let head = head.condition_expression("#last = :last").expression_attribute_names("#last", "last");
            head.expression_attribute_values(":last", number(last))
        };
        items.push(TransactWriteItem::builder().put(head.build()?).build());
        Ok(items)
    }
}

fn is_conflict(error: &SdkError<TransactWriteItemsError>) -> bool {
    let cancelled =
        |error: &TransactWriteItemsError| error.is_transaction_canceled_exception() || error.is_transaction_in_progress_exception();
    error.as_service_error().is_some_and(cancelled)
}

#[async_trait]
impl EventStore for Designed {
    async fn create(&self) -> Result<(), BoxError> {
        let attribute = |name: &str, kind| AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build();
        let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
        let stream = StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewAndOldImages).build()?;
        let mut create = self
            .client
            .create_table()
            .table_name(TABLE)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute(STREAM, ScalarAttributeType::S)?)
            .attribute_definitions(attribute(VERSION, ScalarAttributeType::N)?)
            .attribute_definitions(attribute(TIME, ScalarAttributeType::S)?)
            .key_schema(key(STREAM, KeyType::Hash)?)
            .key_schema(key(VERSION, KeyType::Range)?)
            .stream_specification(stream);
        for name in self.design.indexes() {
            let index = GlobalSecondaryIndex::builder()
                .index_name(format!("by_{name}"))
                .key_schema(key(name, KeyType::Hash)?)
                .key_schema(key(TIME, KeyType::Range)?)
                .projection(Projection::builder().projection_type(self.design.projection()).build());
            create = create.attribute_definitions(attribute(name, ScalarAttributeType::S)?).global_secondary_indexes(index.build()?);
        }
        create.send().await?;
        Ok(())
    }

    async fn append(&self, stream: &str, payloads: &[&Value]) -> Result<(), BoxError> {
        let mut known = self.versions.known(stream);
        loop {
            let last = match known {
                Some(last) => last,
                None => self.head(stream).await?,
            };
            let items = self.transaction(stream, last, payloads)?;
            match self.client.transact_write_items().set_transact_items(Some(items)).send().await {
                Ok(_) => {
                    self.versions.learn(stream, last + u64::try_from(payloads.len())?);
                    return Ok(());
                }
                Err(error) if is_conflict(&error) => known = None,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn read(&self, stream: &str) -> Result<usize, BoxError> {
        let query = self.client.query().table_name(TABLE).consistent_read(true);
        let query = query.key_condition_expression("stream_id = :stream AND version > :head");
        let query = query.expression_attribute_values(":stream", text(stream));
        let query = query.expression_attribute_values(":head", AttributeValue::N(HEAD.to_owned()));
        let (mut events, mut after) = (0, None);
        loop {
            let page = query.clone().set_exclusive_start_key(after).send().await?;
            for item in page.items() {
                let data = item.get("data").and_then(|data| data.as_s().ok()).ok_or("an event without its data")?;
                let _: &serde_json::value::RawValue = serde_json::from_str(data)?;
                events += 1;
            }
            after = page.last_evaluated_key;
            if after.is_none() {
                return Ok(events);
            }
        }
    }
}
