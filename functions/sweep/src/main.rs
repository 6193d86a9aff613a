//! Wires `sweep` to DynamoDB and SQS.

use lambda_runtime::Error;
use shared::adapters::system::SystemClock;
use shared::commands::sweep::SweepPorts;
use shared::domain::queue::{Queue, WorkQueue};
use shared::lambda::Function;
use shared::queries::measure_service::MeasureServicePorts;
use shared::wiring;
use sweep::{Ports, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("sweep")?;
    let all: Vec<Queue> = WorkQueue::ALL.iter().flat_map(|queue| [Queue::Work(*queue), Queue::DeadLetters(*queue)]).collect();
    let (events, queues) = (wiring::dynamo_events()?, wiring::queues(&all)?);
    let sweep = SweepPorts {
        events: &events,
        definitions: &events,
        deliveries: &events,
        dead_letters: &events,
        replays: &events,
        queues: &queues,
        dead_queues: &queues,
        clock: &SystemClock,
    };
    let ports = &Ports { sweep, measure: MeasureServicePorts { events: &events, counters: &events, clock: &SystemClock } };
    events.warm_up().await;
    function.serve_events(async |event| handle(ports, event).await).await
}
