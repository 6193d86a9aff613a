//! The Lambda function `count-events`.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use shared::{config, telemetry, wiring};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let level = config::parsed("LOG_LEVEL")?.unwrap_or(tracing::Level::WARN);
    telemetry::start(telemetry::LogFormat::Json, level);
    let counters = &wiring::dynamo_events()?;
    counters.warm_up().await;
    run(service_fn(async |event: LambdaEvent<_>| count_events::handle(counters, event).await)).await
}
