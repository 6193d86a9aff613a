//! Processors as their owners describe them, and what they are tried on.

use lambda_http::Request;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::draft::{EventRequest, draft_at};
use super::fields::Fields;
use super::openapi::schemas::JsonObjectSchema;
use super::problem::{FieldProblem, FieldProblemKind, Place, Problem};
use super::query_request::parameters_of;
use super::request::query_string;
use super::subscription_request::RetryPolicyRequest;
use crate::commands::manage_processors::{Specimen, Switch};
use crate::domain::identifiers::{OrganizationId, ProcessorName};
use crate::domain::json::JsonObject;
use crate::domain::processor::{Action, ProcessorDraft};
use crate::domain::retry_policy::RetryPolicy;
use crate::domain::selector::{Selector, SelectorProblem};

/// The largest priority, and the negative of the smallest.
const MAX_PRIORITY: i64 = 1_000_000;
const MAX_TYPE_CHARS: usize = 100;
/// The members of a body that may hold secrets.
const SECRET: &[&str] = &["config"];
/// The members of `config`, or of the body, that are a retry policy.
const RETRY: [&str; 5] = ["max_retries", "backoff_seconds", "initial_delay_ms", "backoff_multiplier", "max_delay_ms"];

/// A processor to make or to redefine. What is not given or null has its default.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct ProcessorRequest {
    /// What it is called. There is one of a name in an organization: the same name again redefines it.
    #[schema(min_length = 1)]
    pub processor_name: String,
    /// What it does: `webhook` sends events to `config.url`; `transform` records an event of type `config.event_type` that is
    /// made of another, by `pick`, `rename`, `set`, `template` and `drop`; `publish` puts events on a bus or into a queue;
    /// `internal` logs or counts. Events are given to any other type too, and skipped.
    #[schema(min_length = 1, max_length = 100, example = "webhook")]
    pub processor_type: String,
    /// Whether it is run. Events that are recorded while it is not are never given to it.
    #[schema(default = true)]
    pub enabled: Option<bool>,
    /// The order of execution, highest first.
    #[schema(default = 0)]
    pub priority: Option<i64>,
    /// Which events: `event_type` (exactly, or with `*`), `event_source` and `event_category`, each one or a list, and `data`:
    /// by dotted path a value, a list of values, or tests `equals` `in` `exists` `gt` `gte` `lt` `lte` `prefix`. All must hold.
    #[schema(value_type = Option<JsonObjectSchema>)]
    pub filters: Option<Box<RawValue>>,
    /// What it needs for what it does. Secrets are masked in answers, and stay what they are if the mask is sent back.
    #[schema(value_type = Option<JsonObjectSchema>)]
    pub config: Option<Box<RawValue>>,
    /// When failed attempts are repeated: by default after 10 s, 1 min and 700 s. Its members may also stand in `config`.
    #[schema(value_type = Option<RetryPolicyRequest>)]
    pub retry_policy: Option<Box<RawValue>>,
    /// The organization whose events it is given: by default, the one that the credential is bound to, or all.
    pub organization_id: Option<String>,
}

/// What a processor is tried on: a stored event, or one as it would be sent to be recorded.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct ProcessorTestRequest {
    /// The id of a stored event.
    #[schema(format = Uuid)]
    pub event_id: Option<String>,
    /// An event that is not stored.
    pub event: Option<EventRequest>,
}

/// The processor that a body describes, and the organization that it names.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with it.
pub fn processor_draft(body: &RawValue) -> Result<(Option<OrganizationId>, ProcessorDraft), Problem> {
    let mut fields = Fields::read_body(body, SECRET)?;
    for name in ["processor_name", "processor_type"] {
        if fields.given(name).is_none() {
            fields.missing(name);
        }
    }
    let name: Option<ProcessorName> =
        fields.label("processor_name", ProcessorName::MAX_BYTES).and_then(|name| fields.required_identifier("processor_name", name));
    let kind = fields.label("processor_type", MAX_TYPE_CHARS);
    let enabled = fields.boolean("enabled").unwrap_or(true);
    let priority = fields.signed("priority", -MAX_PRIORITY, MAX_PRIORITY).unwrap_or_default();
    let filters = filters(&mut fields);
    let config = fields.object("config").unwrap_or_default();
    let retry_policy = retry_policy(&mut fields, &config);
    let organization = fields.text("organization_id").and_then(|text| fields.required_identifier("organization_id", text));
    if let Some(kind) = &kind {
        check_config(&mut fields, kind, &config);
    }
    let draft = name.zip(kind).map(|(name, kind)| ProcessorDraft { name, kind, enabled, priority, filters, config, retry_policy });
    fields.finish(draft.map(|draft| (organization, draft))).map_err(Problem::invalid)
}

fn filters(fields: &mut Fields<'_>) -> JsonObject {
    const NAME: &str = "filters";
    let filters = fields.object(NAME).unwrap_or_default();
    if let Err(problems) = Selector::parse(&filters) {
        let value = filters.to_value();
        let problem = |problem: SelectorProblem| fields.within(NAME, &value, &problem.path, &problem.message);
        let problems: Vec<FieldProblem> = problems.into_iter().map(problem).collect();
        fields.extend(problems);
    }
    filters
}

/// Whether `config` can be understood, as far as it says all: what stands for a secret of before is put in place later.
fn check_config(fields: &mut Fields<'_>, kind: &str, config: &JsonObject) {
    if let Err(problems) = Action::parse(kind, config) {
        let problems = problems.into_iter().map(|problem| {
            let loc = vec![Place::name("body"), Place::name("config"), Place::name(&problem.field)];
            FieldProblem::new(FieldProblemKind::ValueError, loc, format!("Value error, {}", problem.message), Value::Null)
        });
        fields.extend(problems.collect::<Vec<_>>());
    }
}

/// The policy that stands by itself, else what `config` has of one.
fn retry_policy(fields: &mut Fields<'_>, config: &JsonObject) -> JsonObject {
    let default = RetryPolicy::of_processors();
    if fields.given("retry_policy").is_some() {
        return super::subscription_request::retry_policy(fields, &default).unwrap_or_default();
    }
    let config = config.to_value();
    let of_config: Map<String, Value> =
        RETRY.iter().filter_map(|name| Some(((*name).to_owned(), config.get(name).filter(|value| !value.is_null())?.clone()))).collect();
    let policy = JsonObject::parse(&Value::Object(of_config).to_string()).unwrap_or_default();
    if let Err(problems) = RetryPolicy::parse(&policy, &default) {
        let problems = problems.into_iter().map(|problem| {
            let loc = vec![Place::name("body"), Place::name("config"), Place::name(problem.field)];
            let input = config.get(problem.field).cloned().unwrap_or_default();
            FieldProblem::new(FieldProblemKind::ValueError, loc, format!("Value error, {}", problem.message), input)
        });
        fields.extend(problems.collect::<Vec<_>>());
    }
    policy
}

/// What a body asks to try a processor on.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with it.
pub fn specimen(body: &RawValue) -> Result<Specimen, Problem> {
    let mut fields = Fields::read_body(body, &[])?;
    let stored = fields.text("event_id");
    let imagined = fields.given("event").map(|event| draft_at(event, fields.loc("event")));
    let specimen = match (stored, imagined) {
        (Some(id), None) => {
            let id = id.parse().ok();
            if id.is_none() {
                fields.refuse("event_id", FieldProblemKind::UuidParsing, "Input should be a valid UUID");
            }
            id.map(Specimen::Stored)
        }
        (None, Some(Ok(draft))) => Some(Specimen::Imagined(Box::new(draft))),
        (None, Some(Err(problems))) => {
            fields.extend(problems);
            None
        }
        (None, None) => {
            if fields.given("event_id").is_none() {
                fields.missing("event_id");
            }
            None
        }
        (Some(_), Some(_)) => {
            fields.refuse_value("event", "stands where event_id stands too: send one of them");
            None
        }
    };
    fields.finish(specimen).map_err(Problem::invalid)
}

/// What the query string of a toggle asks for.
///
/// # Errors
/// [`Problem::invalid`] if it is neither yes nor no.
pub fn switch(request: &Request) -> Result<Switch, Problem> {
    let parameters = query_string(request)?;
    let mut fields = parameters_of(&parameters)?;
    let switch = match fields.boolean("enabled") {
        None => Switch::Over,
        Some(true) => Switch::On,
        Some(false) => Switch::Off,
    };
    fields.finish(Some(switch)).map_err(Problem::invalid)
}

#[cfg(test)]
mod tests;
