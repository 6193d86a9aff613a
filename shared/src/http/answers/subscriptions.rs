//! Subscriptions, what was sent to them, and what became of it.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::fitting;
use crate::commands::manage_subscriptions::Subscribed;
use crate::commands::resend_deliveries::{Recovered, Run};
use crate::domain::category::EventCategory;
use crate::domain::delivery::{Delivery, DeliveryAttempt, DeliveryId, DeliveryState};
use crate::domain::event_id::EventId;
use crate::domain::identifiers::{EventType, OrganizationId, SubscriptionId};
use crate::domain::json::JsonObject;
use crate::domain::selector::TypePattern;
use crate::domain::source::EventSource;
use crate::domain::subscription::{DeliveryLogging, DisabledBecause, Health, Ordering, Subscription};
use crate::domain::timestamp::Timestamp;
use crate::domain::webhook_url::WebhookUrl;
use crate::http::openapi::schemas::{
    DeliveryLoggingSchema, DeliveryStatusSchema, EventCategorySchema, EventSourceSchema, JsonObjectSchema, MomentSchema, OrderingSchema,
};
use crate::http::problem::Problem;
use crate::ports::delivery_log::DeliveryPage;

/// A subscription.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Subscription)]
pub struct SubscriptionAnswer<'a> {
    /// Its id.
    #[schema(value_type = String)]
    pub subscription_id: &'a SubscriptionId,
    /// Who subscribes.
    #[schema(value_type = String)]
    pub subscriber_name: &'a str,
    /// What kind of subscriber.
    #[schema(value_type = String)]
    pub subscriber_type: &'a str,
    /// The types of the events that it hears of.
    #[schema(value_type = Vec<String>)]
    pub event_types: &'a [TypePattern],
    /// Their sources; null for all.
    #[schema(value_type = Option<Vec<EventSourceSchema>>, required)]
    pub event_sources: Option<&'a [EventSource]>,
    /// Their categories; null for all.
    #[schema(value_type = Option<Vec<EventCategorySchema>>, required)]
    pub event_categories: Option<&'a [EventCategory]>,
    /// Where they are sent.
    #[schema(value_type = Option<String>, required)]
    pub callback_url: Option<&'a str>,
    /// What signs. It is shown in the answer to the request that set it; afterwards, only its end.
    #[schema(required)]
    pub webhook_secret: Option<String>,
    /// Whether events are sent.
    pub enabled: bool,
    /// Why not, if its owner did not say so: `gone` if its receiver answered 410, `failing` after days of failures only.
    #[schema(value_type = Option<String>, required, example = "failing")]
    pub disabled_reason: Option<DisabledBecause>,
    /// When failed deliveries are tried again, as its owner said it.
    #[schema(value_type = JsonObjectSchema)]
    pub retry_policy: &'a JsonObject,
    /// Whether the events of a stream are sent in their order.
    #[schema(value_type = OrderingSchema)]
    pub ordering: Ordering,
    /// The most deliveries a second.
    #[schema(required)]
    pub rate_limit: Option<u32>,
    /// Which deliveries are kept in the log.
    #[schema(value_type = DeliveryLoggingSchema)]
    pub delivery_log: DeliveryLogging,
    /// The organization whose events it hears of; null for all.
    #[schema(value_type = Option<String>, required)]
    pub organization_id: Option<&'a OrganizationId>,
    /// When it was made.
    #[schema(value_type = MomentSchema)]
    pub created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = MomentSchema)]
    pub updated_at: Timestamp,
}

impl<'a> From<&'a Subscription> for SubscriptionAnswer<'a> {
    fn from(subscription: &'a Subscription) -> Self {
        Self {
            subscription_id: &subscription.id,
            subscriber_name: &subscription.subscriber_name,
            subscriber_type: &subscription.subscriber_type,
            event_types: &subscription.event_types,
            event_sources: subscription.event_sources.as_deref(),
            event_categories: subscription.event_categories.as_deref(),
            callback_url: subscription.callback_url.as_ref().map(WebhookUrl::as_str),
            webhook_secret: subscription.secrets.first().map(|signing| signing.secret.masked()),
            enabled: subscription.enabled,
            disabled_reason: subscription.disabled_because.filter(|_| !subscription.enabled),
            retry_policy: &subscription.retry_policy,
            ordering: subscription.ordering,
            rate_limit: subscription.rate_limit,
            delivery_log: subscription.delivery_log,
            organization_id: subscription.organization.as_ref(),
            created_at: subscription.created_at,
            updated_at: subscription.updated_at,
        }
    }
}

impl<'a> From<&'a Subscribed> for SubscriptionAnswer<'a> {
    fn from(subscribed: &'a Subscribed) -> Self {
        let answer = Self::from(&subscribed.subscription);
        match &subscribed.secret {
            Some(secret) => Self { webhook_secret: Some(secret.reveal().to_owned()), ..answer },
            None => answer,
        }
    }
}

/// A subscription, and how its receiver has answered lately.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SubscriptionWithHealth)]
pub struct SubscriptionWithHealthAnswer<'a> {
    /// The subscription.
    #[serde(flatten)]
    pub subscription: SubscriptionAnswer<'a>,
    /// How its receiver has answered lately.
    pub health: ReceiverHealthAnswer,
}

impl<'a> SubscriptionWithHealthAnswer<'a> {
    /// The answer for a subscription and the health of its receiver.
    #[must_use]
    pub fn new(subscription: &'a Subscription, health: &Health) -> Self {
        Self { subscription: subscription.into(), health: health.into() }
    }
}

/// How a subscription's receiver has answered lately.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReceiverHealth)]
pub struct ReceiverHealthAnswer {
    /// How many attempts have failed since the last that succeeded.
    pub consecutive_failures: u32,
    /// When the first of them failed.
    #[schema(value_type = Option<MomentSchema>, required)]
    pub failing_since: Option<Timestamp>,
    /// Until when nothing is sent, because too many failed in a row.
    #[schema(value_type = Option<MomentSchema>, required)]
    pub circuit_open_until: Option<Timestamp>,
    /// When an attempt last succeeded, to within a minute.
    #[schema(value_type = Option<MomentSchema>, required)]
    pub last_success_at: Option<Timestamp>,
}

impl From<&Health> for ReceiverHealthAnswer {
    fn from(health: &Health) -> Self {
        Self {
            consecutive_failures: health.failures,
            failing_since: health.failing_since,
            circuit_open_until: health.open_until,
            last_success_at: health.last_success_at,
        }
    }
}

/// A subscription is deleted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedSubscription)]
pub struct DeletedSubscriptionAnswer<'a> {
    /// Always `deleted`.
    #[schema(value_type = String, example = "deleted")]
    pub status: &'static str,
    /// Its id.
    #[schema(value_type = String)]
    pub subscription_id: &'a SubscriptionId,
}

impl<'a> DeletedSubscriptionAnswer<'a> {
    /// The answer for the subscription of this id.
    #[must_use]
    pub const fn new(subscription_id: &'a SubscriptionId) -> Self {
        Self { status: "deleted", subscription_id }
    }
}

/// What was sent to a subscription.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Deliveries)]
pub struct DeliveriesAnswer {
    /// The deliveries, those of the latest events first. One that went well at the first attempt is kept only with
    /// `delivery_log` `all`.
    #[schema(value_type = Vec<DeliveryAnswer<'static>>)]
    pub deliveries: Vec<Box<RawValue>>,
    /// When an attempt last succeeded, to within a minute.
    #[schema(value_type = Option<MomentSchema>, required)]
    pub last_success_at: Option<Timestamp>,
    /// Whether there may be more.
    pub has_more: bool,
    /// What to send as `cursor` for the next page.
    #[schema(value_type = Option<String>, required)]
    pub next_cursor: Option<DeliveryId>,
}

impl DeliveriesAnswer {
    /// The answer for a page.
    ///
    /// # Errors
    /// [`crate::http::problem::ProblemKind::Internal`] if a delivery cannot be written, which none can.
    pub fn new(page: &DeliveryPage, health: &Health) -> Result<Self, Problem> {
        let deliveries = fitting(page.deliveries.iter().map(DeliveryAnswer::from))?;
        let last_kept = deliveries.len().checked_sub(1).and_then(|index| page.deliveries.get(index));
        let next = if deliveries.len() < page.deliveries.len() { last_kept.map(|last| &last.id) } else { page.next.as_ref() };
        let next_cursor = next.cloned();
        Ok(Self { deliveries, last_success_at: health.last_success_at, has_more: next_cursor.is_some(), next_cursor })
    }
}

/// One event, sent to a subscription, however many attempts that takes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub struct DeliveryAnswer<'a> {
    /// Its id: the `webhook-id` of every attempt.
    #[schema(value_type = String)]
    pub delivery_id: &'a DeliveryId,
    /// The event.
    #[schema(value_type = String, format = Uuid)]
    pub event_id: EventId,
    /// Its type.
    #[schema(value_type = String)]
    pub event_type: &'a EventType,
    /// How far it has come.
    #[schema(value_type = DeliveryStatusSchema)]
    pub status: DeliveryState,
    /// How many attempts there were.
    pub attempt_count: u32,
    /// The last 30 of them, oldest first.
    pub attempts: Vec<AttemptAnswer<'a>>,
    /// When the next one is planned.
    #[schema(value_type = Option<MomentSchema>, required)]
    pub next_attempt_at: Option<Timestamp>,
    /// When the last one ended, or the delivery was given up.
    #[schema(value_type = MomentSchema)]
    pub updated_at: Timestamp,
}

impl<'a> From<&'a Delivery> for DeliveryAnswer<'a> {
    fn from(delivery: &'a Delivery) -> Self {
        Self {
            delivery_id: &delivery.id,
            event_id: delivery.event_id,
            event_type: &delivery.event_type,
            status: delivery.state,
            attempt_count: delivery.attempt_count,
            attempts: delivery.attempts.iter().map(AttemptAnswer::from).collect(),
            next_attempt_at: delivery.next_attempt_at,
            updated_at: delivery.updated_at,
        }
    }
}

/// One attempt at a delivery.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeliveryAttempt)]
pub struct AttemptAnswer<'a> {
    /// When it ended.
    #[schema(value_type = MomentSchema)]
    pub at: Timestamp,
    /// The status of the answer, if there was one.
    #[schema(required)]
    pub status_code: Option<u16>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The start of the answer's body.
    #[schema(value_type = Option<String>, required)]
    pub response: Option<&'a str>,
    /// Why there was no answer.
    #[schema(value_type = Option<String>, required)]
    pub error: Option<&'a str>,
}

impl<'a> From<&'a DeliveryAttempt> for AttemptAnswer<'a> {
    fn from(attempt: &'a DeliveryAttempt) -> Self {
        Self {
            at: attempt.at,
            status_code: attempt.status,
            duration_ms: attempt.ms,
            response: attempt.response.as_deref(),
            error: attempt.error.as_deref(),
        }
    }
}

/// An event will be sent again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResentDelivery)]
pub struct ResentDeliveryAnswer<'a> {
    /// Always `queued`.
    #[schema(value_type = String, example = "queued")]
    pub status: &'static str,
    /// The delivery.
    #[schema(value_type = String)]
    pub delivery_id: &'a DeliveryId,
}

impl<'a> ResentDeliveryAnswer<'a> {
    /// The answer for the delivery of this id.
    #[must_use]
    pub const fn new(delivery_id: &'a DeliveryId) -> Self {
        Self { status: "queued", delivery_id }
    }
}

/// What was missed will be sent again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Recovery)]
pub struct RecoveryAnswer {
    /// `queued`, or `dry_run`.
    #[schema(value_type = String, example = "queued")]
    pub status: &'static str,
    /// How many events.
    pub count: usize,
    /// Whether not everything was looked at.
    pub has_more: bool,
    /// What to send as `cursor`, with the same `since` and `scope`, to go on.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl RecoveryAnswer {
    /// The answer for a recovery.
    #[must_use]
    pub fn new(recovered: &Recovered, run: Run) -> Self {
        let status = match run {
            Run::Real => "queued",
            Run::Dry => "dry_run",
        };
        let next_cursor = recovered.next.as_ref().map(ToString::to_string);
        Self { status, count: recovered.count, has_more: next_cursor.is_some(), next_cursor }
    }
}

/// What came of a test.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SubscriptionTest)]
pub struct SubscriptionTestAnswer<'a> {
    /// Whether the receiver took it: any status from 200 to 299.
    pub delivered: bool,
    /// The status of its answer, if there was one.
    #[schema(required)]
    pub status_code: Option<u16>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The start of the answer's body.
    #[schema(value_type = Option<String>, required)]
    pub response: Option<&'a str>,
    /// Why there was no answer.
    #[schema(value_type = Option<String>, required)]
    pub error: Option<&'a str>,
}

impl<'a> From<&'a DeliveryAttempt> for SubscriptionTestAnswer<'a> {
    fn from(attempt: &'a DeliveryAttempt) -> Self {
        let AttemptAnswer { at: _, status_code, duration_ms, response, error } = AttemptAnswer::from(attempt);
        Self { delivered: attempt.succeeded(), status_code, duration_ms, response, error }
    }
}
