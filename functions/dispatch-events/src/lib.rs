//! Hands what was stored to processors, subscribers and the bus: hears of every change of the table.

use aws_lambda_events::event::dynamodb::Event;
use lambda_runtime::{Error, LambdaEvent};
use serde_json::{Value, json};
use shared::adapters::dynamodb::stream::happening;
use shared::commands::dispatch_events::{DispatchEventsPorts, dispatch_events};
use shared::domain::counters::SequenceNumber;
use shared::domain::happening::NoticedHappening;
use shared::telemetry::Chain;

/// Hands on the changes of a batch, and answers with the first that was not handed on, from which Lambda goes on. A record that
/// cannot be read is logged and passed over: it never will be, and its shard must not wait for it.
///
/// # Errors
/// None: what fails is in the answer.
pub async fn handle(ports: &DispatchEventsPorts<'_>, event: LambdaEvent<Event>) -> Result<Value, Error> {
    let mut noticed: Vec<NoticedHappening> = Vec::with_capacity(event.payload.records.len());
    for record in &event.payload.records {
        let sequence = record.change.sequence_number.clone().map(SequenceNumber);
        match (happening(record), sequence) {
            (Ok(Some(happening)), Some(sequence)) => noticed.push(NoticedHappening { sequence, happening }),
            (Ok(None), _) => {}
            (Ok(Some(_)), None) => tracing::error!(event_id = record.event_id, "a record has no sequence number and is not handed on"),
            (Err(error), _) => {
                tracing::error!(error = %Chain(&error), event_id = record.event_id, "a record cannot be read and is not handed on");
            }
        }
    }
    let failures: Vec<Value> = match dispatch_events(ports, noticed).await {
        Ok(()) => Vec::new(),
        Err(error) => {
            tracing::error!(error = %Chain(&error), "dispatching stopped");
            vec![json!({ "itemIdentifier": error.from.0 })]
        }
    };
    Ok(json!({ "batchItemFailures": failures }))
}
