//! This service's store: what `record-events` and `read-events` call.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use serde_json::{Value, json};
use shared::adapters::aws::Connection;
use shared::adapters::dynamodb::{DynamoEvents, TimeShards, connect, table};
use shared::adapters::system::{SystemClock, SystemRandom};
use shared::commands::append::{AppendPorts, AppendRequest, KnownHeads, append};
use shared::domain::version::Version;
use shared::http::draft;
use shared::ports::clock::Clock as _;
use shared::ports::event_reader::{EventReader as _, StreamRequest};
use tools::http_client::BoxError;

use crate::stores::EventStore;

/// This service's store.
pub(crate) struct Ours {
    client: Client,
    events: DynamoEvents,
    heads: KnownHeads,
}

impl Ours {
    /// The store at an endpoint.
    pub(crate) fn new(endpoint: &str) -> Self {
        let client = connect(Connection::local(endpoint));
        let events = DynamoEvents::new(client.clone(), table::DEFAULT_NAME.to_owned(), TimeShards::default());
        Self { client, events, heads: KnownHeads::default() }
    }
}

#[async_trait]
impl EventStore for Ours {
    async fn create(&self) -> Result<(), BoxError> {
        Ok(table::create(&self.client, table::DEFAULT_NAME).await?)
    }

    async fn append(&self, stream: &str, payloads: &[&Value]) -> Result<(), BoxError> {
        let event = |payload: &&Value| {
            json!({
                "event_type": "order.placed", "event_category": "order", "stream_id": format!("order:{stream}"), "correlation_id": "c-1",
                "data": payload,
            })
        };
        let body = serde_json::value::to_raw_value(&payloads.iter().map(event).collect::<Vec<_>>())?;
        let drafts = draft::batch_drafts(&body).map_err(|problem| serde_json::to_string(&problem).unwrap_or_default())?;
        let ports = AppendPorts { log: &self.events, random: &SystemRandom, heads: &self.heads };
        append(&ports, &AppendRequest { drafts, key: None, now: SystemClock.now() }).await?;
        Ok(())
    }

    async fn read(&self, stream: &str) -> Result<usize, BoxError> {
        let (stream, limit) = (format!("order:{stream}").parse()?, usize::MAX);
        let request = StreamRequest { stream, organization: None, from: Version::EMPTY, to: Version::MAX, limit };
        Ok(self.events.stream(&request).await?.events.len())
    }
}
