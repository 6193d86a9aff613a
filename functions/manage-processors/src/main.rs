//! Wires `manage-processors` to DynamoDB and the network.

use std::convert::Infallible;

use lambda_http::{Error, Request, run, service_fn};
use manage_processors::handle;
use shared::adapters::system::{SystemClock, SystemRandom, SystemTimer};
use shared::commands::manage_processors::ManageProcessorsPorts;
use shared::telemetry::{self, LogFormat};
use shared::{config, wiring};
use tracing::Level;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::start(LogFormat::Json, config::parsed("LOG_LEVEL")?.unwrap_or(Level::WARN));
    let (events, webhooks) = (wiring::dynamo_events()?, wiring::webhooks()?);
    let ports = &ManageProcessorsPorts {
        definitions: &events,
        counters: &events,
        events: &events,
        webhooks: &webhooks,
        clock: &SystemClock,
        timer: &SystemTimer,
        random: &SystemRandom,
    };
    events.warm_up().await;
    run(service_fn(async |request: Request| Ok::<_, Infallible>(handle(ports, request).await))).await
}
