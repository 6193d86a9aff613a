//! Wires `manage-keys` to DynamoDB.

use lambda_http::Error;
use manage_keys::handle;
use shared::adapters::system::{SystemClock, SystemRandom};
use shared::commands::manage_keys::ManageKeysPorts;
use shared::lambda::Function;
use shared::wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("manage-keys")?;
    let events = wiring::dynamo_events()?;
    let ports = &ManageKeysPorts { keys: &events, clock: &SystemClock, random: &SystemRandom };
    events.warm_up().await;
    function.serve_requests(|request| handle(ports, request)).await
}
