//! Has what was stored counted, as the table's stream does it on AWS.

use chrono::{DateTime, Utc};
use lambda_runtime::{Context, LambdaEvent};
use shared::adapters::dynamodb::{DynamoEvents, table};
use shared::adapters::embedded::{EmbeddedDynamo, EmbeddedError, TumblingWindow, WindowStage};
use shared::commands::count_events::CountEventsPorts;

/// Changes could not be counted.
#[derive(Debug, thiserror::Error)]
pub enum CountingError {
    /// The stream cannot be read.
    #[error(transparent)]
    Stream(#[from] EmbeddedError),
    /// A batch is not what the function takes.
    #[error("the records are not those of a stream")]
    Records(#[from] serde_json::Error),
    /// The function failed.
    #[error("counting failed")]
    Function(#[source] lambda_runtime::Error),
    /// The function gave records back.
    #[error("counting left records")]
    Uncounted,
}

/// Hands the next `most` records of the stream to the counters, as of the moment `now`, and moves `after`. Returns how many there were.
///
/// # Errors
/// [`CountingError`] if any of them is not counted.
pub async fn hand_over(
    dynamo: &EmbeddedDynamo,
    counters: &DynamoEvents,
    after: &mut Option<String>,
    most: usize,
    now: DateTime<Utc>,
) -> Result<usize, CountingError> {
    let batch = dynamo.read_stream(table::DEFAULT_NAME, after.as_deref(), most).await?;
    let records = batch.records.len();
    if records > 0 {
        let window = TumblingWindow { start: now, end: now, state: serde_json::Map::new(), stage: WindowStage::Running };
        let event = LambdaEvent::new(serde_json::from_value(batch.window_event(&window))?, Context::default());
        let ports = CountEventsPorts { counters, definitions: counters };
        let answer = count_events::handle(&ports, None, event).await.map_err(CountingError::Function)?;
        if answer["batchItemFailures"].as_array().is_none_or(|failures| !failures.is_empty()) {
            return Err(CountingError::Uncounted);
        }
    }
    *after = batch.last_sequence;
    Ok(records)
}
