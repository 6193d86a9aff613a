//! Wires `collect-frontend` to DynamoDB and SQS.

use collect_frontend::{Ports, handle};
use lambda_http::Error;
use shared::adapters::system::{SystemClock, SystemRandom};
use shared::commands::append::{AppendPorts, KnownHeads};
use shared::commands::collect_events::CollectEventsPorts;
use shared::domain::queue::{Queue, WorkQueue};
use shared::lambda::Function;
use shared::wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("collect-frontend")?;
    let (events, queues) = (wiring::dynamo_events()?, wiring::queues(&[Queue::Work(WorkQueue::Collect)])?);
    let settings = wiring::collect_settings()?;
    let heads = KnownHeads::default();
    let append = AppendPorts { log: &events, random: &SystemRandom, heads: &heads };
    let collect = CollectEventsPorts { append, rejected: &events, queues: &queues, clock: &SystemClock };
    let ports = &Ports { collect, settings: &settings };
    events.warm_up().await;
    function.serve_requests(|request| handle(ports, request)).await
}
