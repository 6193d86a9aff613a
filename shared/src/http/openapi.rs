//! The OpenAPI 3.1 document, made from the table of routes and the types of requests and answers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use lambda_http::http::{Method, StatusCode};
use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::info::{InfoBuilder, LicenseBuilder};
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathsBuilder};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, SchemaFormat, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, ComponentsBuilder, Content, HttpMethod, OpenApi, OpenApiBuilder, PathItem, Ref, RefOr, Required, Response, ResponseBuilder,
    Schema,
};
use utoipa::{PartialSchema, ToSchema};

use super::answers::{
    EventAnswer, HealthAnswer, KeyAnswer, NewKeyAnswer, QueryAnswer, RevokedKeyAnswer, StatisticsAnswer, StreamAnswer, TypeCount, UserCount,
};
use super::draft::{BatchRequest, EventRequest};
use super::key_request::KeyRequest;
use super::problem::ProblemKind;
use super::query_request::{MAX_STREAM_EVENTS, QueryRequest};
use super::request::IDEMPOTENCY_KEY;
use super::routes::{Access, Endpoint, ManageKeysEndpoint, ROUTES, ReadEventsEndpoint, RecordEventsEndpoint, Route};
use crate::domain::access::Scope;
use crate::domain::category::EventCategory;
use crate::domain::source::EventSource;
use crate::domain::status::EventStatus;

const JSON: &str = "application/json";

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

/// The document as JSON text.
#[must_use]
pub fn document_json() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_pretty_json().unwrap_or_default());
    &TEXT
}

/// The document.
#[must_use]
pub fn document() -> OpenApi {
    let description = "Stores events from any producer, keeps the order of each entity's events, and finds them again.\n\n\
                       A request carries an API key in `X-API-Key`, or a token in `Authorization: Bearer`. A credential that is bound \
                       to an organization sees and writes that organization's events only. Fields that are not known are ignored, \
                       and null is the same as nothing.";
    let info = InfoBuilder::new()
        .title("Event Service")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(description))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()));
    let tags = [("Events", "Recording and reading events."), ("Keys", "API keys."), ("Service", "The service itself.")];
    OpenApiBuilder::new()
        .info(info.build())
        .tags(Some(tags.map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build())))
        .paths(ROUTES.iter().fold(PathsBuilder::new(), |paths, route| {
            paths.path(openapi_path(route), PathItem::new(method(&route.method), operation(route)))
        }))
        .components(Some(components()))
        .build()
}

/// The path without the mark of API Gateway for a parameter that takes the rest of it.
fn openapi_path(route: &Route) -> String {
    route.path.replace("+}", "}")
}

fn method(method: &Method) -> HttpMethod {
    match method.as_str() {
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "DELETE" => HttpMethod::Delete,
        "PATCH" => HttpMethod::Patch,
        _ => HttpMethod::Get,
    }
}

fn components() -> Components {
    let key = ApiKeyValue::with_description("X-API-Key", "An API key, as `POST /api/v1/keys` makes it.");
    let mut token = Http::new(HttpAuthScheme::Bearer);
    token.bearer_format = Some("JWT".to_owned());
    token.description = Some("A token of the platform, or an API key.".to_owned());
    ComponentsBuilder::new()
        .security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(key)))
        .security_scheme("bearer", SecurityScheme::Http(token))
        .schema_from::<EventSourceSchema>()
        .schema_from::<EventCategorySchema>()
        .schema_from::<EventStatusSchema>()
        .schema_from::<ScopeSchema>()
        .schema_from::<JsonObjectSchema>()
        .schema_from::<MomentSchema>()
        .schema_from::<ExpectedVersionSchema>()
        .schema_from::<EventRequest>()
        .schema_from::<BatchRequest>()
        .schema_from::<QueryRequest>()
        .schema_from::<KeyRequest>()
        .schema_from::<EventAnswer<'static>>()
        .schema_from::<QueryAnswer>()
        .schema_from::<StreamAnswer<'static>>()
        .schema_from::<StatisticsAnswer<'static>>()
        .schema_from::<UserCount<'static>>()
        .schema_from::<TypeCount<'static>>()
        .schema_from::<KeyAnswer<'static>>()
        .schema_from::<NewKeyAnswer<'static>>()
        .schema_from::<RevokedKeyAnswer<'static>>()
        .schema_from::<HealthAnswer>()
        .schema("Problem", problem_schema())
        .schema("InvalidRequest", invalid_schema())
        .schema("Conflict", conflict_schema())
        .extensions(Some(ExtensionsBuilder::new().add("x-problems", problems()).build()))
        .build()
}

/// What the members of every problem are but for `detail`.
fn problem_members(detail: impl Into<RefOr<Schema>>) -> ObjectBuilder {
    let text = |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    let status = ObjectBuilder::new().schema_type(Type::Integer).description(Some("The status of the answer."));
    ["detail", "type", "title", "status"].into_iter().fold(
        ObjectBuilder::new()
            .property("detail", detail)
            .property("type", text("A relative URI that names the kind of problem, and leads to its description."))
            .property("title", text("The kind of problem, for people."))
            .property("status", status),
        ObjectBuilder::required,
    )
}

fn problem_schema() -> ObjectBuilder {
    let detail = ObjectBuilder::new().schema_type(Type::String).description(Some("What is wrong, in words."));
    problem_members(detail).description(Some("Why a request was not carried out (RFC 9457)."))
}

fn invalid_schema() -> ObjectBuilder {
    let place =
        OneOfBuilder::new().item(ObjectBuilder::new().schema_type(Type::String)).item(ObjectBuilder::new().schema_type(Type::Integer));
    let text = |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    let one = ["type", "loc", "msg", "input"].into_iter().fold(
        ObjectBuilder::new()
            .property("type", text("What kind of thing is wrong, such as `missing`, `enum`, `string_type`."))
            .property("loc", ArrayBuilder::new().items(place).description(Some("Where: `[\"body\", \"event_type\"]`.")))
            .property("msg", text("What is wrong, in words."))
            .property(
                "input",
                ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::SchemaType::AnyValue)
                    .description(Some("What was sent, cut if it is long.")),
            ),
        ObjectBuilder::required,
    );
    problem_members(ArrayBuilder::new().items(one).description(Some("Everything that is wrong.")))
        .description(Some("Everything that is wrong with a request."))
}

fn conflict_schema() -> ObjectBuilder {
    let detail = ObjectBuilder::new().schema_type(Type::String).description(Some("What is wrong, in words."));
    let actual = ObjectBuilder::new().schema_type(Type::Integer).description(Some("The version that it has."));
    problem_members(detail)
        .property("stream_id", ObjectBuilder::new().schema_type(Type::String).description(Some("The stream that has another version.")))
        .property("expected_version", Ref::from_schema_name("ExpectedVersion"))
        .property("actual_version", actual)
        .description(Some("A conflict. The last three are there if a stream has another version than expected."))
}

/// The kinds of problems, for the page that describes them.
fn problems() -> Value {
    let problem = |kind: &ProblemKind| {
        let (slug, status, title, uri) = (kind.slug(), kind.status().as_u16(), kind.title(), kind.uri());
        json!({"slug": slug, "status": status, "title": title, "type": uri, "advice": kind.advice()})
    };
    ProblemKind::ALL.iter().map(problem).collect()
}

/// What a document says of a route beyond the table.
struct Description {
    tag: &'static str,
    text: &'static str,
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    answer: Response,
    problems: &'static [ProblemKind],
}

fn operation(route: &Route) -> OperationBuilder {
    let Description { tag, text, parameters, body, answer, problems } = describe(route.endpoint);
    let (security, mut kinds, text) = match route.access {
        Access::Public => (Vec::new(), Vec::new(), text.to_owned()),
        Access::Scope(scope) => {
            let needs = |scheme: &str| SecurityRequirement::new(scheme, [scope.as_str()]);
            let kinds = vec![ProblemKind::NotAuthenticated, ProblemKind::Forbidden, ProblemKind::Internal, ProblemKind::Unavailable];
            (vec![needs("api_key"), needs("bearer")], kinds, format!("{text} Needs the scope `{scope}`.").trim_start().to_owned())
        }
    };
    kinds.extend(problems);
    let operation = OperationBuilder::new()
        .operation_id(Some(route.operation_id))
        .summary(Some(route.summary))
        .description(Some(text))
        .tag(tag)
        .securities(Some(security))
        .request_body(body)
        .response("200", answer);
    let operation = parameters.into_iter().fold(operation, OperationBuilder::parameter);
    let operation =
        by_status(&kinds).into_iter().fold(operation, |operation, (status, kinds)| operation.response(status, problem_response(&kinds)));
    if route.endpoint == Endpoint::ReadEvents(ReadEventsEndpoint::Health) {
        operation.response("503", json_response("The store cannot be reached.", Ref::from_schema_name("Health"), None))
    } else {
        operation
    }
}

fn by_status(kinds: &[ProblemKind]) -> BTreeMap<String, Vec<ProblemKind>> {
    let mut by_status: BTreeMap<String, Vec<ProblemKind>> = BTreeMap::new();
    for kind in kinds {
        by_status.entry(kind.status().as_u16().to_string()).or_default().push(*kind);
    }
    by_status
}

fn problem_response(kinds: &[ProblemKind]) -> Response {
    let titles: Vec<String> = kinds.iter().map(|kind| format!("[{}]({})", kind.title(), kind.uri())).collect();
    let schema = match kinds.first().map(|kind| kind.status()) {
        Some(StatusCode::UNPROCESSABLE_ENTITY) => "InvalidRequest",
        Some(StatusCode::CONFLICT) => "Conflict",
        Some(_) | None => "Problem",
    };
    let mut response =
        ResponseBuilder::new().description(titles.join(", ")).content(JSON, Content::new(Some(Ref::from_schema_name(schema))));
    if kinds.contains(&ProblemKind::Unavailable) {
        response = response.header("Retry-After", text_header("How many seconds to wait before the request is sent again."));
    }
    response.build()
}

fn text_header(description: &str) -> utoipa::openapi::header::Header {
    HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))).description(Some(description)).build()
}

fn json_response(description: &str, schema: impl Into<RefOr<Schema>>, example: Option<Value>) -> Response {
    let content = ContentBuilder::new().schema(Some(schema)).example(example);
    ResponseBuilder::new().description(description).content(JSON, content).build()
}

fn json_request(schema: impl Into<RefOr<Schema>>, example: Value) -> RequestBody {
    let content = ContentBuilder::new().schema(Some(schema)).example(Some(example));
    RequestBodyBuilder::new().content(JSON, content).required(Some(Required::True)).build()
}

fn parameter(name: &str, place: ParameterIn, schema: ObjectBuilder, description: &str) -> Parameter {
    let required = if matches!(place, ParameterIn::Path) { Required::True } else { Required::False };
    ParameterBuilder::new().name(name).parameter_in(place).required(required).schema(Some(schema)).description(Some(description)).build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn whole_number() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0))
}

fn organization_parameter() -> Parameter {
    parameter("organization_id", ParameterIn::Query, text(), "The organization; by default the credential's own, or all.")
}

fn describe(endpoint: Endpoint) -> Description {
    match endpoint {
        Endpoint::RecordEvents(endpoint) => describe_recording(endpoint),
        Endpoint::ReadEvents(endpoint) => describe_reading(endpoint),
        Endpoint::ManageKeys(endpoint) => describe_keys(endpoint),
    }
}

fn describe_recording(endpoint: RecordEventsEndpoint) -> Description {
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

fn describe_reading(endpoint: ReadEventsEndpoint) -> Description {
    match endpoint {
        ReadEventsEndpoint::Event => Description {
            tag: "Events",
            text: "An event by its id. An id that is no UUID is not found.",
            parameters: vec![parameter("event_id", ParameterIn::Path, text(), "The event's id.")],
            body: None,
            answer: json_response("The event.", Ref::from_schema_name("Event"), Some(example_event())),
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

fn describe_keys(endpoint: ManageKeysEndpoint) -> Description {
    match endpoint {
        ManageKeysEndpoint::Create => Description {
            tag: "Keys",
            text: "The key itself is in this answer only; what is kept is a digest of it.",
            parameters: Vec::new(),
            body: Some(json_request(Ref::from_schema_name("KeyRequest"), example_key_request())),
            answer: json_response("The key.", Ref::from_schema_name("NewKey"), None),
            problems: &[ProblemKind::TooLarge, ProblemKind::Invalid],
        },
        ManageKeysEndpoint::List => Description {
            tag: "Keys",
            text: "The keys of the credential's organization, or all, oldest first.",
            parameters: Vec::new(),
            body: None,
            answer: json_response("The keys.", ArrayBuilder::new().items(Ref::from_schema_name("Key")), None),
            problems: &[],
        },
        ManageKeysEndpoint::Revoke => Description {
            tag: "Keys",
            text: "The key is refused from now on, everywhere within seconds.",
            parameters: vec![parameter("key_id", ParameterIn::Path, text(), "The key's public name.")],
            body: None,
            answer: json_response("The key is revoked.", Ref::from_schema_name("RevokedKey"), None),
            problems: &[ProblemKind::NotFound],
        },
    }
}

fn example_request() -> Value {
    json!({
        "event_type": "order.placed", "event_source": "backend", "event_category": "order", "user_id": "user_12345",
        "entity_type": "order", "entity_id": "1001", "expected_version": "none", "data": {"total": 99.9, "currency": "EUR"},
    })
}

fn example_query() -> Value {
    json!({"event_category": "order", "start_time": "2026-11-16", "data": {"currency": "EUR"}, "limit": 50})
}

fn example_key_request() -> Value {
    json!({"name": "order service", "scopes": ["events:write", "events:read"], "organization_id": "org_1"})
}

fn example_event() -> Value {
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

fn example_page() -> Value {
    json!({
        "events": [example_event()], "total": 1, "total_is_exact": true, "limit": 50, "offset": 0, "has_more": false, "next_cursor": null,
    })
}

fn example_stream() -> Value {
    json!({
        "stream_id": "order:1001", "stream_type": "order", "entity_id": "1001", "entity_type": "order", "events": [example_event()],
        "version": 1, "created_at": "2026-11-23T10:11:12.345000Z", "updated_at": "2026-11-23T10:11:12.345000Z", "has_more": false,
        "next_from_version": null,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;

    use super::*;
    use crate::http::{draft, key_request, query_request};

    fn json_document() -> Value {
        serde_json::from_str(document_json()).unwrap()
    }

    /// Every `$ref` below a value.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match (name.as_str(), member.as_str()) {
                        ("$ref", Some(target)) => found.push(target.to_owned()),
                        _ => references(member, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_route_is_in_the_document_with_its_access() {
        let document = json_document();
        assert_eq!((&document["openapi"], &document["info"]["version"]), (&json!("3.1.0"), &json!(env!("CARGO_PKG_VERSION"))));
        for route in ROUTES {
            let operation = &document["paths"][openapi_path(route)][route.method.as_str().to_lowercase()];
            assert_eq!(operation["operationId"], route.operation_id, "{}", route.path);
            match route.access {
                Access::Public => assert_eq!(operation["security"], json!([])),
                Access::Scope(scope) => {
                    assert_eq!(operation["security"], json!([{"api_key": [scope.as_str()]}, {"bearer": [scope.as_str()]}]));
                    assert!(operation["responses"]["401"].is_object() && operation["responses"]["403"].is_object());
                }
            }
        }
        let operations: usize = document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(operations, ROUTES.len());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = json_document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 30, "{found:?}");
        for target in found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
    }

    #[test]
    fn every_kind_of_problem_has_a_description() {
        let document = json_document();
        assert_eq!(document["components"]["x-problems"].as_array().map(Vec::len), Some(ProblemKind::ALL.len()));
    }

    #[test]
    fn the_examples_of_requests_are_requests() {
        draft::event_draft(&to_raw_value(&example_request()).unwrap()).unwrap();
        draft::batch_drafts(&to_raw_value(&json!([example_request()])).unwrap()).unwrap();
        query_request::event_query(&to_raw_value(&example_query()).unwrap()).unwrap();
        key_request::key_draft(&to_raw_value(&example_key_request()).unwrap()).unwrap();
    }

    #[test]
    fn the_examples_of_answers_have_the_members_of_their_schemas() {
        let document = json_document();
        for (schema, example) in [("Event", example_event()), ("QueryAnswer", example_page()), ("StreamAnswer", example_stream())] {
            let names = |value: &Value| {
                let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
                names.sort();
                names
            };
            let schema = &document["components"]["schemas"][schema];
            assert_eq!(names(&example), names(&schema["properties"]));
            assert_eq!(schema["required"].as_array().map(Vec::len), example.as_object().map(serde_json::Map::len));
        }
    }
}
