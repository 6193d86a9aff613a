//! The ports on DynamoDB: one table, three indexes, one stream.

mod archive_store;
mod archived;
mod batch;
mod bridge_status;
mod client;
mod commit_log;
mod counter_store;
mod dead_letters;
mod definition_store;
mod delivery_log;
mod event_reader;
mod failure;
mod items;
mod key_store;
mod keys;
mod ledger;
mod merge;
mod meter;
mod outcome_log;
mod projection_store;
mod rejected_events;
mod replay_store;
mod revised;
mod scan;
#[cfg(feature = "stream")]
pub mod stream;
mod stream_reader;
pub mod table;
mod timeline;

pub use client::{connect, connect_metered};
pub use meter::{Meter, Usage};

use std::sync::Arc;

use self::definition_store::KnownDefinitions;
use super::sealing::{Sealer, Secrets};
use crate::ports::object_store::ObjectStore;

/// The table, through a client. Every port is implemented on it.
#[derive(Debug, Clone)]
pub struct DynamoEvents {
    client: aws_sdk_dynamodb::Client,
    table: String,
    time_shards: TimeShards,
    most_examined: u64,
    secrets: Arc<Secrets>,
    known: Arc<KnownDefinitions>,
    objects: Option<Arc<dyn ObjectStore>>,
}

impl DynamoEvents {
    /// The most events that one query examines where counters do not help, unless said otherwise.
    pub const MOST_EXAMINED: u64 = 20_000;

    /// The ports on the table of this name.
    #[must_use]
    pub fn new(client: aws_sdk_dynamodb::Client, table: String, time_shards: TimeShards) -> Self {
        let (secrets, known) = (Arc::default(), Arc::default());
        Self { client, table, time_shards, most_examined: Self::MOST_EXAMINED, secrets, known, objects: None }
    }

    /// The same, but the secrets of processors and subscriptions are sealed when they are saved, and opened when they are read.
    #[must_use]
    pub fn sealing(self, sealer: Sealer) -> Self {
        Self { secrets: Arc::new(Secrets::Sealed(Box::new(sealer))), ..self }
    }

    /// The same, for a process that has no business with secrets and so holds no key: processors are read without their `config`,
    /// subscriptions without their secrets, and neither can be saved.
    #[must_use]
    pub fn without_secrets(self) -> Self {
        Self { secrets: Arc::new(Secrets::Unread), ..self }
    }

    /// The same, with the store of the archive: events that are there can be read.
    #[must_use]
    pub fn with_archive(self, objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects: Some(objects), ..self }
    }

    /// The same, but queries examine at most about so many events before they hand back a cursor.
    #[must_use]
    pub fn examining(self, most: u64) -> Self {
        Self { most_examined: most, ..self }
    }

    /// Opens a connection before the first request needs it: a read of a key that does not exist.
    pub async fn warm_up(&self) {
        use aws_sdk_dynamodb::types::AttributeValue;
        let nothing = AttributeValue::S("-".to_owned());
        let read = self.client.get_item().table_name(&self.table).key(keys::PK, nothing.clone()).key(keys::SK, nothing).send().await;
        if let Err(error) = read {
            tracing::warn!(error = %crate::telemetry::Chain(&error), "the table was not reached at start");
        }
    }
}

/// How many partitions of the time index one category has a day, to spread more writes than one
/// partition takes (1000 write units a second). May be raised at any time; lowering it hides events
/// from queries until they are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeShards(u8);

impl TimeShards {
    /// The most partitions.
    pub const MAX: u8 = 16;

    /// So many partitions, or nothing outside 1 to [`TimeShards::MAX`].
    #[must_use]
    pub fn new(shards: u8) -> Option<Self> {
        (1..=Self::MAX).contains(&shards).then_some(Self(shards))
    }
}

impl Default for TimeShards {
    fn default() -> Self {
        Self(1)
    }
}

impl std::str::FromStr for TimeShards {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().ok().and_then(Self::new).ok_or_else(|| format!("must be a number from 1 to {}", Self::MAX))
    }
}
