//! The Lambda function `count-events`.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use shared::commands::count_events::CountEventsPorts;
use shared::{config, telemetry, wiring};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let level = config::parsed("LOG_LEVEL")?.unwrap_or(tracing::Level::WARN);
    telemetry::start(telemetry::LogFormat::Json, level);
    let events = &wiring::dynamo_events()?;
    events.warm_up().await;
    let ports = &CountEventsPorts { counters: events, definitions: events };
    run(service_fn(async |event: LambdaEvent<_>| count_events::handle(ports, event).await)).await
}
