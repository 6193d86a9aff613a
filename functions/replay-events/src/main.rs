//! Wires `replay-events` to DynamoDB and SQS.

use lambda_http::Error;
use replay_events::handle;
use shared::adapters::system::SystemRandom;
use shared::commands::manage_replays::ManageReplaysPorts;
use shared::domain::queue::{Queue, WorkQueue};
use shared::lambda::Function;
use shared::wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("replay-events")?;
    let (events, queues) = (wiring::dynamo_events()?, wiring::queues(&[Queue::Work(WorkQueue::Replay)])?);
    let batch = wiring::replay_batches(&events);
    let ports = &ManageReplaysPorts {
        replays: &events,
        batch,
        events: &events,
        queues: &queues,
        random: &SystemRandom,
        bridging: wiring::bridging(),
    };
    events.warm_up().await;
    function.serve_requests(|request| handle(ports, request)).await
}
