//! Wires `read-events` to DynamoDB.

use lambda_http::Error;
use read_events::handle;
use shared::adapters::system::SystemClock;
use shared::lambda::Function;
use shared::queries::read_events::ReadEventsPorts;
use shared::wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("read-events")?;
    let events = wiring::dynamo_events()?;
    let ports = &ReadEventsPorts { events: &events, definitions: &events, clock: &SystemClock, bridge: wiring::bridge_status(&events) };
    events.warm_up().await;
    function.serve_requests(|request| handle(ports, request)).await
}
