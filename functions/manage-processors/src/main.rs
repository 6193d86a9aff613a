//! Wires `manage-processors` to DynamoDB and the network.

use lambda_http::Error;
use manage_processors::handle;
use shared::adapters::system::{SystemClock, SystemRandom, SystemTimer};
use shared::commands::manage_processors::ManageProcessorsPorts;
use shared::lambda::Function;
use shared::wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("manage-processors")?;
    let (events, webhooks) = (wiring::dynamo_events_and_secrets()?, wiring::webhooks()?);
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
    function.serve_requests(|request| handle(ports, request)).await
}
