//! Wires `read-events` to DynamoDB.

use std::convert::Infallible;

use lambda_http::{Error, Request, run, service_fn};
use read_events::handle;
use shared::adapters::system::SystemClock;
use shared::config;
use shared::queries::read_events::ReadEventsPorts;
use shared::telemetry::{self, LogFormat};
use shared::wiring;
use tracing::Level;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::start(LogFormat::Json, config::parsed("LOG_LEVEL")?.unwrap_or(Level::WARN));
    let events = wiring::dynamo_events()?;
    let ports = &ReadEventsPorts { events: &events, definitions: &events, clock: &SystemClock };
    events.warm_up().await;
    run(service_fn(async |request: Request| Ok::<_, Infallible>(handle(ports, request).await))).await
}
