//! Wires `read-projections` to DynamoDB.

use lambda_http::Error;
use read_projections::{ProjectionPorts, handle};
use shared::adapters::system::{SystemClock, SystemRandom};
use shared::commands::manage_projections::ManageProjectionsPorts;
use shared::lambda::Function;
use shared::queries::read_projection::{MOST_EVENTS, ReadProjectionPorts};
use shared::wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("read-projections")?;
    let events = wiring::dynamo_events()?;
    let ports = &ProjectionPorts {
        read: ReadProjectionPorts { streams: &events, snapshots: &events, definitions: &events, most_events: MOST_EVENTS },
        manage: ManageProjectionsPorts { definitions: &events, projections: &events, clock: &SystemClock, random: &SystemRandom },
    };
    events.warm_up().await;
    function.serve_requests(|request| handle(ports, request)).await
}
