//! Wires `manage-dead-letters` to DynamoDB and SQS.

use std::convert::Infallible;

use lambda_http::{Error, Request, run, service_fn};
use manage_dead_letters::handle;
use shared::adapters::system::{SystemClock, SystemRandom};
use shared::commands::manage_dead_letters::ManageDeadLettersPorts;
use shared::telemetry::{self, LogFormat};
use shared::{config, wiring};
use tracing::Level;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::start(LogFormat::Json, config::parsed("LOG_LEVEL")?.unwrap_or(Level::WARN));
    let (events, queues) = (wiring::dynamo_events()?, wiring::queues()?);
    let ports =
        &ManageDeadLettersPorts { dead_letters: &events, deliveries: &events, queues: &queues, clock: &SystemClock, random: &SystemRandom };
    events.warm_up().await;
    run(service_fn(async |request: Request| Ok::<_, Infallible>(handle(ports, request).await))).await
}
