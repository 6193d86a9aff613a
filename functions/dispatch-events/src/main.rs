//! Wires `dispatch-events` to DynamoDB, SQS and EventBridge.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use shared::adapters::system::SystemClock;
use shared::commands::dispatch_events::{DispatchEventsPorts, DispatchedStreams};
use shared::ports::event_bus::EventBus;
use shared::telemetry::{self, LogFormat};
use shared::{config, wiring};
use tracing::Level;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::start(LogFormat::Json, config::parsed("LOG_LEVEL")?.unwrap_or(Level::WARN));
    let (events, queues, bus) = (wiring::dynamo_events()?, wiring::queues()?, wiring::event_bus()?);
    let dispatched = DispatchedStreams::default();
    let ports = &DispatchEventsPorts {
        log: &events,
        definitions: &events,
        queues: &queues,
        bus: bus.as_ref().map(|bus| bus as &dyn EventBus),
        clock: &SystemClock,
        dispatched: &dispatched,
    };
    events.warm_up().await;
    run(service_fn(async |event: LambdaEvent<_>| dispatch_events::handle(ports, event).await)).await
}
