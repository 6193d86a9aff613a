//! Wires `retry-processors` to DynamoDB, SQS, EventBridge and the network.

use lambda_runtime::Error;
use shared::domain::queue::{Queue, WorkQueue};
use shared::lambda::Function;
use shared::wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("retry-processors")?;
    let adapters = wiring::Processing::from_environment(&[Queue::Work(WorkQueue::Retry)])?;
    let ports = &adapters.ports();
    adapters.warm_up().await;
    function.serve_events(async |event| retry_processors::handle(ports, event).await).await
}
