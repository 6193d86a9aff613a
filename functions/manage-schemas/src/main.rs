//! Wires `manage-schemas` to DynamoDB.

use lambda_http::Error;
use manage_schemas::handle;
use shared::adapters::system::SystemClock;
use shared::commands::manage_schemas::ManageSchemasPorts;
use shared::lambda::Function;
use shared::wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("manage-schemas")?;
    let events = wiring::dynamo_events()?;
    let ports = &ManageSchemasPorts { definitions: &events, schemas: &events, clock: &SystemClock };
    events.warm_up().await;
    function.serve_requests(|request| handle(ports, request)).await
}
