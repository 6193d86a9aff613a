//! Wires `manage-subscriptions` to DynamoDB, SQS and the network.

use lambda_http::Error;
use manage_subscriptions::{SubscriptionPorts, handle};
use shared::adapters::system::{SystemClock, SystemRandom};
use shared::commands::manage_subscriptions::ManageSubscriptionsPorts;
use shared::commands::resend_deliveries::ResendDeliveriesPorts;
use shared::commands::send_webhook::SendWebhookPorts;
use shared::commands::test_subscription::TestSubscriptionPorts;
use shared::domain::queue::{Queue, WorkQueue};
use shared::lambda::Function;
use shared::wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("manage-subscriptions")?;
    let (events, queues, sender) =
        (wiring::dynamo_events_and_secrets()?, wiring::queues(&[Queue::Work(WorkQueue::Deliver)])?, wiring::webhooks()?);
    let (definitions, clock, random) = (&events, &SystemClock, &SystemRandom);
    let ports = &SubscriptionPorts {
        manage: ManageSubscriptionsPorts { definitions, deliveries: &events, webhooks: &sender, clock, random },
        resend: ResendDeliveriesPorts { definitions, deliveries: &events, events: &events, queues: &queues, clock },
        test: TestSubscriptionPorts { definitions, webhooks: SendWebhookPorts { sender: &sender, clock }, random },
    };
    events.warm_up().await;
    function.serve_requests(|request| handle(ports, request)).await
}
