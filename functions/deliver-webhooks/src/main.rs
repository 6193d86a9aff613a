//! Wires `deliver-webhooks` to DynamoDB, SQS, EventBridge and the network.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use shared::adapters::system::{SystemClock, SystemRandom};
use shared::commands::deliver_webhooks::DeliverWebhooksPorts;
use shared::commands::send_webhook::SendWebhookPorts;
use shared::http::webhook_body::webhook_body;
use shared::ports::event_bus::EventBus;
use shared::telemetry::{self, LogFormat};
use shared::{config, wiring};
use tracing::Level;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::start(LogFormat::Json, config::parsed("LOG_LEVEL")?.unwrap_or(Level::WARN));
    let (events, queues, bus, sender) = (wiring::dynamo_events()?, wiring::queues()?, wiring::event_bus()?, wiring::webhooks()?);
    let ports = &DeliverWebhooksPorts {
        log: &events,
        outcomes: &events,
        definitions: &events,
        deliveries: &events,
        dead_letters: &events,
        queues: &queues,
        bus: bus.as_ref().map(|bus| bus as &dyn EventBus),
        webhooks: SendWebhookPorts { sender: &sender, clock: &SystemClock },
        write: webhook_body,
        random: &SystemRandom,
        alone_since: None,
    };
    events.warm_up().await;
    run(service_fn(async |event: LambdaEvent<_>| deliver_webhooks::handle(ports, event).await)).await
}
