//! Routes that record and read events, and the service's own.

use serde_json::{Value, json};
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{Content, Ref, ResponseBuilder, Schema};

use super::parts::{Description, in_path, json_request, json_response, organization_parameter, parameter, text, text_header, whole_number};
use crate::http::problem::ProblemKind;
use crate::http::query_request::MAX_STREAM_EVENTS;
use crate::http::request::IDEMPOTENCY_KEY;
use crate::http::routes::{ReadEventsEndpoint, RecordEventsEndpoint};

pub(super) fn describe_recording(endpoint: RecordEventsEndpoint) -> Description {
    let key = "Makes the request repeatable: sent again with the same key and body, it is answered as the first time, with the header \
               `Idempotency-Replayed: true`.";
    let parameters = vec![parameter(IDEMPOTENCY_KEY, ParameterIn::Header, text().max_length(Some(255)), key)];
    let problems = &[
        ProblemKind::VersionConflict,
        ProblemKind::EventIdReused,
        ProblemKind::IdempotencyKeyReused,
        ProblemKind::TooLarge,
        ProblemKind::Invalid,
    ];
    let (text, body, answer) = match endpoint {
        RecordEventsEndpoint::Create => (
            "Adds an event to the end of its stream. Read by its id, it is there at once.",
            json_request(Ref::from_schema_name("EventRequest"), example_request()),
            json_response("The event as it is stored.", Ref::from_schema_name("Event"), Some(example_event())),
        ),
        RecordEventsEndpoint::Batch => {
            let bare = ArrayBuilder::new().items(Ref::from_schema_name("EventRequest")).max_items(Some(100));
            let either = OneOfBuilder::new().item(bare).item(Ref::from_schema_name("BatchRequest"));
            (
                "Adds up to 100 events to the ends of their streams. If one of them is wrong, none is stored. The body may also be \
                 `{\"events\": [...]}`.",
                json_request(Schema::OneOf(either.build()), json!([example_request()])),
                json_response("The events as they are stored, in the order of the request.", events(), Some(json!([example_event()]))),
            )
        }
    };
    let replayed = "`true` if the request had been carried out before, and this is the first answer again.";
    let answer = ResponseBuilder::from(answer).header("Idempotency-Replayed", text_header(replayed)).build();
    Description { tag: "Events", text, parameters, body: Some(body), answer, problems }
}

fn events() -> ArrayBuilder {
    ArrayBuilder::new().items(Ref::from_schema_name("Event"))
}

pub(super) fn describe_reading(endpoint: ReadEventsEndpoint) -> Description {
    match endpoint {
        ReadEventsEndpoint::Event => Description {
            tag: "Events",
            text: "An event by its id. An id that is no UUID is not found.",
            parameters: vec![parameter("event_id", ParameterIn::Path, text(), "The event's id.")],
            body: None,
            answer: json_response("The event.", Ref::from_schema_name("Event"), Some(example_event())),
            problems: &[ProblemKind::NotFound],
        },
        ReadEventsEndpoint::Results => Description {
            tag: "Events",
            text: "Every attempt of every processor at an event, in their order.",
            parameters: vec![in_path("event_id", "The event's id.")],
            body: None,
            answer: json_response("The attempts.", Ref::from_schema_name("ResultsAnswer"), Some(example_results())),
            problems: &[ProblemKind::NotFound],
        },
        ReadEventsEndpoint::Query => Description {
            tag: "Events",
            text: "One page of the events that match every condition that is given. Go on with `next_cursor`, or with `offset` plus the \
                   number of events that came.",
            parameters: Vec::new(),
            body: Some(json_request(Ref::from_schema_name("QueryRequest"), example_query())),
            answer: json_response("The page.", Ref::from_schema_name("QueryAnswer"), Some(example_page())),
            problems: &[ProblemKind::TooLarge, ProblemKind::Invalid],
        },
        ReadEventsEndpoint::Statistics => Description {
            tag: "Events",
            text: "How many events there are, as far as they have been counted, which is seconds behind.",
            parameters: vec![parameter("user_id", ParameterIn::Query, text(), "Only this user's events."), organization_parameter()],
            body: None,
            answer: json_response("The statistics.", Ref::from_schema_name("StatisticsAnswer"), None),
            problems: &[ProblemKind::Invalid],
        },
        ReadEventsEndpoint::Stream => Description {
            tag: "Events",
            text: "The events of a stream in their order, each version from `from_version` to `to_version`. A stream that does not \
                   exist is empty and has version 0.",
            parameters: vec![
                parameter(
                    "stream_id",
                    ParameterIn::Path,
                    text().examples([json!("order:1001")]),
                    "The stream, `{entity_type}:{entity_id}`.",
                ),
                parameter("from_version", ParameterIn::Query, whole_number(), "The first version."),
                parameter("to_version", ParameterIn::Query, whole_number(), "The last version."),
                parameter(
                    "limit",
                    ParameterIn::Query,
                    whole_number().minimum(Some(1)).maximum(Some(MAX_STREAM_EVENTS)).default(Some(json!(MAX_STREAM_EVENTS))),
                    "How many events at most.",
                ),
                organization_parameter(),
            ],
            body: None,
            answer: json_response("The stream.", Ref::from_schema_name("StreamAnswer"), Some(example_stream())),
            problems: &[ProblemKind::Invalid],
        },
        ReadEventsEndpoint::Health => Description {
            tag: "Service",
            text: "What is not configured is not reported as unhealthy.",
            parameters: Vec::new(),
            body: None,
            answer: json_response("The service can work.", Ref::from_schema_name("Health"), None),
            problems: &[],
        },
        ReadEventsEndpoint::OpenApi => Description {
            tag: "Service",
            text: "An OpenAPI 3.1 document.",
            parameters: Vec::new(),
            body: None,
            answer: json_response("The document.", ObjectBuilder::new().schema_type(Type::Object), None),
            problems: &[],
        },
        ReadEventsEndpoint::Docs => Description {
            tag: "Service",
            text: "A page of HTML.",
            parameters: Vec::new(),
            body: None,
            answer: ResponseBuilder::new().description("The page.").content("text/html", Content::new(Some(text()))).build(),
            problems: &[],
        },
    }
}

pub(super) fn example_request() -> Value {
    json!({
        "event_type": "order.placed", "event_source": "backend", "event_category": "order", "user_id": "user_12345",
        "entity_type": "order", "entity_id": "1001", "expected_version": "none", "data": {"total": 99.9, "currency": "EUR"},
    })
}

pub(super) fn example_query() -> Value {
    json!({"event_category": "order", "start_time": "2026-11-16", "data": {"currency": "EUR"}, "limit": 50})
}

pub(super) fn example_event() -> Value {
    json!({
        "event_id": "019e9f5d-31a0-8a4e-9c1f-2b6d3f000001", "event_type": "order.placed", "event_source": "backend",
        "event_category": "order", "user_id": "user_12345", "session_id": null, "organization_id": null, "device_id": null,
        "correlation_id": null, "data": {"total": 99.9, "currency": "EUR"}, "metadata": {}, "context": {}, "properties": {},
        "status": "pending", "processors": [], "processed_at": null, "error_message": null, "retry_count": 0,
        "timestamp": "2026-11-23T10:11:12.345678Z", "created_at": "2026-11-23T10:11:12.345000Z",
        "updated_at": "2026-11-23T10:11:12.345000Z", "version": "1.0.0", "schema_version": "1.0.0", "stream_id": "order:1001",
        "stream_version": 1,
    })
}

pub(super) fn example_page() -> Value {
    json!({
        "events": [example_event()], "total": 1, "total_is_exact": true, "limit": 50, "offset": 0, "has_more": false, "next_cursor": null,
    })
}

pub(super) fn example_stream() -> Value {
    json!({
        "stream_id": "order:1001", "stream_type": "order", "entity_id": "1001", "entity_type": "order", "events": [example_event()],
        "version": 1, "created_at": "2026-11-23T10:11:12.345000Z", "updated_at": "2026-11-23T10:11:12.345000Z", "has_more": false,
        "next_from_version": null,
    })
}

pub(super) fn example_results() -> Value {
    json!({
        "event_id": "019e9f5d-31a0-8a4e-9c1f-2b6d3f000001", "status": "processed", "results": [
            {
                "processor_name": "crm", "status": "retry", "message": "the receiver answered 503",
                "processed_at": "2026-11-23T10:11:12.900000Z", "duration_ms": 412, "attempt": 1,
            },
            {
                "processor_name": "crm", "status": "success", "message": null,
                "processed_at": "2026-11-23T10:11:23.100000Z", "duration_ms": 87, "attempt": 2,
            },
        ],
    })
}
