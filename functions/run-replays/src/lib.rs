//! Sends events of the past again: hears the queue `replay`.

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use lambda_runtime::{Error, LambdaEvent};
use serde_json::{Value, json};
use shared::commands::run_replays::{RunReplaysPorts, run_replay};
use shared::domain::work::ReplayWork;
use shared::telemetry::Chain;

/// Deals with the messages of a batch, one after the other, and answers with those that failed.
///
/// # Errors
/// None: what fails is in the answer.
pub async fn handle(ports: &RunReplaysPorts<'_>, event: LambdaEvent<SqsEvent>) -> Result<Value, Error> {
    let mut failures: Vec<Value> = Vec::new();
    for message in event.payload.records {
        if let Some(id) = deal_with(ports, message).await {
            failures.push(json!({ "itemIdentifier": id }));
        }
    }
    Ok(json!({ "batchItemFailures": failures }))
}

/// Deals with a message. Returns its id if that failed.
async fn deal_with(ports: &RunReplaysPorts<'_>, message: SqsMessage) -> Option<String> {
    let id = message.message_id.unwrap_or_default();
    match serde_json::from_str::<ReplayWork>(message.body.as_deref().unwrap_or_default()) {
        Ok(work) => match run_replay(ports, &work).await {
            Ok(()) => None,
            Err(error) => {
                tracing::error!(error = %Chain(&error), message_id = id, replay_id = %work.replay_id, "a replay waits");
                Some(id)
            }
        },
        // It goes to the dead letters, where a person sees it.
        Err(error) => {
            tracing::error!(%error, message_id = id, "a message cannot be read");
            Some(id)
        }
    }
}
