//! Runs the processors of events, in the order of their stream: hears the FIFO queue `process`.

use std::collections::HashSet;

use aws_lambda_events::event::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent};
use serde_json::{Value, json};
use shared::commands::process_events::{ProcessEventsPorts, process_events};
use shared::domain::work::ProcessWork;
use shared::telemetry::Chain;

/// The attribute of a message that names its group.
const GROUP: &str = "MessageGroupId";

/// Processes the messages of a batch in their order, and answers with those that failed. After one of a group has failed, the
/// later ones of the group are left for the next time as well, or they would overtake it.
///
/// # Errors
/// None: what fails is in the answer.
pub async fn handle(ports: &ProcessEventsPorts<'_>, event: LambdaEvent<SqsEvent>) -> Result<Value, Error> {
    let mut failures: Vec<Value> = Vec::new();
    let mut stopped: HashSet<String> = HashSet::new();
    for message in event.payload.records {
        let id = message.message_id.unwrap_or_default();
        let group = message.attributes.get(GROUP).cloned().unwrap_or_else(|| id.clone());
        let done = if stopped.contains(&group) {
            false
        } else {
            match serde_json::from_str::<ProcessWork>(message.body.as_deref().unwrap_or_default()) {
                Ok(work) => match process_events(ports, &work).await {
                    Ok(()) => true,
                    Err(error) => {
                        tracing::error!(error = %Chain(&error), message_id = id, "events were not processed");
                        false
                    }
                },
                // It goes to the dead letters, where a person sees it.
                Err(error) => {
                    tracing::error!(%error, message_id = id, "a message cannot be read");
                    false
                }
            }
        };
        if !done {
            stopped.insert(group);
            failures.push(json!({ "itemIdentifier": id }));
        }
    }
    Ok(json!({ "batchItemFailures": failures }))
}
