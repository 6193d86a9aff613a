//! Wires `record-events` to DynamoDB.

use lambda_http::Error;
use record_events::handle;
use shared::adapters::system::{SystemClock, SystemRandom};
use shared::commands::append::{AppendPorts, KnownHeads};
use shared::commands::check_schemas::SchemaGate;
use shared::commands::record_events::RecordEventsPorts;
use shared::lambda::Function;
use shared::wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("record-events")?;
    let events = wiring::dynamo_events()?;
    let heads = KnownHeads::default();
    let append = AppendPorts { log: &events, random: &SystemRandom, heads: &heads };
    let ports = &RecordEventsPorts { append, clock: &SystemClock, definitions: &events, gate: &SchemaGate::default() };
    events.warm_up().await;
    function.serve_requests(|request| handle(ports, request)).await
}
