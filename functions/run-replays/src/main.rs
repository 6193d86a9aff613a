//! Wires `run-replays` to DynamoDB, SQS, EventBridge and the network.

use lambda_runtime::Error;
use shared::domain::queue::{Queue, WorkQueue};
use shared::lambda::Function;
use shared::wiring::Processing;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("run-replays")?;
    let processing = Processing::from_environment(&[WorkQueue::Replay, WorkQueue::Nats].map(Queue::Work))?;
    let ports = &processing.replaying();
    processing.warm_up().await;
    function.serve_events(async |event| run_replays::handle(ports, event).await).await
}
