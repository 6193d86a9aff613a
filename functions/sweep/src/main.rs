//! Wires `sweep` to DynamoDB and SQS.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use shared::adapters::system::SystemClock;
use shared::commands::sweep::SweepPorts;
use shared::telemetry::{self, LogFormat};
use shared::{config, wiring};
use tracing::Level;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::start(LogFormat::Json, config::parsed("LOG_LEVEL")?.unwrap_or(Level::WARN));
    let (events, queues) = (wiring::dynamo_events()?, wiring::queues()?);
    let ports = &SweepPorts {
        events: &events,
        definitions: &events,
        deliveries: &events,
        dead_letters: &events,
        queues: &queues,
        dead_queues: &queues,
        clock: &SystemClock,
    };
    run(service_fn(async |event: LambdaEvent<_>| sweep::handle(ports, event).await)).await
}
