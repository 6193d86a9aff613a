//! Schemas of events as they are registered.

use lambda_http::Request;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::fields::{Blank, Fields};
use super::openapi::schemas::{EnforcementSchema, JsonObjectSchema};
use super::problem::{FieldProblem, FieldProblemKind, Problem};
use super::query_request::{in_path, parameters_of};
use super::request::query_string;
use crate::commands::manage_schemas::{Compatibility, SchemaDraft, VersionDraft};
use crate::domain::event_schema::{Enforcement, EventSchemas, Upcast};
use crate::domain::identifiers::{EventType, OrganizationId, SchemaVersion};
use crate::domain::json::JsonObject;

/// A version of a type's schema to register, or what becomes of events that do not fit.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = SchemaRequest)]
pub struct SchemaRequestBody {
    /// The type of event, exactly.
    #[schema(min_length = 1, max_length = 255, example = "order.placed")]
    pub event_type: String,
    /// The version, as events name it in `version`: 1.0.0 for events that name none.
    #[schema(example = "2.0.0")]
    pub version: Option<String>,
    /// What `data` must look like: JSON Schema, at most 16 KB, without references to elsewhere.
    #[schema(value_type = Option<JsonObjectSchema>)]
    pub schema: Option<Box<RawValue>>,
    /// How events of an older version are read in this one.
    pub upcast: Option<UpcastRequest>,
    /// Whether events of the version before must fit: `backward`, or `none`. With an upcaster from that version they need not.
    #[schema(default = "backward", example = "backward")]
    pub compatibility: Option<String>,
    /// What becomes of events of the type that do not fit the schema of their version.
    #[schema(value_type = Option<EnforcementSchema>)]
    pub enforcement: Option<Enforcement>,
    /// The organization whose events are meant: by default, the one that the credential is bound to, or all.
    pub organization_id: Option<String>,
}

/// How events of an older version are read in a newer one. What is stored stays.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = Upcast)]
pub struct UpcastRequest {
    /// The older version.
    #[schema(example = "1.0.0")]
    pub from: String,
    /// Objects with one member each: `{"rename": {path: name}}`, `{"move": {path: path}}`, `{"default": {path: value}}`.
    #[schema(value_type = Vec<JsonObjectSchema>)]
    pub steps: Vec<Box<RawValue>>,
}

/// What a body registers, and the organization that it names.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with it.
pub fn schema_draft(body: &RawValue) -> Result<(Option<OrganizationId>, SchemaDraft), Problem> {
    let mut fields = Fields::read_body(body, &[])?;
    if fields.given("event_type").is_none() {
        fields.missing("event_type");
    }
    let event_type = fields.text("event_type").and_then(|text| fields.event_type("event_type", text));
    let enforcement = fields.word("enforcement", Enforcement::ALL, Enforcement::as_str);
    let organization = fields.text("organization_id").and_then(|text| fields.required_identifier("organization_id", text));
    let version = if ["version", "schema", "upcast"].iter().any(|name| fields.given(name).is_some()) {
        Some(version(&mut fields))
    } else if enforcement.is_none() {
        fields.missing("schema");
        Some(None)
    } else {
        None
    };
    let draft = match (event_type, version) {
        (Some(event_type), None) => Some(SchemaDraft { event_type, version: None, enforcement }),
        (Some(event_type), Some(Some(version))) => Some(SchemaDraft { event_type, version: Some(version), enforcement }),
        (_, Some(None)) | (None, _) => None,
    };
    fields.finish(draft.map(|draft| (organization, draft))).map_err(Problem::invalid)
}

fn version(fields: &mut Fields<'_>) -> Option<VersionDraft> {
    if fields.given("schema").is_none() {
        fields.missing("schema");
    }
    let version = match fields.text("version") {
        Some(text) => fields.required_identifier::<SchemaVersion>("version", text),
        None => Some(SchemaVersion::default()),
    };
    let schema = fields.object("schema").filter(|schema| fits(fields, "schema", schema.as_str().len()));
    let compatibility = match fields.text("compatibility").as_deref() {
        None | Some("backward") => Compatibility::Backward,
        Some("none") => Compatibility::None,
        Some(_) => {
            fields.refuse("compatibility", FieldProblemKind::Enum, "Input should be 'backward' or 'none'");
            Compatibility::Backward
        }
    };
    let upcast = match fields.given("upcast") {
        None => None,
        Some(upcast) if fits(fields, "upcast", upcast.get().len()) => match read_upcast(fields, upcast) {
            Ok(upcast) => Some(upcast),
            Err(problems) => {
                fields.extend(problems);
                return None;
            }
        },
        Some(_) => return None,
    };
    Some(VersionDraft { version: version?, schema: schema?, upcast, compatibility })
}

fn fits(fields: &mut Fields<'_>, name: &str, bytes: usize) -> bool {
    let fits = bytes <= EventSchemas::MAX_BYTES;
    if !fits {
        fields.refuse_value(name, format!("must have at most {} bytes", EventSchemas::MAX_BYTES));
    }
    fits
}

fn read_upcast(fields: &Fields<'_>, upcast: &RawValue) -> Result<Upcast, Vec<FieldProblem>> {
    let mut inner = Fields::read(upcast, fields.loc("upcast"), Blank::Value).map_err(|problem| vec![problem])?;
    for name in ["from", "steps"] {
        if inner.given(name).is_none() {
            inner.missing(name);
        }
    }
    let from = inner.text("from").and_then(|text| inner.required_identifier::<SchemaVersion>("from", text));
    // What is in it is looked at once the type is known.
    let steps = inner.given("steps").map(|steps| JsonObject::parse(&format!("{{\"steps\":{}}}", steps.get())));
    let steps = match steps {
        Some(Ok(object)) => object.to_value().get("steps").cloned(),
        Some(Err(_)) => {
            inner.refuse_value("steps", "cannot be read");
            None
        }
        None => None,
    };
    inner.finish(from.zip(steps).map(|(from, steps)| Upcast { from, steps }))
}

/// The type that a path names, and whose schemas of it are meant.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with them.
pub fn schemas_request(event_type: &str, request: &Request) -> Result<(EventType, Option<OrganizationId>), Problem> {
    let parameters = query_string(request)?;
    let mut fields = parameters_of(&parameters)?;
    let organization = fields.identifier("organization_id");
    let event_type = match event_type.parse::<EventType>() {
        Ok(event_type) => Some(event_type),
        Err(error) => {
            fields.extend([in_path("event_type", event_type, error)]);
            None
        }
    };
    fields.finish(event_type.map(|event_type| (event_type, organization))).map_err(Problem::invalid)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(body: &Value) -> Result<(Option<OrganizationId>, SchemaDraft), Problem> {
        schema_draft(&serde_json::value::to_raw_value(body).unwrap())
    }

    #[test]
    fn a_version_is_registered_or_only_what_becomes_of_what_does_not_fit() {
        let (_, draft) = read(&json!({"event_type": "a", "schema": {"type": "object"}})).unwrap();
        assert_eq!(
            draft.version.map(|version| (version.version, version.compatibility)),
            Some((SchemaVersion::default(), Compatibility::Backward))
        );
        let (organization, draft) = read(&json!({"event_type": "a", "enforcement": "reject", "organization_id": "acme"})).unwrap();
        assert_eq!((organization, draft.version, draft.enforcement), ("acme".parse().ok(), None, Some(Enforcement::Reject)));
        let upcast = json!({"from": "1.0.0", "steps": [{"rename": {"a": "b"}}]});
        let body = json!({"event_type": "a", "version": "2.0.0", "schema": {}, "upcast": upcast, "compatibility": "none"});
        let version = read(&body).unwrap().1.version.unwrap();
        assert_eq!(
            (version.upcast.map(|upcast| upcast.steps), version.compatibility),
            (Some(upcast["steps"].clone()), Compatibility::None)
        );
    }

    #[test]
    fn everything_that_is_wrong_is_reported() {
        for (body, places) in [
            (json!({}), vec!["event_type", "schema"]),
            (json!({"event_type": "", "schema": 7}), vec!["event_type", "schema"]),
            (json!({"event_type": "a", "version": "1"}), vec!["schema"]),
            (
                json!({"event_type": "a", "schema": {}, "enforcement": "hard", "compatibility": "full"}),
                vec!["enforcement", "compatibility"],
            ),
            (json!({"event_type": "a", "schema": {}, "upcast": {}}), vec!["upcast", "upcast"]),
            (json!({"event_type": "a", "schema": {"x": "y".repeat(20_000)}}), vec!["schema"]),
        ] {
            let answer = serde_json::to_value(read(&body).unwrap_err()).unwrap();
            let found: Vec<&str> = answer["detail"].as_array().unwrap().iter().map(|problem| problem["loc"][1].as_str().unwrap()).collect();
            assert_eq!(found, places, "{body}");
        }
    }
}
