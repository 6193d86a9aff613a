//! Wires `deliver-webhooks` to DynamoDB, SQS, EventBridge and the network.

use lambda_runtime::Error;
use shared::adapters::system::{SystemClock, SystemRandom};
use shared::commands::deliver_webhooks::DeliverWebhooksPorts;
use shared::commands::send_webhook::SendWebhookPorts;
use shared::domain::queue::{Queue, WorkQueue};
use shared::http::webhook_body::webhook_body;
use shared::lambda::Function;
use shared::ports::event_bus::EventBus;
use shared::wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("deliver-webhooks")?;
    let (events, queues, bus, sender) = (
        wiring::dynamo_events_and_secrets()?,
        wiring::queues(&[WorkQueue::Deliver, WorkQueue::Nats].map(Queue::Work))?,
        wiring::event_bus()?,
        wiring::webhooks()?,
    );
    let ports = &DeliverWebhooksPorts {
        log: &events,
        outcomes: &events,
        definitions: &events,
        deliveries: &events,
        dead_letters: &events,
        queues: &queues,
        bus: bus.as_ref().map(|bus| bus as &dyn EventBus),
        bridging: wiring::bridging(),
        webhooks: SendWebhookPorts { sender: &sender, clock: &SystemClock },
        write: webhook_body,
        random: &SystemRandom,
        alone_since: None,
    };
    events.warm_up().await;
    function.serve_events(async |event| deliver_webhooks::handle(ports, event).await).await
}
