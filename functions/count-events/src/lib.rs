//! Keeps the counters: hears of every change of the table and counts it once.
//!
//! The event source must have a tumbling window, because only then does Lambda say which shard the
//! records are of. The window's state is not used: counts are saved with every call. Emulators of AWS
//! know no windows, and their streams have one shard: there, a setting names it.

use aws_lambda_events::event::dynamodb::EventRecord;
use lambda_runtime::{Error, LambdaEvent};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::adapters::dynamodb::stream::change;
use shared::commands::count_events::{CountEventsPorts, count_events};
use shared::domain::counters::{Change, ShardId};
use shared::telemetry::Chain;

/// A batch of records, of which only what is used here is read: emulators leave out the window.
#[derive(Debug, Deserialize)]
pub struct Batch {
    #[serde(rename = "Records")]
    records: Vec<EventRecord>,
    #[serde(rename = "shardId")]
    shard: Option<String>,
}

/// Counts the changes of a batch, and answers with the first that could not be counted, from which
/// Lambda goes on. A record that cannot be read is logged and passed over: counting it will never
/// succeed, and its shard must not wait for it.
///
/// `only_shard` is the shard of events that do not say which they are of, where there is just one.
///
/// # Errors
/// If the event does not say which shard it is of, and there may be several; nothing was counted then.
pub async fn handle(ports: &CountEventsPorts<'_>, only_shard: Option<&str>, event: LambdaEvent<Batch>) -> Result<Value, Error> {
    let batch = event.payload;
    let shard = batch.shard.or_else(|| only_shard.map(str::to_owned));
    let shard = shard.ok_or("the event source has no tumbling window, so the shard is not known")?;
    let mut changes: Vec<Change> = Vec::with_capacity(batch.records.len());
    for record in &batch.records {
        match change(record) {
            Ok(change) => changes.extend(change),
            Err(error) => tracing::error!(error = %Chain(&error), event_id = record.event_id, "a record cannot be read and is not counted"),
        }
    }
    let failures: Vec<Value> = match count_events(ports, &ShardId(shard), changes).await {
        Ok(()) => Vec::new(),
        Err(error) => {
            tracing::error!(error = %Chain(&error), "counting stopped");
            vec![json!({ "itemIdentifier": error.from.0 })]
        }
    };
    Ok(json!({ "state": {}, "batchItemFailures": failures }))
}
