//! Keeps the counters: hears of every change of the table and counts it once.
//!
//! The event source must have a tumbling window, because only then does Lambda say which shard the
//! records are of. The window's state is not used: counts are saved with every call. Emulators of AWS
//! know no windows, and their streams have one shard: there, a setting names it.

use aws_lambda_events::event::dynamodb::TimeWindowEvent;
use lambda_runtime::{Error, LambdaEvent};
use serde_json::{Value, json};
use shared::adapters::dynamodb::stream::change;
use shared::commands::count_events::{CountEventsPorts, count_events};
use shared::domain::counters::{Change, ShardId};
use shared::telemetry::Chain;

/// Counts the changes of a batch, and answers with the first that could not be counted, from which
/// Lambda goes on. A record that cannot be read is logged and passed over: counting it will never
/// succeed, and its shard must not wait for it.
///
/// `only_shard` is the shard of events that do not say which they are of, where there is just one.
///
/// # Errors
/// If the event does not say which shard it is of, and there may be several; nothing was counted then.
pub async fn handle(ports: &CountEventsPorts<'_>, only_shard: Option<&str>, event: LambdaEvent<TimeWindowEvent>) -> Result<Value, Error> {
    let window = event.payload;
    let shard = window.time_window_properties.shard_id.or_else(|| only_shard.map(str::to_owned));
    let shard = shard.ok_or("the event source has no tumbling window, so the shard is not known")?;
    let mut changes: Vec<Change> = Vec::with_capacity(window.dynamo_db_event.records.len());
    for record in &window.dynamo_db_event.records {
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
