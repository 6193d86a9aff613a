//! `GET /openapi.json` and `GET /docs`.

use std::collections::BTreeSet;

use event_service_tests::app::TestApp;
use lambda_http::Body;
use lambda_http::http::Method;
use serde_json::{Value, json};
use shared::http::problem::ProblemKind;
use shared::http::routes::{Access, ROUTES};

use shared::domain::delivery::DeliveryState;
use shared::domain::queue::WorkQueue;

use shared::ports::revision::Revision;
use shared::testing::builders::replay;

use super::dead_letters::letter;
use super::subscriptions::{delivery, keep_delivery};
use super::{BATCH, CLIENT_ID, CREATE, DEAD_LETTERS, KEYS, PROCESSORS, PROJECTIONS, QUERY, REPLAY, SCHEMAS, STATISTICS, SUBSCRIPTIONS};

async fn document() -> Value {
    TestApp::in_memory().anybody().get("/openapi.json").await.ok()
}

/// The path as OpenAPI has it: it knows no parameter that takes the rest.
fn documented(path: &str) -> String {
    path.replace("+}", "}")
}

/// Every `$ref` below a value.
fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| value.as_str().filter(|_| name == "$ref").map_or_else(|| references(value), |target| vec![target]))
            .collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[tokio::test]
async fn the_document_is_openapi_3_1_with_what_it_must_have() {
    let document = document().await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(document["info"]["title"].as_str().is_some_and(|title| !title.is_empty()));
    for reference in references(&document) {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} is elsewhere"));
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[tokio::test]
async fn the_document_has_every_route_and_no_other() {
    let document = document().await;
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| (path.clone(), method.clone())))
        .filter(|(_, method)| ["get", "post", "put", "patch", "delete"].contains(&method.as_str()))
        .collect();
    let routes = ROUTES.iter().map(|route| (documented(route.path), route.method.as_str().to_lowercase())).collect();
    assert_eq!(described, routes);
}

/// What needs no body, though its method has one.
const WITHOUT_BODY: [&str; 3] = ["test_subscription", "resend_delivery", "rebuild_projection"];

#[tokio::test]
async fn every_operation_says_what_it_takes_and_answers() {
    let document = document().await;
    let mut ids = BTreeSet::new();
    for route in ROUTES {
        let operation = &document["paths"][documented(route.path)][route.method.as_str().to_lowercase()];
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{}", route.path);
        assert_eq!((&operation["operationId"], &operation["summary"]), (&json!(route.operation_id), &json!(route.summary)));
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.contains_key("200") && !responses.contains_key("201"), "{}", route.path);
        let takes_body = matches!(route.method, Method::POST | Method::PATCH) && !WITHOUT_BODY.contains(&route.operation_id);
        assert_eq!(operation["requestBody"].is_object(), takes_body, "{}", route.path);
        match route.access {
            Access::Public | Access::SharedSecret => assert!(operation["security"].as_array().is_none_or(Vec::is_empty), "{}", route.path),
            Access::Scope(_) | Access::WriteKey => {
                assert!(operation["security"].as_array().is_some_and(|ways| !ways.is_empty()), "{}", route.path);
                assert!(responses.contains_key("401") && responses.contains_key("403"), "{}", route.path);
            }
        }
        let named: Vec<&str> =
            route.path.split('/').filter_map(|segment| segment.strip_prefix('{')).map(|name| name.trim_end_matches(['+', '}'])).collect();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let in_path: Vec<&str> =
            parameters.iter().filter(|parameter| parameter["in"] == "path").map(|parameter| parameter["name"].as_str().unwrap()).collect();
        assert_eq!(in_path, named, "{}", route.path);
    }
}

/// The schema of an operation's answer, its references followed.
fn schema<'a>(document: &'a Value, path: &str, method: &str) -> &'a Value {
    follow(document, &document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"])
}

fn follow<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    schema["$ref"].as_str().map_or(schema, |reference| follow(document, document.pointer(reference.trim_start_matches('#')).unwrap()))
}

/// Checks that an object has the members that its schema has, and the other way round.
fn agree(document: &Value, schema: &Value, value: &Value, place: &str) {
    let schema = follow(document, schema);
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        for value in values {
            agree(document, items, value, &format!("{place}[]"));
        }
    } else if let (Some(properties), Some(members)) = (schema["properties"].as_object(), value.as_object()) {
        let (described, sent): (BTreeSet<_>, BTreeSet<_>) = (properties.keys().collect(), members.keys().collect());
        assert_eq!(described, sent, "{place}");
        let required: BTreeSet<&str> = schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(required, members.keys().map(String::as_str).collect(), "{place}: all members are written, nulls too");
        for (name, property) in properties {
            agree(document, property, &members[name], &format!("{place}.{name}"));
        }
    }
}

#[tokio::test]
async fn answers_have_the_members_that_the_document_says() {
    let document = document().await;
    let app = TestApp::in_memory();
    let client = app.client().await;
    let event = json!({"event_type": "a", "event_id": CLIENT_ID, "user_id": "u", "stream_id": "order:1"});
    let key = client.post(KEYS, &json!({"name": "k", "scopes": ["events:read"]})).await.ok();
    let revoke = format!("{KEYS}/{}", key["key_id"].as_str().unwrap());
    let processor =
        json!({"processor_name": "p", "processor_type": "transform", "filters": {"event_type": "a"}, "config": {"event_type": "b"}});
    let processor = client.post(PROCESSORS, &processor).await;
    let processor_path = format!("{PROCESSORS}/{}", processor.ok()["processor_id"].as_str().unwrap());
    let subscription = json!({"event_types": ["a"], "subscription_id": "s", "callback_url": "https://receiver.example/hook"});
    let subscription = client.post(SUBSCRIPTIONS, &subscription).await;
    let delivery = delivery("s", 0, DeliveryState::Failed);
    keep_delivery(&app, &delivery).await;
    app.app.stores.dead_letters.park(&letter("1", WorkQueue::Deliver, None)).await.unwrap();
    let replayed = replay("01a20846-fe00-7000-8000-000000000001", &json!({}));
    assert!(app.app.stores.replays.save_replay(&replayed, Revision::default()).await.unwrap());
    let upcast =
        json!({"event_type": "z", "schema": {}, "version": "2.0.0", "upcast": {"from": "1.0.0", "steps": [{"default": {"a": 1}}]}});
    let rules = json!({"a": [{"set": {"n": "$data.n"}}]});
    let definition = client.post(PROJECTIONS, &json!({"name": "p", "entity_type": "order", "rules": rules})).await;
    let definition_path = format!("{PROJECTIONS}/{}", definition.ok()["definition_id"].as_str().unwrap());
    let entity = json!({"entity_type": "order", "entity_id": "1", "rules": rules});
    let [state, defined] = ["{entity_type}/{entity_id}", "{definition_id}"].map(|path| format!("{PROJECTIONS}/{path}"));
    let [id, letters] = ["/api/v1/events/subscriptions/{subscription_id}", DEAD_LETTERS];
    let of_subscription = |path: &str| format!("{SUBSCRIPTIONS}/s{path}");
    for (path, method, answer) in [
        (CREATE, "post", client.post(CREATE, &event).await),
        (BATCH, "post", client.post(BATCH, &json!([event])).await),
        (QUERY, "post", client.post(QUERY, &json!({})).await),
        (STATISTICS, "get", client.get(STATISTICS).await),
        ("/api/v1/events/{event_id}", "get", client.get(&format!("/api/v1/events/{CLIENT_ID}")).await),
        ("/api/v1/events/stream/{stream_id}", "get", client.get("/api/v1/events/stream/order:1").await),
        (KEYS, "post", client.post(KEYS, &json!({"name": "k", "scopes": ["events:read"]})).await),
        (KEYS, "get", client.get(KEYS).await),
        ("/api/v1/keys/{key_id}", "delete", client.delete(&revoke).await),
        (SUBSCRIPTIONS, "post", subscription),
        (SUBSCRIPTIONS, "get", client.get(SUBSCRIPTIONS).await),
        (SCHEMAS, "post", client.post(SCHEMAS, &upcast).await),
        (SCHEMAS, "get", client.get(SCHEMAS).await),
        (&format!("{SCHEMAS}/{{event_type}}"), "get", client.get(&format!("{SCHEMAS}/z")).await),
        (&format!("{SCHEMAS}/{{event_type}}"), "delete", client.delete(&format!("{SCHEMAS}/z")).await),
        (REPLAY, "post", client.post(REPLAY, &json!({"stream_id": "order:1", "target_service": "s", "dry_run": true})).await),
        (REPLAY, "get", client.get(REPLAY).await),
        (&format!("{REPLAY}/{{replay_id}}"), "get", client.get(&format!("{REPLAY}/{}", replayed.id)).await),
        (&format!("{REPLAY}/{{replay_id}}"), "delete", client.delete(&format!("{REPLAY}/{}", replayed.id)).await),
        (id, "patch", client.patch(&of_subscription(""), &json!({})).await),
        (&format!("{id}/deliveries"), "get", client.get(&of_subscription("/deliveries")).await),
        (&format!("{id}/recover"), "post", client.post(&of_subscription("/recover"), &json!({"since": 0, "dry_run": true})).await),
        (
            &format!("{id}/deliveries/{{delivery_id}}/resend"),
            "post",
            client.post(&of_subscription(&format!("/deliveries/{}/resend", delivery.id)), &json!({})).await,
        ),
        (&format!("{id}/test"), "post", client.post(&of_subscription("/test"), &json!({})).await),
        (&format!("{id}/rotate-secret"), "post", client.post(&of_subscription("/rotate-secret"), &json!({})).await),
        (id, "delete", client.delete(&of_subscription("")).await),
        (PROJECTIONS, "post", definition),
        (PROJECTIONS, "get", client.get(PROJECTIONS).await),
        (&state, "get", client.get(&format!("{PROJECTIONS}/order/1?name=p&include=history")).await),
        (&format!("{state}/rebuild"), "post", client.post(&format!("{PROJECTIONS}/order/1/rebuild"), &json!({})).await),
        (&format!("{PROJECTIONS}/dry-run"), "post", client.post(&format!("{PROJECTIONS}/dry-run"), &entity).await),
        (&defined, "get", client.get(&definition_path).await),
        (&defined, "delete", client.delete(&definition_path).await),
        (PROCESSORS, "post", processor),
        (PROCESSORS, "get", client.get(PROCESSORS).await),
        ("/api/v1/events/processors/{processor_id}", "get", client.get(&processor_path).await),
        (
            "/api/v1/events/processors/{processor_id}/test",
            "post",
            client.post(&format!("{processor_path}/test"), &json!({"event_id": CLIENT_ID})).await,
        ),
        ("/api/v1/events/processors/{processor_id}/toggle", "put", client.put(&format!("{processor_path}/toggle")).await),
        ("/api/v1/events/processors/{processor_id}", "delete", client.delete(&processor_path).await),
        (letters, "get", client.get(DEAD_LETTERS).await),
        (
            &format!("{letters}/redrive"),
            "post",
            client.post(&format!("{DEAD_LETTERS}/redrive"), &json!({"all": true, "dry_run": true})).await,
        ),
        (&format!("{letters}/{{dead_letter_id}}"), "delete", client.delete(&format!("{DEAD_LETTERS}/1")).await),
        ("/api/v1/events/{event_id}/results", "get", client.get(&format!("/api/v1/events/{CLIENT_ID}/results")).await),
        ("/health", "get", client.get("/health").await),
        ("/api/v1/events/health", "get", client.get("/api/v1/events/health").await),
    ] {
        let schema = schema(&document, path, method);
        assert!(schema.is_object(), "{method} {path}");
        agree(&document, schema, &answer.ok(), &format!("{method} {path}"));
    }
}

#[tokio::test]
async fn the_page_refers_to_nothing_elsewhere() {
    let app = TestApp::in_memory();
    let page = app.anybody().get("/docs").await;
    page.succeeds();
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let html = page.text.to_lowercase();
    for attribute in ["src=", "href=", "action=", "url(", "@import", "data-src="] {
        for (at, _) in html.match_indices(attribute) {
            let target = html[at + attribute.len()..].trim_start_matches(['"', '\'', ' ']);
            let near: String = target.chars().take(40).collect();
            assert!(target.starts_with('#') || target.starts_with("/openapi.json"), "{attribute}{near}");
        }
    }
    for tag in ["<script", "<link", "<iframe", "<img", "<object", "<embed", "<base", "http-equiv"] {
        assert!(!html.contains(tag), "{tag}");
    }
}

#[tokio::test]
async fn the_page_shows_every_route_and_every_problem_under_its_link() {
    let app = TestApp::in_memory();
    let page = app.anybody().get("/docs").await.text;
    for route in ROUTES {
        assert!(page.contains(&documented(route.path)), "{}", route.path);
        assert!(page.contains(&format!("id=\"route-{}\"", route.operation_id)), "{}", route.operation_id);
    }
    for kind in ProblemKind::ALL {
        let anchor = kind.uri().split_once('#').unwrap().1.to_owned();
        assert!(page.contains(&format!("id=\"{anchor}\"")), "{anchor}");
    }
    let links = page.match_indices("href=\"#").map(|(at, _)| page[at + 7..].split('"').next().unwrap());
    for target in links.collect::<BTreeSet<_>>() {
        assert!(page.contains(&format!("id=\"{target}\"")), "#{target} leads nowhere");
    }
}

#[tokio::test]
async fn anybody_reads_the_documents_with_or_without_a_credential() {
    let app = TestApp::in_memory();
    for path in ["/openapi.json", "/docs"] {
        let get = app.anybody().get(path).await;
        get.succeeds();
        assert_eq!(app.client_that_presents("x-api-key", "wrong").get(path).await, get);
        let client = app.anybody();
        let head = client.send(client.request(Method::HEAD, path), Body::Empty).await;
        assert_eq!((head.status, &head.headers, head.text.as_str()), (get.status, &get.headers, ""));
        assert_eq!(client.post(path, &json!({})).await.status, 405);
    }
}
