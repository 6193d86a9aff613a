//! Subscriptions as their owners describe them, and what shall be done with them.

use std::time::Duration;

use lambda_http::Request;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::fields::{Fields, list_of, text_of};
use super::openapi::schemas::{
    DeliveryLoggingSchema, EventCategorySchema, EventSourceSchema, MomentSchema, OrderingSchema, RecoverScopeSchema,
};
use super::problem::{FieldProblem, FieldProblemKind, Place, Problem};
use super::query_request::{limit, parameters_of};
use super::request::query_string;
use crate::commands::manage_subscriptions::{Change, SubscriptionChanges, SubscriptionDraft, WEBHOOK};
use crate::commands::resend_deliveries::{RecoverRequest, RecoverScope, Run};
use crate::domain::category::EventCategory;
use crate::domain::delivery::DeliveryState;
use crate::domain::identifiers::{EventType, SubscriptionId};
use crate::domain::json::JsonObject;
use crate::domain::retry_policy::RetryPolicy;
use crate::domain::selector::{TypePattern, TypePatternError};
use crate::domain::signature::WebhookSecret;
use crate::domain::source::EventSource;
use crate::domain::subscription::{DeliveryLogging, Ordering, Subscription};
use crate::domain::timestamp::Timestamp;
use crate::ports::delivery_log::DeliveriesRequest;

/// The most types of one subscription.
pub const MAX_TYPES: usize = 100;
/// The most deliveries a second that a subscription can ask for.
pub const MAX_RATE: u64 = 10_000;
/// The longest overlap of two secrets: seven days.
pub const MAX_OVERLAP: Duration = Duration::from_hours(7 * 24);
/// The name of subscribers that give none.
const DEFAULT_NAME: &str = "default_subscriber";
/// The type of subscribers that give none.
const DEFAULT_TYPE: &str = "service";
const MAX_NAME_CHARS: usize = 255;
/// What stands where a secret is not shown. No secret has it.
const ELLIPSIS: char = '…';
/// The members of a body that may hold secrets.
const SECRET: &[&str] = &["webhook_secret"];

/// A subscription to make. What is not given or null has its default.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct SubscriptionRequest {
    /// The types of the events to hear of, at least one: exactly, or with `*` for any run of characters, such as `user.*`.
    #[schema(min_items = 1, max_items = 100)]
    pub event_types: Vec<String>,
    /// Who subscribes.
    #[schema(max_length = 255, default = "default_subscriber")]
    pub subscriber_name: Option<String>,
    /// What kind of subscriber: `service`, `webhook`, `consumer`, or another word. A `webhook` needs a `callback_url`.
    #[schema(max_length = 255, default = "service")]
    pub subscriber_type: Option<String>,
    /// Only events of these sources; of all by default.
    #[schema(value_type = Option<Vec<EventSourceSchema>>)]
    pub event_sources: Option<Vec<EventSource>>,
    /// Only events of these categories; of all by default.
    #[schema(value_type = Option<Vec<EventCategorySchema>>)]
    pub event_categories: Option<Vec<EventCategory>>,
    /// Where events are sent, with `POST`. Without one, the subscription is only a declaration. Addresses within networks that
    /// are not public are refused.
    #[schema(example = "https://example.com/webhooks", max_length = 2048)]
    pub callback_url: Option<String>,
    /// What signs: any text, or `whsec_` and base64. One is made if there is a `callback_url` and none is given.
    #[schema(min_length = 6, max_length = 512)]
    pub webhook_secret: Option<String>,
    /// Whether events are sent.
    #[schema(default = true)]
    pub enabled: Option<bool>,
    /// When failed deliveries are tried again: by default after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h.
    #[schema(value_type = Option<RetryPolicyRequest>)]
    pub retry_policy: Option<Box<RawValue>>,
    /// Whether the events of a stream are sent in their order, each once the one before was delivered or given up.
    #[schema(value_type = Option<OrderingSchema>, default = "none")]
    pub ordering: Option<Ordering>,
    /// The most deliveries a second; as many as there are by default.
    #[schema(minimum = 1, maximum = 10000)]
    pub rate_limit: Option<u32>,
    /// Which deliveries are kept in the log.
    #[schema(value_type = Option<DeliveryLoggingSchema>, default = "failures")]
    pub delivery_log: Option<DeliveryLogging>,
    /// Its id. If there is one of this id, it is replaced.
    #[schema(max_length = 128)]
    pub subscription_id: Option<String>,
    /// The organization whose events it hears of: by default, the one that the credential is bound to, or all.
    pub organization_id: Option<String>,
}

/// What shall be different about a subscription. What is not given stays what it is; null is the default, or nothing.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct SubscriptionChangeRequest {
    /// The types.
    #[schema(min_items = 1, max_items = 100)]
    pub event_types: Option<Vec<String>>,
    /// Who subscribes.
    #[schema(max_length = 255)]
    pub subscriber_name: Option<String>,
    /// What kind of subscriber.
    #[schema(max_length = 255)]
    pub subscriber_type: Option<String>,
    /// The sources; null for all.
    #[schema(value_type = Option<Vec<EventSourceSchema>>)]
    pub event_sources: Option<Vec<EventSource>>,
    /// The categories; null for all.
    #[schema(value_type = Option<Vec<EventCategorySchema>>)]
    pub event_categories: Option<Vec<EventCategory>>,
    /// Where events are sent; null for nowhere. Another address is sent events that are recorded from now on.
    #[schema(max_length = 2048)]
    pub callback_url: Option<String>,
    /// What signs, from now on and alone: to change it step by step, rotate it. Null makes a new one.
    #[schema(min_length = 6, max_length = 512)]
    pub webhook_secret: Option<String>,
    /// Whether events are sent. One that is enabled again is sent events that are recorded from now on.
    pub enabled: Option<bool>,
    /// When failed deliveries are tried again.
    #[schema(value_type = Option<RetryPolicyRequest>)]
    pub retry_policy: Option<Box<RawValue>>,
    /// Whether the events of a stream are sent in their order.
    #[schema(value_type = Option<OrderingSchema>)]
    pub ordering: Option<Ordering>,
    /// The most deliveries a second; null for as many as there are.
    #[schema(minimum = 1, maximum = 10000)]
    pub rate_limit: Option<u32>,
    /// Which deliveries are kept in the log.
    #[schema(value_type = Option<DeliveryLoggingSchema>)]
    pub delivery_log: Option<DeliveryLogging>,
}

/// When something that failed is tried again, in either of two ways. What is not given is as in the default.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = RetryPolicy)]
pub struct RetryPolicyRequest {
    /// How many attempts there are after the first.
    #[schema(minimum = 0, maximum = 50)]
    pub max_retries: Option<u64>,
    /// How many seconds to wait after each failed attempt: a list, or one number. The last counts for all that follow.
    pub backoff_seconds: Option<Vec<f64>>,
    /// How many milliseconds to wait after the first failed attempt.
    pub initial_delay_ms: Option<f64>,
    /// By how much each wait is longer than the one before.
    #[schema(minimum = 1)]
    pub backoff_multiplier: Option<f64>,
    /// How many milliseconds to wait at most.
    pub max_delay_ms: Option<f64>,
}

/// A secret to rotate to.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct RotateSecretRequest {
    /// The new secret; one is made by default.
    #[schema(min_length = 6, max_length = 512)]
    pub webhook_secret: Option<String>,
    /// For how many seconds the old one still signs beside it.
    #[schema(minimum = 0, maximum = 604_800, default = 86_400)]
    pub overlap_seconds: Option<u64>,
}

/// What shall be sent again.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct RecoverRequestBody {
    /// Of events that were stored from this moment on.
    #[schema(value_type = MomentSchema)]
    pub since: String,
    /// Which of them.
    #[schema(value_type = Option<RecoverScopeSchema>, default = "failed")]
    pub scope: Option<RecoverScope>,
    /// Whether they are only counted.
    #[schema(default = false)]
    pub dry_run: Option<bool>,
    /// `next_cursor` of the answer before, with the same `since` and `scope`.
    pub cursor: Option<String>,
}

/// The subscription that a body describes.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with it.
pub fn subscription_draft(body: &RawValue) -> Result<SubscriptionDraft, Problem> {
    let mut fields = Fields::read_body(body, SECRET)?;
    if fields.given("event_types").is_none() {
        fields.missing("event_types");
    }
    let event_types = event_types(&mut fields);
    let subscriber_name = fields.label("subscriber_name", MAX_NAME_CHARS).unwrap_or_else(|| DEFAULT_NAME.to_owned());
    let subscriber_type = fields.label("subscriber_type", MAX_NAME_CHARS).unwrap_or_else(|| DEFAULT_TYPE.to_owned());
    let callback_url = fields.parsed("callback_url");
    if subscriber_type.eq_ignore_ascii_case(WEBHOOK) && fields.given("callback_url").is_none() {
        fields.missing("callback_url");
    }
    let draft = SubscriptionDraft {
        id: fields.text("subscription_id").and_then(|text| fields.required_identifier("subscription_id", text)),
        // A blank organization is refused rather than ignored: the subscription would hear of everything.
        organization: fields.text("organization_id").and_then(|text| fields.required_identifier("organization_id", text)),
        subscriber_name,
        subscriber_type,
        event_types: event_types.clone().unwrap_or_default(),
        event_sources: sources(&mut fields),
        event_categories: categories(&mut fields),
        callback_url,
        webhook_secret: secret(&mut fields),
        enabled: fields.boolean("enabled"),
        retry_policy: retry_policy(&mut fields, &RetryPolicy::of_webhooks()),
        ordering: fields.word("ordering", Ordering::ALL, Ordering::as_str),
        rate_limit: rate_limit(&mut fields),
        delivery_log: fields.word("delivery_log", DeliveryLogging::ALL, DeliveryLogging::as_str),
    };
    fields.finish(event_types.map(|_| draft)).map_err(Problem::invalid)
}

/// The changes that a body describes.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with them.
pub fn subscription_changes(body: &RawValue) -> Result<SubscriptionChanges, Problem> {
    let mut fields = Fields::read_body(body, SECRET)?;
    if fields.mentions("event_types") && fields.given("event_types").is_none() {
        fields.missing("event_types");
    }
    let shown_secret = fields.given("webhook_secret").and_then(|given| text_of(given.get())).is_some_and(|text| text.contains(ELLIPSIS));
    let mut change = Changing { fields: &mut fields };
    let changes = SubscriptionChanges {
        event_types: change.to("event_types", |fields| event_types(fields).unwrap_or_default()),
        subscriber_name: change
            .to("subscriber_name", |fields| fields.label("subscriber_name", MAX_NAME_CHARS).unwrap_or_else(|| DEFAULT_NAME.to_owned())),
        subscriber_type: change
            .to("subscriber_type", |fields| fields.label("subscriber_type", MAX_NAME_CHARS).unwrap_or_else(|| DEFAULT_TYPE.to_owned())),
        event_sources: change.to("event_sources", sources),
        event_categories: change.to("event_categories", categories),
        callback_url: change.to("callback_url", |fields| fields.parsed("callback_url")),
        webhook_secret: if shown_secret { Change::Keep } else { change.to("webhook_secret", secret) },
        enabled: change.to("enabled", |fields| fields.boolean("enabled").unwrap_or(true)),
        retry_policy: change.to("retry_policy", |fields| retry_policy(fields, &RetryPolicy::of_webhooks()).unwrap_or_default()),
        ordering: change.to("ordering", |fields| fields.word("ordering", Ordering::ALL, Ordering::as_str).unwrap_or_default()),
        rate_limit: change.to("rate_limit", rate_limit),
        delivery_log: change
            .to("delivery_log", |fields| fields.word("delivery_log", DeliveryLogging::ALL, DeliveryLogging::as_str).unwrap_or_default()),
    };
    fields.finish(Some(changes)).map_err(Problem::invalid)
}

/// Reads a change of each field that is there.
struct Changing<'f, 'a> {
    fields: &'f mut Fields<'a>,
}

impl<'a> Changing<'_, 'a> {
    fn to<T>(&mut self, name: &str, read: impl FnOnce(&mut Fields<'a>) -> T) -> Change<T> {
        if self.fields.mentions(name) { Change::To(read(self.fields)) } else { Change::Keep }
    }
}

fn event_types(fields: &mut Fields<'_>) -> Option<Vec<TypePattern>> {
    let types = fields.list_of("event_types", MAX_TYPES, |text| {
        let text = text.ok_or_else(|| (FieldProblemKind::StringType, "Input should be a valid string".to_owned()))?;
        text.parse().map_err(|error| match error {
            TypePatternError::TooLong => {
                (FieldProblemKind::StringTooLong, format!("String should have at most {} characters", EventType::MAX_CHARS))
            }
            error @ (TypePatternError::Blank | TypePatternError::Control) => {
                (FieldProblemKind::ValueError, format!("Value error, {error}"))
            }
        })
    })?;
    // BR-SUB-002. A list whose items are all wrong is not empty.
    if fields.given("event_types").is_some_and(|given| list_of(given).is_some_and(|items| items.is_empty())) {
        fields.refuse("event_types", FieldProblemKind::TooShort, "List should have at least 1 item after validation, not 0");
    }
    Some(types)
}

/// No sources are all sources, as null is.
fn sources(fields: &mut Fields<'_>) -> Option<Vec<EventSource>> {
    fields.words("event_sources", EventSource::ALL, EventSource::as_str).filter(|sources| !sources.is_empty())
}

fn categories(fields: &mut Fields<'_>) -> Option<Vec<EventCategory>> {
    fields.words("event_categories", EventCategory::ALL, EventCategory::as_str).filter(|categories| !categories.is_empty())
}

fn secret(fields: &mut Fields<'_>) -> Option<WebhookSecret> {
    // What answers show of a secret means the secret that stands.
    let text = fields.text("webhook_secret").filter(|text| !text.contains(ELLIPSIS))?;
    match WebhookSecret::from_text(text) {
        Ok(secret) => Some(secret),
        Err(error) => {
            fields.refuse_value("webhook_secret", error);
            None
        }
    }
}

/// A retry policy, kept as it was written once it can be understood.
pub(super) fn retry_policy(fields: &mut Fields<'_>, default: &RetryPolicy) -> Option<JsonObject> {
    const NAME: &str = "retry_policy";
    let policy = fields.object(NAME)?;
    let Err(problems) = RetryPolicy::parse(&policy, default) else { return Some(policy) };
    let value = policy.to_value();
    let problems: Vec<FieldProblem> = problems
        .into_iter()
        .map(|problem| {
            let loc = fields.loc(NAME).into_iter().chain([Place::name(problem.field)]).collect();
            let input = value.get(problem.field).cloned().unwrap_or_default();
            FieldProblem::new(FieldProblemKind::ValueError, loc, format!("Value error, {}", problem.message), input)
        })
        .collect();
    fields.extend(problems);
    None
}

fn rate_limit(fields: &mut Fields<'_>) -> Option<u32> {
    fields.integer("rate_limit", 1, MAX_RATE).and_then(|rate| u32::try_from(rate).ok())
}

/// The secret to rotate to, and for how long the one before still signs.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with them.
pub fn rotation(body: &RawValue) -> Result<(Option<WebhookSecret>, Duration), Problem> {
    let mut fields = Fields::read_body(body, SECRET)?;
    let secret = secret(&mut fields);
    let overlap = fields.integer("overlap_seconds", 0, MAX_OVERLAP.as_secs()).map_or(Subscription::ROTATION_OVERLAP, Duration::from_secs);
    fields.finish(Some((secret, overlap))).map_err(Problem::invalid)
}

/// What shall be sent again.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with the body.
pub fn recover_request(body: &RawValue) -> Result<RecoverRequest, Problem> {
    let mut fields = Fields::read_body(body, &[])?;
    if fields.given("since").is_none() {
        fields.missing("since");
    }
    let since = fields.moment("since");
    let scope = fields.word("scope", RecoverScope::ALL, RecoverScope::as_str).unwrap_or_default();
    let run = run(&mut fields);
    let from = fields.parsed("cursor").unwrap_or_default();
    fields.finish(since.map(|since| RecoverRequest { since, scope, run, from })).map_err(Problem::invalid)
}

/// Whether something shall be done or only counted.
pub(super) fn run(fields: &mut Fields<'_>) -> Run {
    if fields.boolean("dry_run").unwrap_or_default() { Run::Dry } else { Run::Real }
}

/// Which deliveries a query string asks for.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with it.
pub fn deliveries_request(subscription: SubscriptionId, request: &Request) -> Result<DeliveriesRequest, Problem> {
    let parameters = query_string(request)?;
    let mut fields = parameters_of(&parameters)?;
    let state = fields.word("status", DeliveryState::ALL, DeliveryState::as_str);
    let since: Option<Timestamp> = fields.moment("since");
    let after = fields.parsed("cursor");
    let limit = limit(&mut fields);
    fields.finish(Some(DeliveriesRequest { subscription, state, since, after, limit })).map_err(Problem::invalid)
}

#[cfg(test)]
mod tests;
