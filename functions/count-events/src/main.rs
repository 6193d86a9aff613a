//! The Lambda function `count-events`.

use lambda_runtime::Error;
use shared::commands::count_events::CountEventsPorts;
use shared::config;
use shared::lambda::Function;
use shared::wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("count-events")?;
    let events = &wiring::dynamo_events()?;
    events.warm_up().await;
    let ports = &CountEventsPorts { counters: events, definitions: events };
    let only_shard = config::optional("STREAM_ONLY_SHARD");
    function.serve_events(async |event| count_events::handle(ports, only_shard.as_deref(), event).await).await
}
