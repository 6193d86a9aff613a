//! What collectors are sent, as documents describe it. How it is read is in [`super::collect`], and far more lenient.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::openapi::schemas::{CallTypeSchema, JsonObjectSchema, MomentSchema};

/// An event of a page or an app. What is not given or null has its default.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct FrontendEventRequest {
    /// What happened, such as `product_view`. Not blank.
    #[schema(min_length = 1, max_length = 255)]
    pub event_type: String,
    /// What kind of thing it is about, in words of the page's own. It becomes one of the known categories; the word is kept in `metadata`.
    #[schema(default = "user_interaction", example = "page_view")]
    pub category: Option<String>,
    /// The page that it happened on.
    pub page_url: Option<String>,
    /// Who it was, if the page knows.
    pub user_id: Option<String>,
    /// In which visit. It ties what happened before somebody was known to what happened after.
    pub session_id: Option<String>,
    /// The payload.
    #[schema(value_type = Option<JsonObjectSchema>)]
    pub data: Option<Box<RawValue>>,
    /// Circumstances. Address, user agent, referer and the moment of receiving are added.
    #[schema(value_type = Option<JsonObjectSchema>)]
    pub metadata: Option<Box<RawValue>>,
    /// When it happened, by the client's clock; by default, when it came.
    #[schema(value_type = Option<MomentSchema>)]
    pub timestamp: Option<String>,
    /// What the page calls this message: sent again, it counts once.
    pub message_id: Option<String>,
}

/// Events of a page or an app.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct FrontendBatchRequest {
    /// The events. One that is bad does not spoil the others.
    #[schema(max_items = 100)]
    pub events: Vec<FrontendEventRequest>,
    /// What holds for all of them: kept as their `context`.
    #[schema(value_type = Option<JsonObjectSchema>)]
    pub client_info: Option<Box<RawValue>>,
}

/// A message of an analytics SDK. `user_id` of the event is `userId`, else `anonymousId`; one of them is needed.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalyticsMessage {
    /// The call. The route's, if the route names one.
    #[serde(rename = "type")]
    #[schema(value_type = Option<CallTypeSchema>)]
    pub call: Option<String>,
    /// What happened: the type of the event. Else it is `name`, else the call.
    pub event: Option<String>,
    /// The name of a page or a screen.
    pub name: Option<String>,
    /// Who it was.
    pub user_id: Option<String>,
    /// Who it was before anybody knew.
    pub anonymous_id: Option<String>,
    /// What the SDK calls the message: sent again, whenever, it counts once.
    pub message_id: Option<String>,
    /// The payload: `data` of the event.
    #[schema(value_type = Option<JsonObjectSchema>)]
    pub properties: Option<Box<RawValue>>,
    /// What is known of the user or the group: `data` of the event if there are no properties.
    #[schema(value_type = Option<JsonObjectSchema>)]
    pub traits: Option<Box<RawValue>>,
    /// Circumstances: `context` of the event. `sessionId` in it is the event's session.
    #[schema(value_type = Option<JsonObjectSchema>)]
    pub context: Option<Box<RawValue>>,
    /// When it happened, by the client's clock.
    #[schema(value_type = Option<MomentSchema>)]
    pub original_timestamp: Option<String>,
    /// When it was sent, by the client's clock: the time between the two, before it came, is when it happened.
    #[schema(value_type = Option<MomentSchema>)]
    pub sent_at: Option<String>,
}

/// Messages of an analytics SDK.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalyticsBatch {
    /// The messages. One that is bad does not spoil the others.
    #[schema(max_items = 1000)]
    pub batch: Vec<AnalyticsMessage>,
    /// When they were sent, by the client's clock.
    #[schema(value_type = Option<MomentSchema>)]
    pub sent_at: Option<String>,
    /// The context of messages that have none of their own.
    #[schema(value_type = Option<JsonObjectSchema>)]
    pub context: Option<Box<RawValue>>,
}

/// A CloudEvent in the JSON format. Extensions are kept.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct CloudEvent {
    /// Always `1.0`.
    #[schema(example = "1.0")]
    pub specversion: String,
    /// With `source`, what makes the event count once.
    #[schema(min_length = 1)]
    pub id: String,
    /// Who says so.
    #[schema(min_length = 1)]
    pub source: String,
    /// What happened: the type of the event.
    #[serde(rename = "type")]
    #[schema(min_length = 1, max_length = 255)]
    pub kind: String,
    /// What it is about: its stream, if it has the form `{entity_type}:{entity_id}`.
    pub subject: Option<String>,
    /// When it happened.
    #[schema(value_type = Option<MomentSchema>)]
    pub time: Option<String>,
    /// The payload.
    #[schema(value_type = Option<JsonObjectSchema>)]
    pub data: Option<Box<RawValue>>,
}
