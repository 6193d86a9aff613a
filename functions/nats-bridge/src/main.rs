//! Wires `nats-bridge` to NATS, DynamoDB and SQS.

use lambda_runtime::Error;
use nats_bridge::{Ports, handle};
use shared::domain::queue::{Queue, WorkQueue};
use shared::lambda::Function;
use shared::wiring::NatsBridge;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("nats-bridge")?;
    let wired = NatsBridge::from_environment(&[Queue::Work(WorkQueue::Nats)])?;
    let (events, queues, broker) = (wired.events(), wired.queues(), &wired.broker);
    let ports = &Ports { bridge: wired.publishing(), ingest: wired.ingesting(), queues, broker, status: events };
    events.warm_up().await;
    function.serve_events(async |event| handle(ports, event).await).await
}
