//! Wires `archive-events` to DynamoDB and S3.

use archive_events::{Ports, handle};
use lambda_runtime::Error;
use shared::adapters::system::SystemClock;
use shared::commands::archive_events::ArchiveEventsPorts;
use shared::config::ConfigError;
use shared::lambda::Function;
use shared::wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("archive-events")?;
    let events = wiring::dynamo_events()?;
    let objects = wiring::archive()?.ok_or(ConfigError::Missing("ARCHIVE_BUCKET"))?;
    let after = wiring::archive_after()?;
    let ports = &Ports { archive: ArchiveEventsPorts { archive: &events, objects: &objects, clock: &SystemClock }, after };
    events.warm_up().await;
    function.serve_events(async |event| handle(ports, event).await).await
}
