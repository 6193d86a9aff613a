//! Processors, and what they would do.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::commands::manage_processors::{Observed, Trial};
use crate::domain::category::EventCategory;
use crate::domain::event::EventDraft;
use crate::domain::event_id::EventId;
use crate::domain::identifiers::{CorrelationId, DeviceId, EventType, OrganizationId, ProcessorId, SessionId, UserId};
use crate::domain::json::JsonObject;
use crate::domain::processor::masked;
use crate::domain::selector::Check;
use crate::domain::source::EventSource;
use crate::domain::stream_id::StreamId;
use crate::domain::timestamp::Timestamp;
use crate::http::openapi::schemas::{EventCategorySchema, EventSourceSchema, JsonObjectSchema, MomentSchema};

/// A processor.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Processor)]
pub struct ProcessorAnswer<'a> {
    /// Its id.
    #[schema(value_type = String)]
    pub processor_id: &'a ProcessorId,
    /// What it is called.
    #[schema(value_type = String)]
    pub processor_name: &'a str,
    /// What it does.
    #[schema(value_type = String)]
    pub processor_type: &'a str,
    /// Whether it is run.
    pub enabled: bool,
    /// The order of execution, highest first.
    pub priority: i64,
    /// Which events it is given.
    #[schema(value_type = JsonObjectSchema)]
    pub filters: &'a JsonObject,
    /// What it needs for what it does. What may be a secret is masked.
    #[schema(value_type = JsonObjectSchema)]
    pub config: Value,
    /// When failed attempts are repeated, as its owner said it.
    #[schema(value_type = JsonObjectSchema)]
    pub retry_policy: &'a JsonObject,
    /// How many attempts have failed, as far as they have been counted.
    pub error_count: u64,
    /// What the last of them said.
    #[schema(value_type = Option<String>, required)]
    pub last_error: Option<&'a str>,
    /// When it was run last.
    #[schema(value_type = Option<MomentSchema>, required)]
    pub last_processed_at: Option<Timestamp>,
    /// The organization whose events it is given; null for all.
    #[schema(value_type = Option<String>, required)]
    pub organization_id: Option<&'a OrganizationId>,
    /// When it was made.
    #[schema(value_type = MomentSchema)]
    pub created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = MomentSchema)]
    pub updated_at: Timestamp,
}

impl<'a> From<&'a Observed> for ProcessorAnswer<'a> {
    fn from(observed: &'a Observed) -> Self {
        let Observed { processor, tallies } = observed;
        let tally = tallies.by_id.get(&processor.id);
        Self {
            processor_id: &processor.id,
            processor_name: processor.name.as_str(),
            processor_type: &processor.kind,
            enabled: processor.enabled,
            priority: processor.priority,
            filters: &processor.filters,
            config: masked(&processor.config),
            retry_policy: &processor.retry_policy,
            error_count: tally.map_or(0, |tally| tally.errors),
            last_error: tally.and_then(|tally| tally.last_error.as_deref()),
            last_processed_at: tally.and_then(|tally| tally.last_processed_at),
            organization_id: processor.organization.as_ref(),
            created_at: processor.created_at,
            updated_at: processor.updated_at,
        }
    }
}

/// A processor was switched on or off.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ToggledProcessor)]
pub struct ToggledProcessorAnswer<'a> {
    /// Always `updated`.
    #[schema(value_type = String, example = "updated")]
    pub status: &'static str,
    /// Its id.
    #[schema(value_type = String)]
    pub processor_id: &'a ProcessorId,
    /// Whether it is run now.
    pub enabled: bool,
}

impl<'a> ToggledProcessorAnswer<'a> {
    /// The answer for the processor of this id.
    #[must_use]
    pub const fn new(processor_id: &'a ProcessorId, enabled: bool) -> Self {
        Self { status: "updated", processor_id, enabled }
    }
}

/// A processor is removed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedProcessor)]
pub struct DeletedProcessorAnswer<'a> {
    /// Always `deleted`.
    #[schema(value_type = String, example = "deleted")]
    pub status: &'static str,
    /// Its id.
    #[schema(value_type = String)]
    pub processor_id: &'a ProcessorId,
}

impl<'a> DeletedProcessorAnswer<'a> {
    /// The answer for the processor of this id.
    #[must_use]
    pub const fn new(processor_id: &'a ProcessorId) -> Self {
        Self { status: "deleted", processor_id }
    }
}

/// What a processor would do with an event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProcessorTest)]
pub struct ProcessorTestAnswer<'a> {
    /// Whether the event is one of those that `filters` select.
    pub matches: bool,
    /// Whether the processor is run for it.
    pub would_run: bool,
    /// Why, or why not.
    #[schema(value_type = String)]
    pub reason: &'static str,
    /// What was asked of the event.
    pub checks: Vec<CheckAnswer<'a>>,
    /// The event that a `transform` would record.
    #[schema(value_type = Option<DerivedEventAnswer<'static>>, required)]
    pub derived: Option<DerivedEventAnswer<'a>>,
    /// Why it would record none.
    #[schema(value_type = Option<String>, required)]
    pub error: Option<&'a str>,
}

impl<'a> From<&'a Trial> for ProcessorTestAnswer<'a> {
    fn from(trial: &'a Trial) -> Self {
        Self {
            matches: trial.matches,
            would_run: trial.verdict.runs(),
            reason: trial.verdict.reason(),
            checks: trial.checks.iter().map(CheckAnswer::from).collect(),
            derived: trial.derived.as_ref().and_then(|derived| derived.as_ref().ok()).map(DerivedEventAnswer::from),
            error: trial.derived.as_ref().and_then(|derived| derived.as_ref().err()).map(String::as_str),
        }
    }
}

/// One thing that was asked of an event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Check)]
pub struct CheckAnswer<'a> {
    /// What was looked at.
    #[schema(value_type = String, example = "data.total")]
    pub field: &'a str,
    /// What it must be.
    #[schema(value_type = String, example = "gte 100")]
    pub expected: &'a str,
    /// What it is.
    #[schema(value_type = Option<Value>, required)]
    pub actual: &'a Value,
    /// Whether that will do.
    pub matches: bool,
}

impl<'a> From<&'a Check> for CheckAnswer<'a> {
    fn from(check: &'a Check) -> Self {
        Self { field: &check.field, expected: &check.expected, actual: &check.actual, matches: check.matches }
    }
}

/// An event that would be recorded.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DerivedEvent)]
pub struct DerivedEventAnswer<'a> {
    /// Its id, the same whenever the same is derived.
    #[schema(value_type = Option<String>, format = Uuid, required)]
    pub event_id: Option<EventId>,
    /// What happened.
    #[schema(value_type = String)]
    pub event_type: &'a EventType,
    /// Where it came from.
    #[schema(value_type = EventSourceSchema)]
    pub event_source: EventSource,
    /// What kind of thing it is about.
    #[schema(value_type = EventCategorySchema)]
    pub event_category: EventCategory,
    /// Whom it is about.
    #[schema(value_type = Option<String>, required)]
    pub user_id: Option<&'a UserId>,
    /// In which visit.
    #[schema(value_type = Option<String>, required)]
    pub session_id: Option<&'a SessionId>,
    /// The tenant that it belongs to.
    #[schema(value_type = Option<String>, required)]
    pub organization_id: Option<&'a OrganizationId>,
    /// On which device.
    #[schema(value_type = Option<String>, required)]
    pub device_id: Option<&'a DeviceId>,
    /// In which operation.
    #[schema(value_type = Option<String>, required)]
    pub correlation_id: Option<&'a CorrelationId>,
    /// The payload.
    #[schema(value_type = JsonObjectSchema)]
    pub data: &'a JsonObject,
    /// What it was made of, and by what.
    #[schema(value_type = JsonObjectSchema)]
    pub metadata: &'a JsonObject,
    /// When it happened.
    #[schema(value_type = Option<MomentSchema>, required)]
    pub timestamp: Option<Timestamp>,
    /// The stream that it goes to.
    #[schema(value_type = Option<String>, required)]
    pub stream_id: Option<&'a StreamId>,
}

impl<'a> From<&'a EventDraft> for DerivedEventAnswer<'a> {
    fn from(draft: &'a EventDraft) -> Self {
        let details = &draft.details;
        Self {
            event_id: draft.event_id,
            event_type: &details.event_type,
            event_source: details.source,
            event_category: details.category,
            user_id: details.user.as_ref(),
            session_id: details.session.as_ref(),
            organization_id: draft.organization.as_ref(),
            device_id: details.device.as_ref(),
            correlation_id: details.correlation.as_ref(),
            data: &details.data,
            metadata: &details.metadata,
            timestamp: draft.occurred_at,
            stream_id: draft.stream.as_ref(),
        }
    }
}
