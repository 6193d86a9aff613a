//! Wires `manage-dead-letters` to DynamoDB and SQS.

use lambda_http::Error;
use manage_dead_letters::handle;
use shared::adapters::system::{SystemClock, SystemRandom};
use shared::commands::manage_dead_letters::ManageDeadLettersPorts;
use shared::domain::queue::{Queue, WorkQueue};
use shared::lambda::Function;
use shared::wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("manage-dead-letters")?;
    let (events, queues) = (
        wiring::dynamo_events()?,
        wiring::queues(
            &[WorkQueue::Process, WorkQueue::Retry, WorkQueue::Deliver, WorkQueue::Collect, WorkQueue::Replay, WorkQueue::Nats]
                .map(Queue::Work),
        )?,
    );
    let ports =
        &ManageDeadLettersPorts { dead_letters: &events, deliveries: &events, queues: &queues, clock: &SystemClock, random: &SystemRandom };
    events.warm_up().await;
    function.serve_requests(|request| handle(ports, request)).await
}
