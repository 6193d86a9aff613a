//! Wires `dispatch-events` to DynamoDB, SQS and EventBridge.

use lambda_runtime::Error;
use shared::adapters::system::SystemClock;
use shared::commands::dispatch_events::{DispatchEventsPorts, DispatchedStreams};
use shared::domain::queue::{Queue, WorkQueue};
use shared::lambda::Function;
use shared::ports::event_bus::EventBus;
use shared::wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("dispatch-events")?;
    let (events, queues, bus) = (
        wiring::dynamo_events()?,
        wiring::queues(&[WorkQueue::Process, WorkQueue::Deliver, WorkQueue::Nats].map(Queue::Work))?,
        wiring::event_bus()?,
    );
    let dispatched = DispatchedStreams::default();
    let ports = &DispatchEventsPorts {
        log: &events,
        definitions: &events,
        queues: &queues,
        bus: bus.as_ref().map(|bus| bus as &dyn EventBus),
        bridging: wiring::bridging(),
        clock: &SystemClock,
        dispatched: &dispatched,
    };
    tokio::join!(events.warm_up(), queues.warm_up());
    function.serve_events(async |event| dispatch_events::handle(ports, event).await).await
}
