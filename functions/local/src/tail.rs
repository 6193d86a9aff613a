//! Follows the table's stream, and hands it to the functions that hear it on AWS.

use std::time::Duration;

use lambda_runtime::{Context, LambdaEvent};
use shared::adapters::dynamodb::DynamoEvents;
use shared::adapters::embedded::{EmbeddedDynamo, EmbeddedError, TumblingWindow, WindowStage};
use shared::domain::timestamp::Timestamp;
use shared::telemetry::Chain;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How many records are handed over at a time.
const BATCH: usize = 500;
/// How often is looked for new records.
const PAUSE: Duration = Duration::from_millis(50);

/// The stream could not be handed over.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The stream could not be read.
    #[error("the stream of the table cannot be read")]
    Read(#[from] EmbeddedError),
    /// The records were not understood.
    #[error("the records of the table's stream are not as Lambda has them")]
    Form(#[from] serde_json::Error),
    /// A function failed as a whole.
    #[error("count-events failed")]
    Function(#[source] lambda_runtime::Error),
    /// A function did not take all records.
    #[error("count-events left records")]
    Left,
}

/// Hands over records as they come, until `stop` changes, and then those that are left.
///
/// What is handed over is removed from the stream afterwards, so that after a crash it is handed over
/// again, which the functions expect.
pub async fn follow(embedded: &EmbeddedDynamo, table: &str, events: &DynamoEvents, mut stop: watch::Receiver<bool>) {
    let mut ticks: Interval = interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut after: Option<String> = None;
    loop {
        let stopping = *stop.borrow();
        match hand_over(embedded, table, events, &mut after).await {
            Ok(0) if stopping => return,
            Ok(0) => {}
            Ok(count) if count == BATCH || stopping => continue,
            // A few at a time would cost nearly as many counter writes as events.
            Ok(_) => {}
            Err(error) => tracing::error!(error = %Chain(&error), "the table's stream waits"),
        }
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.changed() => {}
        }
    }
}

/// Hands over the records after `after`, and moves it. Returns how many there were.
async fn hand_over(embedded: &EmbeddedDynamo, table: &str, events: &DynamoEvents, after: &mut Option<String>) -> Result<usize, TailError> {
    let batch = embedded.read_stream(table, after.as_deref(), BATCH).await?;
    let count = batch.records.len();
    if count > 0 {
        let event = serde_json::from_value(batch.window_event(&window()))?;
        let answer = count_events::handle(events, LambdaEvent::new(event, Context::default())).await.map_err(TailError::Function)?;
        if answer["batchItemFailures"].as_array().is_some_and(|failures| !failures.is_empty()) {
            return Err(TailError::Left);
        }
    }
    if let Some(last) = batch.last_sequence {
        embedded.prune_stream(table, &last).await?;
        *after = Some(last);
    }
    Ok(count)
}

/// A tumbling window that nothing looks at.
fn window() -> TumblingWindow {
    let moment = Timestamp::MIN.to_chrono();
    TumblingWindow { start: moment, end: moment, state: serde_json::Map::new(), stage: WindowStage::Running }
}
