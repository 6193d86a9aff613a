//! Which projections are asked for, and projections as their owners define them.

use lambda_http::Request;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::fields::Fields;
use super::openapi::schemas::JsonObjectSchema;
use super::problem::{FieldProblem, FieldProblemKind, Problem};
use super::query_request::{in_path, parameters_of};
use super::request::query_string;
use crate::commands::manage_projections::ProjectionDraft;
use crate::domain::identifiers::{OrganizationId, ProjectionName};
use crate::domain::json::JsonObject;
use crate::domain::projection::{ProjectionDefinition, RuleProblem, Rules, RulesKey};
use crate::domain::stream_id::{EntityType, StreamId};
use crate::domain::version::Version;
use crate::queries::read_projection::{Moment, ProjectionRequest, WithHistory};

/// A projection to define, or to give other rules.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct DefinitionRequest {
    /// What it is called. There is one of a name for a type of entities in an organization: the same again gives it other rules.
    #[schema(min_length = 1, example = "summary")]
    pub name: String,
    /// Which entities it is of: what stands before the colon of their streams.
    #[schema(min_length = 1, example = "order")]
    pub entity_type: String,
    /// For each type of event (exactly, or with `*`) a list of operations: `{"set": {path: value}}`, `{"merge": {path: value}}` or
    /// `{"merge": value}` (RFC 7396), `{"increment": {path: number}}`, `{"append": {path: value}, "keep": n}`, `{"remove": path}`,
    /// `{"count": path}`. A value that is a text with `$` in front is what the event has there: `$data.total`, `$timestamp`; with `?`
    /// at its end, an event may lack it. `$$` stands for a `$`. Operations of patterns are done before those of the exact type.
    #[schema(value_type = JsonObjectSchema)]
    pub rules: Option<Box<RawValue>>,
    /// The organization whose entities it is of: by default, the one that the credential is bound to, or all.
    pub organization_id: Option<String>,
}

/// Rules to try on an entity.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct DryRunRequest {
    /// What kind of thing the entity is.
    #[schema(min_length = 1, example = "order")]
    pub entity_type: String,
    /// Which one.
    #[schema(min_length = 1, example = "1001")]
    pub entity_id: String,
    /// The rules, as for a definition.
    #[schema(value_type = JsonObjectSchema)]
    pub rules: Option<Box<RawValue>>,
    /// Whose entity: by default the credential's own organization's, else that of no organization or of the only one that has it.
    pub organization_id: Option<String>,
}

/// The projection that a body defines, and the organization that it names.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with it.
pub fn projection_draft(body: &RawValue) -> Result<(Option<OrganizationId>, ProjectionDraft), Problem> {
    let mut fields = Fields::read_body(body, &[])?;
    require(&mut fields, &["name", "entity_type", "rules"]);
    let name = fields.label("name", ProjectionName::MAX_BYTES).and_then(|name| fields.required_identifier::<ProjectionName>("name", name));
    if name.as_ref().is_some_and(|name| name.as_str() == RulesKey::STANDARD_NAME) {
        fields.refuse_value("name", format!("{} is what every entity has: take another name", RulesKey::STANDARD_NAME));
    }
    let entity_type: Option<EntityType> = fields.parsed("entity_type");
    let rules = rules(&mut fields);
    let organization = fields.text("organization_id").and_then(|text| fields.required_identifier("organization_id", text));
    let draft = name.zip(entity_type).zip(rules).map(|((name, entity_type), (rules, _))| ProjectionDraft { name, entity_type, rules });
    fields.finish(draft.map(|draft| (organization, draft))).map_err(Problem::invalid)
}

/// The entity that a body asks to try rules on, and these.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with it.
pub fn dry_run(body: &RawValue) -> Result<(ProjectionRequest, Rules), Problem> {
    let mut fields = Fields::read_body(body, &[])?;
    require(&mut fields, &["entity_type", "entity_id", "rules"]);
    let (entity_type, entity_id) = (fields.text("entity_type"), fields.text("entity_id"));
    let stream = entity_type.zip(entity_id).and_then(|(entity_type, entity_id)| {
        StreamId::new(&entity_type, &entity_id).map_err(|error| fields.refuse_value("entity_id", error)).ok()
    });
    let rules = rules(&mut fields);
    let organization = fields.text("organization_id").and_then(|text| fields.required_identifier("organization_id", text));
    let asked = stream.zip(rules).map(|(stream, (_, rules))| {
        (ProjectionRequest { stream, organization, name: "dry-run".parse().ok(), moment: Moment::Now, history: WithHistory::No }, rules)
    });
    fields.finish(asked).map_err(Problem::invalid)
}

fn require(fields: &mut Fields<'_>, names: &[&str]) {
    for name in names {
        if fields.given(name).is_none() {
            fields.missing(name);
        }
    }
}

fn rules(fields: &mut Fields<'_>) -> Option<(JsonObject, Rules)> {
    const NAME: &str = "rules";
    let rules = fields.object(NAME)?;
    if rules.as_str().len() > ProjectionDefinition::MAX_RULES_BYTES {
        fields.refuse_value(NAME, format!("must have at most {} bytes", ProjectionDefinition::MAX_RULES_BYTES));
        return None;
    }
    match Rules::parse(&rules) {
        Ok(read) => Some((rules, read)),
        Err(problems) => {
            let value = rules.to_value();
            let problem = |problem: RuleProblem| fields.within(NAME, &value, &problem.path, &problem.message);
            let problems: Vec<FieldProblem> = problems.into_iter().map(problem).collect();
            fields.extend(problems);
            None
        }
    }
}

/// The projection that a path and its query string ask for.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with them.
pub fn projection_request(entity_type: &str, entity_id: &str, request: &Request) -> Result<ProjectionRequest, Problem> {
    let parameters = query_string(request)?;
    let mut fields = parameters_of(&parameters)?;
    let stream = entity(&mut fields, entity_type, entity_id);
    let name = fields.identifier("name");
    let organization = fields.identifier("organization_id");
    let version = fields.integer("at_version", 1, Version::MAX.get()).map(Version::new);
    let time = fields.moment("at_time");
    let moment = match (version, time) {
        (None, None) => Moment::Now,
        (Some(version), None) => Moment::AtVersion(version),
        (None, Some(time)) => Moment::AtTime(time),
        (Some(_), Some(_)) => {
            fields.refuse_value("at_time", "says as of when, and so does at_version: send one of them");
            Moment::Now
        }
    };
    let history = match fields.text("include").as_deref().map(str::trim) {
        None => WithHistory::No,
        Some("history") => WithHistory::Yes,
        Some(_) => {
            fields.refuse("include", FieldProblemKind::Enum, "Input should be 'history'");
            WithHistory::No
        }
    };
    fields.finish(stream.map(|stream| ProjectionRequest { stream, organization, name, moment, history })).map_err(Problem::invalid)
}

/// The entity that a path names.
fn entity(fields: &mut Fields<'_>, entity_type: &str, entity_id: &str) -> Option<StreamId> {
    if let Err(error) = entity_type.parse::<EntityType>() {
        fields.extend([in_path("entity_type", entity_type, error)]);
        return None;
    }
    match StreamId::new(entity_type, entity_id) {
        Ok(stream) => Some(stream),
        Err(error) => {
            fields.extend([in_path("entity_id", entity_id, error)]);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::timestamp::Timestamp;

    fn get(uri: &str) -> Request {
        lambda_http::http::Request::builder().uri(uri).body(Body::Empty).unwrap()
    }

    fn raw(value: &Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(value).unwrap()
    }

    /// Where each problem is.
    fn places<T: std::fmt::Debug>(result: Result<T, Problem>) -> Vec<String> {
        let answer = serde_json::to_value(result.unwrap_err()).unwrap();
        let join = |problem: &Value| {
            let steps: Vec<String> =
                problem["loc"].as_array().unwrap().iter().map(|step| step.as_str().map_or(step.to_string(), str::to_owned)).collect();
            steps.join("/")
        };
        answer["detail"].as_array().unwrap().iter().map(join).collect()
    }

    #[test]
    fn a_state_is_asked_for_as_it_is_or_as_of_a_version_or_a_time() {
        let now = projection_request("order", "42", &get("/x")).unwrap();
        assert_eq!((now.stream.to_string().as_str(), now.moment, now.history, now.name), ("order:42", Moment::Now, WithHistory::No, None));
        let then = projection_request("order", "a:b/c", &get("/x?at_version=7&name=summary&organization_id=acme&include=history")).unwrap();
        assert_eq!((then.moment, then.history), (Moment::AtVersion(Version::new(7)), WithHistory::Yes));
        assert_eq!((then.name, then.organization), ("summary".parse().ok(), "acme".parse().ok()));
        let then = projection_request("order", "1", &get("/x?at_time=2026-11-23T10:00:00Z")).unwrap();
        assert_eq!(then.moment, Moment::AtTime(Timestamp::parse("2026-11-23T10:00:00Z").unwrap()));
        for (entity, uri, place) in [
            (("a:b", "1"), "/x", "path/entity_type"),
            (("a", " "), "/x", "path/entity_id"),
            (("a", "1"), "/x?at_version=0", "query/at_version"),
            (("a", "1"), "/x?at_time=soon", "query/at_time"),
            (("a", "1"), "/x?at_time=0&at_version=1", "query/at_time"),
            (("a", "1"), "/x?include=all", "query/include"),
        ] {
            assert_eq!(places(projection_request(entity.0, entity.1, &get(uri))), [place], "{uri}");
        }
    }

    #[test]
    fn everything_that_is_wrong_with_a_definition_is_reported_where_it_is() {
        let wrong = json!({
            "name": "default", "entity_type": "a:b", "organization_id": " ",
            "rules": {"order.*": [{"set": {"a..b": 1}}, {"grow": {"a": 1}}], "x": 7},
        });
        assert_eq!(
            places(projection_draft(&raw(&wrong))),
            [
                "body/name",
                "body/entity_type",
                "body/rules/order.*/0/set/a..b",
                "body/rules/order.*/1/grow",
                "body/rules/x",
                "body/organization_id"
            ]
        );
        assert_eq!(places(projection_draft(&raw(&json!({})))), ["body/name", "body/entity_type", "body/rules"]);
        let long = json!({"name": "n", "entity_type": "t", "rules": {"x": [{"set": {"a": "x".repeat(20_000)}}]}});
        assert_eq!(places(projection_draft(&raw(&long))), ["body/rules"]);
        assert_eq!(places(dry_run(&raw(&json!({"entity_type": "a", "entity_id": "", "rules": {}})))), ["body/entity_id", "body/rules"]);
    }
}
