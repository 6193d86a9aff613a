//! Wires `manage-rejected-events` to DynamoDB and SQS.

use lambda_http::Error;
use manage_rejected_events::handle;
use shared::adapters::system::{SystemClock, SystemRandom};
use shared::commands::append::{AppendPorts, KnownHeads};
use shared::commands::collect_events::CollectEventsPorts;
use shared::commands::manage_rejected_events::ManageRejectedEventsPorts;
use shared::domain::queue::{Queue, WorkQueue};
use shared::http::collect::read_event;
use shared::lambda::Function;
use shared::wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("manage-rejected-events")?;
    let (events, queues) = (wiring::dynamo_events()?, wiring::queues(&[Queue::Work(WorkQueue::Collect)])?);
    let heads = KnownHeads::default();
    let append = AppendPorts { log: &events, random: &SystemRandom, heads: &heads };
    let collect = CollectEventsPorts { append, rejected: &events, queues: &queues, clock: &SystemClock };
    let ports = &ManageRejectedEventsPorts { collect, read: read_event };
    events.warm_up().await;
    function.serve_requests(|request| handle(ports, request)).await
}
