//! Wires `manage-subscriptions` to DynamoDB, SQS and the network.

use std::convert::Infallible;

use lambda_http::{Error, Request, run, service_fn};
use manage_subscriptions::{SubscriptionPorts, handle};
use shared::adapters::system::{SystemClock, SystemRandom};
use shared::commands::manage_subscriptions::ManageSubscriptionsPorts;
use shared::commands::resend_deliveries::ResendDeliveriesPorts;
use shared::commands::send_webhook::SendWebhookPorts;
use shared::commands::test_subscription::TestSubscriptionPorts;
use shared::telemetry::{self, LogFormat};
use shared::{config, wiring};
use tracing::Level;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::start(LogFormat::Json, config::parsed("LOG_LEVEL")?.unwrap_or(Level::WARN));
    let (events, queues, sender) = (wiring::dynamo_events()?, wiring::queues()?, wiring::webhooks()?);
    let (definitions, clock, random) = (&events, &SystemClock, &SystemRandom);
    let ports = &SubscriptionPorts {
        manage: ManageSubscriptionsPorts { definitions, deliveries: &events, webhooks: &sender, clock, random },
        resend: ResendDeliveriesPorts { definitions, deliveries: &events, events: &events, queues: &queues, clock },
        test: TestSubscriptionPorts { definitions, webhooks: SendWebhookPorts { sender: &sender, clock }, random },
    };
    events.warm_up().await;
    run(service_fn(async |request: Request| Ok::<_, Infallible>(handle(ports, request).await))).await
}
