//! Wires `process-events` to DynamoDB, SQS, EventBridge and the network.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use shared::telemetry::{self, LogFormat};
use shared::{config, wiring};
use tracing::Level;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::start(LogFormat::Json, config::parsed("LOG_LEVEL")?.unwrap_or(Level::WARN));
    let adapters = wiring::Processing::from_environment()?;
    let ports = &adapters.ports();
    adapters.warm_up().await;
    run(service_fn(async |event: LambdaEvent<_>| process_events::handle(ports, event).await)).await
}
