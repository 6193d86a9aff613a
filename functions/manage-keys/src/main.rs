//! Wires `manage-keys` to DynamoDB.

use std::convert::Infallible;

use lambda_http::{Error, Request, run, service_fn};
use manage_keys::handle;
use shared::adapters::system::{SystemClock, SystemRandom};
use shared::commands::manage_keys::ManageKeysPorts;
use shared::config;
use shared::telemetry::{self, LogFormat};
use shared::wiring;
use tracing::Level;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::start(LogFormat::Json, config::parsed("LOG_LEVEL")?.unwrap_or(Level::WARN));
    let events = wiring::dynamo_events()?;
    let ports = &ManageKeysPorts { keys: &events, clock: &SystemClock, random: &SystemRandom };
    events.warm_up().await;
    run(service_fn(async |request: Request| Ok::<_, Infallible>(handle(ports, request).await))).await
}
