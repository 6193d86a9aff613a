//! Sends events to subscriptions, signed: hears the queue `deliver`.

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use futures::future::join_all;
use lambda_runtime::{Error, LambdaEvent};
use serde_json::{Value, json};
use shared::commands::deliver_webhooks::{DeliverWebhooksPorts, deliver_webhooks};
use shared::domain::work::DeliverWork;
use shared::telemetry::Chain;

/// Deals with the messages of a batch, together, and answers with those that failed.
///
/// # Errors
/// None: what fails is in the answer.
pub async fn handle(ports: &DeliverWebhooksPorts<'_>, event: LambdaEvent<SqsEvent>) -> Result<Value, Error> {
    let outcomes = join_all(event.payload.records.into_iter().map(|message| deal_with(ports, message))).await;
    let failures: Vec<Value> = outcomes.into_iter().flatten().map(|id| json!({ "itemIdentifier": id })).collect();
    Ok(json!({ "batchItemFailures": failures }))
}

/// Deals with a message. Returns its id if that failed.
async fn deal_with(ports: &DeliverWebhooksPorts<'_>, message: SqsMessage) -> Option<String> {
    let id = message.message_id.unwrap_or_default();
    match serde_json::from_str::<DeliverWork>(message.body.as_deref().unwrap_or_default()) {
        Ok(work) => match deliver_webhooks(ports, &work).await {
            Ok(()) => None,
            Err(error) => {
                tracing::error!(error = %Chain(&error), message_id = id, "events were not sent");
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
