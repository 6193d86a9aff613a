//! Routes that manage processors.

use serde_json::{Value, json};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{ComponentsBuilder, Ref};

use super::parts::{Description, in_path, json_request, json_response, parameter};
use crate::http::answers::processors::{
    CheckAnswer, DeletedProcessorAnswer, DerivedEventAnswer, ProcessorAnswer, ProcessorTestAnswer, ToggledProcessorAnswer,
};
use crate::http::problem::ProblemKind;
use crate::http::processor_request::{ProcessorRequest, ProcessorTestRequest};
use crate::http::routes::ManageProcessorsEndpoint;

const TAG: &str = "Processors";

pub(super) fn with_schemas(components: ComponentsBuilder) -> ComponentsBuilder {
    components
        .schema_from::<ProcessorRequest>()
        .schema_from::<ProcessorTestRequest>()
        .schema_from::<ProcessorAnswer<'static>>()
        .schema_from::<ToggledProcessorAnswer<'static>>()
        .schema_from::<DeletedProcessorAnswer<'static>>()
        .schema_from::<ProcessorTestAnswer<'static>>()
        .schema_from::<CheckAnswer<'static>>()
        .schema_from::<DerivedEventAnswer<'static>>()
}

fn id() -> Parameter {
    in_path("processor_id", "The processor's id.")
}

pub(super) fn describe_processors(endpoint: ManageProcessorsEndpoint) -> Description {
    match endpoint {
        ManageProcessorsEndpoint::Create => Description {
            tag: TAG,
            text: "Every event that is recorded once this is answered, and that `filters` select, is given to the processor: those of a \
                   stream one after the other, to the processors of highest priority first. An event is `processed` once all its \
                   processors have succeeded, `failed` once one has failed for good. The same name again redefines the processor of \
                   that name. A processor that publishes takes a credential that is bound to no organization.",
            parameters: Vec::new(),
            body: Some(json_request(Ref::from_schema_name("ProcessorRequest"), example_request())),
            answer: json_response("The processor.", Ref::from_schema_name("Processor"), Some(example_processor())),
            problems: &[ProblemKind::Conflict, ProblemKind::TooLarge, ProblemKind::Invalid],
        },
        ManageProcessorsEndpoint::List => Description {
            tag: TAG,
            text: "The processors of the credential's organization, or all, highest priority first.",
            parameters: Vec::new(),
            body: None,
            answer: json_response("The processors.", ArrayBuilder::new().items(Ref::from_schema_name("Processor")), None),
            problems: &[],
        },
        ManageProcessorsEndpoint::Get => Description {
            tag: TAG,
            text: "A processor, and how it has done, as far as that has been counted.",
            parameters: vec![id()],
            body: None,
            answer: json_response("The processor.", Ref::from_schema_name("Processor"), None),
            problems: &[ProblemKind::NotFound],
        },
        ManageProcessorsEndpoint::Toggle => Description {
            tag: TAG,
            text: "Events that are recorded while a processor is off are never given to it. What waits for it is skipped, and its result says so.",
            parameters: vec![
                id(),
                parameter(
                    "enabled",
                    ParameterIn::Query,
                    ObjectBuilder::new().schema_type(Type::Boolean),
                    "Whether it shall be run: `true`, `false`, `1` or `0`. Without it, the processor is switched the other way.",
                ),
            ],
            body: None,
            answer: json_response("It is switched.", Ref::from_schema_name("ToggledProcessor"), None),
            problems: &[ProblemKind::NotFound, ProblemKind::Invalid],
        },
        ManageProcessorsEndpoint::Test => Description {
            tag: TAG,
            text: "Says whether the processor is run for an event, and why; of a `transform` also what it would record. Nothing is done.",
            parameters: vec![id()],
            body: Some(json_request(Ref::from_schema_name("ProcessorTestRequest"), example_test())),
            answer: json_response("What it would do.", Ref::from_schema_name("ProcessorTest"), Some(example_test_answer())),
            problems: &[ProblemKind::NotFound, ProblemKind::TooLarge, ProblemKind::Invalid],
        },
        ManageProcessorsEndpoint::Delete => Description {
            tag: TAG,
            text: "What waits for it is skipped, and its result says so.",
            parameters: vec![id()],
            body: None,
            answer: json_response("The processor is removed.", Ref::from_schema_name("DeletedProcessor"), None),
            problems: &[ProblemKind::NotFound],
        },
    }
}

pub(super) fn example_request() -> Value {
    json!({
        "processor_name": "salesforce_sync", "processor_type": "webhook", "priority": 5,
        "filters": {"event_type": "user.created", "event_category": "user_lifecycle", "data": {"plan": ["pro", "team"]}},
        "config": {"salesforce_url": "https://hooks.example.com/salesforce", "api_key": "k-123", "max_retries": 3},
    })
}

pub(super) fn example_test() -> Value {
    json!({"event": {"event_type": "user.created", "event_category": "user_lifecycle", "data": {"plan": "free"}}})
}

pub(super) fn example_processor() -> Value {
    json!({
        "processor_id": "0b7e3c55-8f2d-4f8e-a1c3-9d2e4f6a8b0c", "processor_name": "salesforce_sync", "processor_type": "webhook",
        "enabled": true, "priority": 5,
        "filters": {"event_type": "user.created", "event_category": "user_lifecycle", "data": {"plan": ["pro", "team"]}},
        "config": {"salesforce_url": "https://hooks.example.com/salesforce", "api_key": "********", "max_retries": 3},
        "retry_policy": {"max_retries": 3}, "error_count": 0, "last_error": null, "last_processed_at": null, "organization_id": null,
        "created_at": "2026-11-23T10:11:12.345678Z", "updated_at": "2026-11-23T10:11:12.345678Z",
    })
}

pub(super) fn example_test_answer() -> Value {
    json!({
        "matches": false, "would_run": false, "reason": "The event is not one of those that `filters` select.",
        "checks": [
            {"field": "event_type", "expected": "user.created", "actual": "user.created", "matches": true},
            {"field": "event_category", "expected": "user_lifecycle", "actual": "user_lifecycle", "matches": true},
            {"field": "data.plan", "expected": "one of \"pro\", \"team\"", "actual": "free", "matches": false},
        ],
        "derived": null, "error": null,
    })
}
