//! Routes that read and define projections.

use serde_json::{Value, json};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::ArrayBuilder;
use utoipa::openapi::{ComponentsBuilder, Ref};

use super::parts::{Description, in_path, in_query, json_request, json_response, parameter, text, whole_number};
use crate::http::answers::projections::{
    DefinitionAnswer, DeletedProjectionAnswer, HistoryAnswer, ProjectionAnswer, StateChangeAnswer, WarningAnswer,
};
use crate::http::problem::ProblemKind;
use crate::http::projection_request::{DefinitionRequest, DryRunRequest};
use crate::http::routes::ReadProjectionsEndpoint;

const TAG: &str = "Projections";

pub(super) fn with_schemas(components: ComponentsBuilder) -> ComponentsBuilder {
    components
        .schema_from::<DefinitionRequest>()
        .schema_from::<DryRunRequest>()
        .schema_from::<ProjectionAnswer<'static>>()
        .schema_from::<WarningAnswer<'static>>()
        .schema_from::<HistoryAnswer<'static>>()
        .schema_from::<StateChangeAnswer<'static>>()
        .schema_from::<DefinitionAnswer<'static>>()
        .schema_from::<DeletedProjectionAnswer<'static>>()
}

/// Whose entity, and which of its projections.
fn entity() -> Vec<Parameter> {
    vec![
        in_path("entity_type", "What kind of thing the entity is: what stands before the colon of its stream."),
        in_path("entity_id", "Which one: what stands after the colon."),
        in_query("name", "Which of its projections: by default the one that every entity has, `default`."),
        in_query(
            "organization_id",
            "Whose entity: by default the credential's own organization's, else that of no organization, or of the only one that has it.",
        ),
    ]
}

fn id() -> Parameter {
    in_path("definition_id", "The definition's id.")
}

pub(super) fn describe_projections(endpoint: ReadProjectionsEndpoint) -> Description {
    match endpoint {
        ReadProjectionsEndpoint::State => Description {
            tag: TAG,
            text: "Folds the events of the entity's stream, so it is always current: `version` is how many were applied. The projection                    `default` merges the `data` of all events and keeps, as `_events`, the count and the last one of each type. Events                    that a rule cannot be applied to change nothing, and are named in `warnings`. A projection of very many events may                    take several requests to build: until then it is 503, and says how far it is.",
            parameters: entity()
                .into_iter()
                .chain([
                    parameter("at_version", ParameterIn::Query, whole_number().minimum(Some(1)), "The state after so many events."),
                    in_query("at_time", "The state by the events that were stored until this moment."),
                    parameter(
                        "include",
                        ParameterIn::Query,
                        text().enum_values(Some(["history"])),
                        "`history`: also the versions at which the state changed, and by which event.",
                    ),
                ])
                .collect(),
            body: None,
            answer: json_response("The state.", Ref::from_schema_name("Projection"), Some(example_projection())),
            problems: &[ProblemKind::NotFound, ProblemKind::Conflict, ProblemKind::Invalid],
        },
        ReadProjectionsEndpoint::Rebuild => Description {
            tag: TAG,
            text: "What was kept of the state is replaced by what the events say.",
            parameters: entity(),
            body: None,
            answer: json_response("The state.", Ref::from_schema_name("Projection"), None),
            problems: &[ProblemKind::NotFound, ProblemKind::Conflict, ProblemKind::Invalid],
        },
        ReadProjectionsEndpoint::DryRun => Description {
            tag: TAG,
            text: "The state that the entity would have by these rules. Nothing is kept.",
            parameters: Vec::new(),
            body: Some(json_request(Ref::from_schema_name("DryRunRequest"), example_dry_run())),
            answer: json_response("The state.", Ref::from_schema_name("Projection"), None),
            problems: &[ProblemKind::NotFound, ProblemKind::Conflict, ProblemKind::TooLarge, ProblemKind::Invalid],
        },
        ReadProjectionsEndpoint::Define => Description {
            tag: TAG,
            text: "Every entity of the type has the projection from now on, its events of before included. The same name again gives it                    other rules, as a new version: for an entity whose state by them takes several requests to build, the rules before                    answer until it is built.",
            parameters: Vec::new(),
            body: Some(json_request(Ref::from_schema_name("DefinitionRequest"), example_request())),
            answer: json_response("The definition.", Ref::from_schema_name("ProjectionDefinition"), Some(example_definition())),
            problems: &[ProblemKind::Conflict, ProblemKind::TooLarge, ProblemKind::Invalid],
        },
        ReadProjectionsEndpoint::List => Description {
            tag: TAG,
            text: "Those of the credential's organization and those that all organizations have, by type of entity and name.",
            parameters: Vec::new(),
            body: None,
            answer: json_response("The definitions.", ArrayBuilder::new().items(Ref::from_schema_name("ProjectionDefinition")), None),
            problems: &[],
        },
        ReadProjectionsEndpoint::Get => Description {
            tag: TAG,
            text: "",
            parameters: vec![id()],
            body: None,
            answer: json_response("The definition.", Ref::from_schema_name("ProjectionDefinition"), None),
            problems: &[ProblemKind::NotFound],
        },
        ReadProjectionsEndpoint::Delete => Description {
            tag: TAG,
            text: "No entity has the projection any more.",
            parameters: vec![id()],
            body: None,
            answer: json_response("The definition is deleted.", Ref::from_schema_name("DeletedProjection"), None),
            problems: &[ProblemKind::NotFound],
        },
    }
}

pub(super) fn example_request() -> Value {
    json!({"name": "summary", "entity_type": "order", "rules": example_rules()})
}

pub(super) fn example_dry_run() -> Value {
    json!({"entity_type": "order", "entity_id": "1001", "rules": example_rules()})
}

fn example_rules() -> Value {
    json!({
        "order.placed": [{"set": {"total": "$data.total", "customer": "$user_id", "placed_at": "$timestamp"}}],
        "order.item_*": [{"count": "changes"}, {"append": {"log": {"what": "$event_type", "sku": "$data.sku?"}}, "keep": 20}],
        "order.refunded": [{"increment": {"refunds": "$data.amount"}}],
    })
}

pub(super) fn example_definition() -> Value {
    json!({
        "definition_id": "3d9f7a52-6b1e-4c0f-8a77-1f2e3d4c5b6a", "name": "summary", "entity_type": "order", "rules": example_rules(),
        "rules_version": 1, "organization_id": null, "created_at": "2026-11-23T10:11:12.345678Z",
        "updated_at": "2026-11-23T10:11:12.345678Z",
    })
}

pub(super) fn example_projection() -> Value {
    json!({
        "projection_id": "0f6d1e5a-4b0e-5f5c-9a57-3c2b1a0f9e8d", "projection_name": "summary", "entity_id": "1001", "entity_type": "order",
        "organization_id": null, "state": {"customer": "user_12345", "total": 99.9}, "version": 2,
        "last_event_id": "019e9f5d-31a0-8a4e-9c1f-2b6d3f000001", "created_at": "2026-11-23T10:11:12.345000Z",
        "updated_at": "2026-11-23T10:12:00.000000Z", "rules_version": 1, "skipped": 1,
        "warnings": [{
            "event_id": "019e9f5d-31a0-8a4e-9c1f-2b6d3f000001", "event_type": "order.refunded", "stream_version": 2,
            "reason": "the event has no data.amount",
        }],
        "history": {
            "changes": [{
                "version": 1, "event_id": "019e9f5d-2b10-8a4e-9c1f-2b6d3f000001", "event_type": "order.placed",
                "timestamp": "2026-11-23T10:11:12.345678Z",
            }],
            "earlier": 0,
        },
    })
}
