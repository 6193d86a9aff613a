//! The OpenAPI 3.1 document, made from the table of routes and the types of requests and answers.

mod collecting;
mod dead_letters;
mod event_schemas;
mod events;
mod keys;
mod parts;
mod problems;
mod processors;
mod projections;
mod replays;
pub mod schemas;
mod subscriptions;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use lambda_http::http::{Method, StatusCode};
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::info::{InfoBuilder, LicenseBuilder};
use utoipa::openapi::path::{OperationBuilder, PathsBuilder};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, ComponentsBuilder, Content, HttpMethod, OpenApi, OpenApiBuilder, PathItem, Ref, Response, ResponseBuilder,
};

use self::parts::{Description, JSON, json_response, text_header};
use self::problems::{conflict_schema, invalid_schema, problem_schema, problems};
use self::schemas::{
    EventCategorySchema, EventSourceSchema, EventStatusSchema, ExpectedVersionSchema, JsonObjectSchema, MomentSchema, ResultStatusSchema,
    ScopeSchema,
};
use super::answers::events::{EventAnswer, QueryAnswer, ResultAnswer, ResultsAnswer, StreamAnswer};
use super::answers::health::HealthAnswer;
use super::answers::keys::{KeyAnswer, NewKeyAnswer, RevokedKeyAnswer};
use super::answers::statistics::{StatisticsAnswer, TypeCount, UserCount};
use super::draft::{BatchRequest, EventRequest};
use super::key_request::KeyRequest;
use super::problem::ProblemKind;
use super::query_request::QueryRequest;
use super::routes::{Access, Endpoint, ROUTES, ReadEventsEndpoint, Route};
use crate::domain::access::Scope;

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
    let tags = [
        ("Events", "Recording and reading events."),
        ("Collection", "Taking in events of pages, apps, SDKs and other systems."),
        ("Projections", "The state of an entity, now or as it was."),
        ("Replay", "Events of the past, sent again."),
        ("Schemas", "What the data of events must look like."),
        ("Subscriptions", "Who is sent which events, and what became of that."),
        ("Processors", "What is done with events once they are stored."),
        ("Dead letters", "Work that was given up."),
        ("Keys", "API keys."),
        ("Service", "The service itself."),
    ];
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
    let components = ComponentsBuilder::new();
    let mut write_key = Http::new(HttpAuthScheme::Basic);
    write_key.description = Some("An API key with the scope `events:collect` as the user name, and no password.".to_owned());
    let components = event_schemas::with_schemas(replays::with_schemas(projections::with_schemas(collecting::with_schemas(components))));
    let components = dead_letters::with_schemas(processors::with_schemas(subscriptions::with_schemas(components)));
    components
        .security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(key)))
        .security_scheme("bearer", SecurityScheme::Http(token))
        .security_scheme("write_key", SecurityScheme::Http(write_key))
        .schema_from::<EventSourceSchema>()
        .schema_from::<EventCategorySchema>()
        .schema_from::<EventStatusSchema>()
        .schema_from::<ScopeSchema>()
        .schema_from::<JsonObjectSchema>()
        .schema_from::<MomentSchema>()
        .schema_from::<ExpectedVersionSchema>()
        .schema_from::<ResultStatusSchema>()
        .schema_from::<EventRequest>()
        .schema_from::<BatchRequest>()
        .schema_from::<QueryRequest>()
        .schema_from::<KeyRequest>()
        .schema_from::<ResultsAnswer<'static>>()
        .schema_from::<ResultAnswer<'static>>()
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

fn operation(route: &Route) -> OperationBuilder {
    let Description { tag, text, parameters, body, answer, problems } = describe(route.endpoint);
    let (security, mut kinds, text) = match route.access {
        Access::Public | Access::SharedSecret => (Vec::new(), Vec::new(), text.to_owned()),
        Access::WriteKey => {
            let kinds = vec![ProblemKind::NotAuthenticated, ProblemKind::Forbidden, ProblemKind::Unavailable];
            // SDKs send it as the user name of basic authentication; the other places do as well.
            let place = |scheme: &str| SecurityRequirement::new(scheme, [Scope::Collect.as_str()]);
            (["write_key", "api_key", "bearer"].map(place).to_vec(), kinds, text.to_owned())
        }
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
    if kinds.contains(&ProblemKind::Unavailable) || kinds.contains(&ProblemKind::TooManyRequests) {
        response = response.header("Retry-After", text_header("How many seconds to wait before the request is sent again."));
    }
    response.build()
}

fn describe(endpoint: Endpoint) -> Description {
    match endpoint {
        Endpoint::RecordEvents(endpoint) => events::describe_recording(endpoint),
        Endpoint::ReadEvents(endpoint) => events::describe_reading(endpoint),
        Endpoint::ManageSubscriptions(endpoint) => subscriptions::describe_subscriptions(endpoint),
        Endpoint::ManageProcessors(endpoint) => processors::describe_processors(endpoint),
        Endpoint::ManageDeadLetters(endpoint) => dead_letters::describe_dead_letters(endpoint),
        Endpoint::ManageKeys(endpoint) => keys::describe_keys(endpoint),
        Endpoint::CollectFrontend(endpoint) => collecting::describe_frontend(endpoint),
        Endpoint::ReceiveRudderstack => collecting::describe_rudderstack(),
        Endpoint::ReceiveAnalytics(endpoint) => collecting::describe_analytics(endpoint),
        Endpoint::ReceiveCloudevents => collecting::describe_cloudevents(),
        Endpoint::ManageRejectedEvents(endpoint) => collecting::describe_rejected(endpoint),
        Endpoint::ReadProjections(endpoint) => projections::describe_projections(endpoint),
        Endpoint::ReplayEvents(endpoint) => replays::describe_replays(endpoint),
        Endpoint::ManageSchemas(endpoint) => event_schemas::describe_schemas(endpoint),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;
    use serde_json::{Value, json};

    use super::*;
    use crate::http::{
        dead_letter_request, draft, key_request, processor_request, projection_request, query_request, replay_request, schema_request,
        subscription_request,
    };

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
                Access::Public | Access::SharedSecret => assert_eq!(operation["security"], json!([])),
                Access::WriteKey => {
                    let places = ["write_key", "api_key", "bearer"].map(|place| json!({place: ["events:collect"]}));
                    assert_eq!(operation["security"], json!(places));
                }
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
        draft::event_draft(&to_raw_value(&events::example_request()).unwrap()).unwrap();
        draft::batch_drafts(&to_raw_value(&json!([events::example_request()])).unwrap()).unwrap();
        query_request::event_query(&to_raw_value(&events::example_query()).unwrap()).unwrap();
        key_request::key_draft(&to_raw_value(&keys::example_key_request()).unwrap()).unwrap();
        subscription_request::subscription_draft(&to_raw_value(&subscriptions::example_request()).unwrap()).unwrap();
        subscription_request::subscription_changes(&to_raw_value(&subscriptions::example_change()).unwrap()).unwrap();
        subscription_request::rotation(&to_raw_value(&subscriptions::example_rotation()).unwrap()).unwrap();
        subscription_request::recover_request(&to_raw_value(&subscriptions::example_recover()).unwrap()).unwrap();
        processor_request::processor_draft(&to_raw_value(&processors::example_request()).unwrap()).unwrap();
        processor_request::specimen(&to_raw_value(&processors::example_test()).unwrap()).unwrap();
        projection_request::projection_draft(&to_raw_value(&projections::example_request()).unwrap()).unwrap();
        replay_request::replay_request(&to_raw_value(&replays::example_request()).unwrap()).unwrap();
        replay_request::republish_request(&to_raw_value(&replays::example_republish()).unwrap()).unwrap();
        schema_request::schema_draft(&to_raw_value(&event_schemas::example_request()).unwrap()).unwrap();
        projection_request::dry_run(&to_raw_value(&projections::example_dry_run()).unwrap()).unwrap();
        dead_letter_request::redrive_request(&to_raw_value(&dead_letters::example_redrive()).unwrap()).unwrap();
    }

    #[test]
    fn the_examples_of_answers_have_the_members_of_their_schemas() {
        let document = json_document();
        for (schema, example) in [
            ("Event", events::example_event()),
            ("QueryAnswer", events::example_page()),
            ("StreamAnswer", events::example_stream()),
            ("ResultsAnswer", events::example_results()),
            ("Subscription", subscriptions::example_subscription()),
            ("Deliveries", subscriptions::example_deliveries()),
            ("Recovery", subscriptions::example_recovery()),
            ("SubscriptionTest", subscriptions::example_test_answer()),
            ("Processor", processors::example_processor()),
            ("ProcessorTest", processors::example_test_answer()),
            ("Projection", projections::example_projection()),
            ("ProjectionDefinition", projections::example_definition()),
            ("StartedReplay", replays::example_started()),
            ("Replay", replays::example_replay()),
            ("EventSchemas", event_schemas::example_schemas()),
            ("DeadLetters", dead_letters::example_dead_letters()),
            ("CollectedEvent", collecting::example_accepted()),
            ("CollectedEvents", collecting::example_batch_answer()),
            ("AnalyticsAnswer", collecting::example_analytics_answer()),
            ("RejectedEvents", collecting::example_rejected()),
        ] {
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
