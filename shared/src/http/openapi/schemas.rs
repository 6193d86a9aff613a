//! Schemas of what is no structure: words, moments, objects that others fill.

use std::borrow::Cow;

use serde_json::{Value, json};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, OneOfBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::commands::resend_deliveries::RecoverScope;
use crate::domain::access::Scope;
use crate::domain::category::EventCategory;
use crate::domain::collected_event::{CallType, Collector};
use crate::domain::delivery::DeliveryState;
use crate::domain::event_schema::Enforcement;
use crate::domain::outcome::ResultStatus;
use crate::domain::queue::WorkQueue;
use crate::domain::rejected_event::RejectionReason;
use crate::domain::replay::ReplayState;
use crate::domain::source::EventSource;
use crate::domain::status::EventStatus;
use crate::domain::subscription::{DeliveryLogging, Ordering};

/// Defines the schema of a closed set of words, and of its name in the document.
macro_rules! words {
    ($schema:ident, $name:literal, $words:ty, $description:literal) => {
        #[doc = concat!("The schema `", $name, "`: ", $description)]
        pub struct $schema;

        impl PartialSchema for $schema {
            fn schema() -> RefOr<Schema> {
                let words = <$words>::ALL.iter().map(|word| Value::from(word.as_str()));
                ObjectBuilder::new().schema_type(Type::String).description(Some($description)).enum_values(Some(words)).into()
            }
        }

        impl ToSchema for $schema {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    };
}

words!(EventSourceSchema, "EventSource", EventSource, "Where an event came from.");
words!(EventCategorySchema, "EventCategory", EventCategory, "What kind of thing an event is about.");
words!(EventStatusSchema, "EventStatus", EventStatus, "How far the processing of an event has come.");
words!(ScopeSchema, "Scope", Scope, "A right that a key or a token carries.");
words!(ResultStatusSchema, "ResultStatus", ResultStatus, "How an attempt of a processor ended.");
words!(OrderingSchema, "Ordering", Ordering, "Whether the events of a stream are sent in their order.");
words!(DeliveryLoggingSchema, "DeliveryLogging", DeliveryLogging, "Which deliveries are kept: those with a failed attempt, or all.");
words!(DeliveryStatusSchema, "DeliveryStatus", DeliveryState, "How far a delivery has come.");
words!(RecoverScopeSchema, "RecoverScope", RecoverScope, "What is sent again: what failed or was canceled, or everything.");
words!(CallTypeSchema, "CallType", CallType, "A call of an analytics SDK.");
words!(CollectorSchema, "Collector", Collector, "The door that events of clients come through which nobody controls.");
words!(RejectionReasonSchema, "RejectionReason", RejectionReason, "What kind of thing is wrong with an event that is not recorded.");
words!(ReplayStateSchema, "ReplayState", ReplayState, "How a replay is going.");
words!(
    EnforcementSchema,
    "Enforcement",
    Enforcement,
    "What becomes of events that do not fit their schema: nothing, a line in the log, or they are refused."
);
words!(WorkQueueSchema, "WorkQueue", WorkQueue, "A queue of work.");

/// The schema of objects that producers fill as they like.
pub struct JsonObjectSchema;

impl PartialSchema for JsonObjectSchema {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::Object).description(Some("Any JSON object.")).into()
    }
}

impl ToSchema for JsonObjectSchema {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("JsonObject")
    }
}

/// The schema of moments.
pub struct MomentSchema;

impl PartialSchema for MomentSchema {
    fn schema() -> RefOr<Schema> {
        let description = "A moment. In answers: RFC 3339 in UTC with `Z` and microseconds. In requests also: with any offset, without one \
                           (UTC), a date, or a unix number in seconds or milliseconds.";
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some(description))
            .examples([json!("2026-11-23T10:11:12.345678Z")])
            .into()
    }
}

impl ToSchema for MomentSchema {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Moment")
    }
}

/// The schema of what a writer expects of a stream.
pub struct ExpectedVersionSchema;

impl PartialSchema for ExpectedVersionSchema {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).description(Some("The stream has this version."));
        let word = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(["none", "any", "exists"]))
            .description(Some("The stream has no event yet; whatever it has; at least one."));
        let either = OneOfBuilder::new().item(number).item(word).description(Some("What a writer expects of a stream."));
        RefOr::T(Schema::OneOf(either.build()))
    }
}

impl ToSchema for ExpectedVersionSchema {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("ExpectedVersion")
    }
}
