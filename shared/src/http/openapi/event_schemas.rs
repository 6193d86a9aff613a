//! Routes that manage schemas of events.

use serde_json::{Value, json};
use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::ArrayBuilder;
use utoipa::openapi::{ComponentsBuilder, Ref};

use super::parts::{Description, in_path, in_query, json_request, json_response};
use super::schemas::EnforcementSchema;
use crate::http::answers::schemas::{DeletedSchemasAnswer, SchemaVersionAnswer, SchemasAnswer, UpcastAnswer};
use crate::http::problem::ProblemKind;
use crate::http::routes::ManageSchemasEndpoint;
use crate::http::schema_request::{SchemaRequestBody, UpcastRequest};

const TAG: &str = "Schemas";

pub(super) fn with_schemas(components: ComponentsBuilder) -> ComponentsBuilder {
    components
        .schema_from::<EnforcementSchema>()
        .schema_from::<SchemaRequestBody>()
        .schema_from::<UpcastRequest>()
        .schema_from::<SchemasAnswer<'static>>()
        .schema_from::<SchemaVersionAnswer<'static>>()
        .schema_from::<UpcastAnswer<'static>>()
        .schema_from::<DeletedSchemasAnswer<'static>>()
}

fn of_type() -> Vec<Parameter> {
    vec![
        in_path("event_type", "The type of event, exactly."),
        in_query("organization_id", "Whose: by default the credential's own organization's, else everybody's."),
    ]
}

pub(super) fn describe_schemas(endpoint: ManageSchemasEndpoint) -> Description {
    match endpoint {
        ManageSchemasEndpoint::Register => Description {
            tag: TAG,
            text: "A version of the schema of a type's `data`; or `enforcement` alone. Events are held to the schema of their                    `schema_version` within ten seconds: `reject` refuses what does not fit, and what names a version that is not                    registered; `warn` stores it and writes to the log. A new version must take what the one before took, unless it                    comes with an upcaster or `compatibility` is `none`. With an upcaster, events of the older version are read in the                    newer one from now on, in answers, replays and projections; what is stored stays.",
            parameters: Vec::new(),
            body: Some(json_request(Ref::from_schema_name("SchemaRequest"), example_request())),
            answer: json_response("The schemas of the type.", Ref::from_schema_name("EventSchemas"), Some(example_schemas())),
            problems: &[ProblemKind::Conflict, ProblemKind::TooLarge, ProblemKind::Invalid],
        },
        ManageSchemasEndpoint::List => Description {
            tag: TAG,
            text: "Those that the events of the credential's organization are held to, or all, by type.",
            parameters: Vec::new(),
            body: None,
            answer: json_response("The schemas.", ArrayBuilder::new().items(Ref::from_schema_name("EventSchemas")), None),
            problems: &[],
        },
        ManageSchemasEndpoint::Get => Description {
            tag: TAG,
            text: "An organization's own, or else everybody's.",
            parameters: of_type(),
            body: None,
            answer: json_response("The schemas of the type.", Ref::from_schema_name("EventSchemas"), None),
            problems: &[ProblemKind::NotFound, ProblemKind::Invalid],
        },
        ManageSchemasEndpoint::Delete => Description {
            tag: TAG,
            text: "All versions, with their upcasters: events are read as they were written.",
            parameters: of_type(),
            body: None,
            answer: json_response("The schemas are deleted.", Ref::from_schema_name("DeletedSchemas"), None),
            problems: &[ProblemKind::NotFound, ProblemKind::Invalid],
        },
    }
}

pub(super) fn example_request() -> Value {
    json!({
        "event_type": "order.placed", "version": "2.0.0", "enforcement": "reject",
        "schema": {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number", "minimum": 0}}},
        "upcast": {"from": "1.0.0", "steps": [{"rename": {"total": "amount"}}, {"default": {"currency": "EUR"}}]},
    })
}

pub(super) fn example_schemas() -> Value {
    json!({
        "event_type": "order.placed", "organization_id": null, "enforcement": "reject",
        "versions": [{
            "version": "2.0.0",
            "schema": {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number", "minimum": 0}}},
            "upcast": {"from": "1.0.0", "steps": [{"rename": {"total": "amount"}}, {"default": {"currency": "EUR"}}]},
            "created_at": "2026-11-23T10:11:12.345678Z",
        }],
        "updated_at": "2026-11-23T10:11:12.345678Z",
    })
}
