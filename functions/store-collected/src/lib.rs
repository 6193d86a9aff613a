//! Stores what was collected while the store did not answer: hears the queue `collect`.

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use lambda_runtime::{Error, LambdaEvent};
use serde_json::{Value, json};
use shared::commands::collect_events::{StoreHeldPorts, store_held};
use shared::domain::work::CollectWork;
use shared::telemetry::Chain;

/// Deals with the messages of a batch in their order, and answers with those that failed: the first of a group, and all of it that
/// come after.
///
/// # Errors
/// None: what fails is in the answer.
pub async fn handle(ports: &StoreHeldPorts<'_>, event: LambdaEvent<SqsEvent>) -> Result<Value, Error> {
    let (mut failed, mut stopped) = (Vec::new(), Vec::new());
    for message in event.payload.records {
        let group = message.attributes.get("MessageGroupId").cloned().unwrap_or_default();
        let id = message.message_id.clone().unwrap_or_default();
        if stopped.contains(&group) || !deal_with(ports, &message).await {
            failed.push(json!({ "itemIdentifier": id }));
            stopped.push(group);
        }
    }
    Ok(json!({ "batchItemFailures": failed }))
}

async fn deal_with(ports: &StoreHeldPorts<'_>, message: &SqsMessage) -> bool {
    let id = message.message_id.as_deref().unwrap_or_default();
    let work: CollectWork = match serde_json::from_str(message.body.as_deref().unwrap_or_default()) {
        Ok(work) => work,
        // It goes to the dead letters, where a person sees it.
        Err(error) => {
            tracing::error!(%error, message_id = id, "a message cannot be read");
            return false;
        }
    };
    match store_held(ports, work).await {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(error = %Chain(&error), message_id = id, "collected events wait for the store");
            false
        }
    }
}
