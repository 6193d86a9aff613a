//! Sends a test to a subscription's address, and says what came of it.

use serde_json::json;

use super::manage_subscriptions::own;
use super::send_webhook::{SendWebhookPorts, send_to_subscription};
use crate::domain::access::Caller;
use crate::domain::delivery::DeliveryAttempt;
use crate::domain::identifiers::SubscriptionId;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::random::Random;
use crate::ports::store_error::StoreError;

/// What testing needs.
#[derive(Clone, Copy)]
pub struct TestSubscriptionPorts<'a> {
    /// Knows the subscriptions.
    pub definitions: &'a dyn DefinitionStore,
    /// Sends the test.
    pub webhooks: SendWebhookPorts<'a>,
    /// Names it.
    pub random: &'a dyn Random,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum TestSubscriptionError {
    /// There is no such subscription, or the caller may not know of it.
    #[error("subscription not found")]
    NotFound,
    /// The subscription has no address.
    #[error("this subscription has no callback_url that a test could be sent to")]
    NoCallbackUrl,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// The type of what is sent.
pub const TEST_TYPE: &str = "webhook.test";

/// Sends a test right away, once, also to a subscription that is disabled. Neither its log nor its health remember it.
///
/// # Errors
/// [`TestSubscriptionError`]; nothing was sent then.
pub async fn test_subscription(
    ports: &TestSubscriptionPorts<'_>,
    caller: &Caller,
    id: &SubscriptionId,
) -> Result<DeliveryAttempt, TestSubscriptionError> {
    let definitions = ports.definitions.definitions(Freshness::Current).await?;
    let subscription = own(&definitions, caller, id).ok_or(TestSubscriptionError::NotFound)?;
    let message = format!("msg_{:016x}{:016x}", ports.random.number(), ports.random.number());
    let body = json!({
        "type": TEST_TYPE,
        "timestamp": ports.webhooks.clock.now(),
        "data": {"message": "This is a test. No event has happened.", "subscription_id": subscription.id},
    });
    let sent = send_to_subscription(ports.webhooks, subscription, &message, body.to_string(), None).await;
    Ok(sent.ok_or(TestSubscriptionError::NoCallbackUrl)?.attempt)
}
