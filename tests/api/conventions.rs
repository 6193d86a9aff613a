//! What holds for every route there is.

use event_service_tests::app::{Answer, Client, TestApp};
use insta::assert_snapshot;
use lambda_http::Body;
use lambda_http::http::Method;
use serde_json::{Value, json};
use shared::adapters::memory::MemoryBridgeStatus;
use shared::domain::access::Scope;
use shared::http::routes::{Access, ROUTES, Route};

use shared::domain::delivery::DeliveryState;
use shared::domain::queue::WorkQueue;
use shared::ports::definition_store::Freshness;
use shared::ports::revision::Revision;
use shared::testing::builders::{projection, replay};

use super::dead_letters::letter;
use super::subscriptions::{delivery, keep_delivery};
use super::{CLIENT_ID, CREATE, KEYS, PROCESSORS, QUERY, SCHEMAS, SUBSCRIPTIONS};

/// A path of the route, of something that exists.
fn path(route: &Route) -> String {
    let values = [
        ("{event_id}", CLIENT_ID),
        ("{stream_id+}", "order:1"),
        ("{key_id}", KEY_ID),
        ("{subscription_id}", SUBSCRIPTION_ID),
        ("{delivery_id}", DELIVERY_ID),
        ("{processor_id}", PROCESSOR_ID),
        ("{dead_letter_id}", LETTER_ID),
        ("{rejected_event_id}", REJECTED_ID),
        ("{entity_type}", "order"),
        ("{entity_id+}", "1"),
        ("{entity_id}", "1"),
        ("{definition_id}", DEFINITION_ID),
        ("{replay_id}", REPLAY_ID),
        ("{event_type}", "a"),
    ];
    values.iter().fold(route.path.to_owned(), |path, (name, value)| path.replace(name, value))
}

/// The name of a subscription.
const SUBSCRIPTION_ID: &str = "s1";
/// The name of the first delivery to it.
const DELIVERY_ID: &str = "msg_01a20846fe00801985eb4c6f01000001e8bc163c";
/// The name of the processor that is made second.
const PROCESSOR_ID: &str = "85e7bb0f-1227-4575-8917-18de357e3da8";
/// The name of a projection.
const DEFINITION_ID: &str = "projection-1";
/// The name of a replay.
const REPLAY_ID: &str = "01a20846-fe00-7000-8000-000000000001";
/// The name of a dead letter.
const LETTER_ID: &str = "063900360000000000-0000000000000001";
/// The name of a rejected event.
const REJECTED_ID: &str = "063931032000100000-a2e7bdbcc9c7f131";
/// The name of the key that is made first.
const KEY_ID: &str = "813a2927d43df851";

/// A body that the route takes.
fn body(route: &Route) -> Value {
    match route.operation_id {
        "create_event" | "collect_frontend_event" | "retry_rejected_event" => json!({"event_type": "a"}),
        "create_events" => json!([{"event_type": "a"}]),
        "query_events" => json!({}),
        "create_key" => json!({"name": "k", "scopes": ["events:read"]}),
        "create_subscription" => json!({"event_types": ["a"]}),
        "change_subscription" => json!({"enabled": true}),
        "recover_deliveries" => json!({"since": "2026-11-23"}),
        "create_processor" => json!({"processor_name": "p", "processor_type": "internal"}),
        "test_processor" => json!({"event_id": CLIENT_ID}),
        "define_projection" => json!({"name": "p", "entity_type": "order", "rules": {"a": [{"count": "n"}]}}),
        "try_projection" => json!({"entity_type": "order", "entity_id": "1", "rules": {"a": [{"count": "n"}]}}),
        "replay_events" => json!({"stream_id": "order:1", "target_service": SUBSCRIPTION_ID}),
        "republish_events" => json!({"start_time": "2026-11-23", "end_time": "2026-11-24"}),
        "register_schema" => json!({"event_type": "b", "schema": {}}),
        "redrive_dead_letters" => json!({"all": true}),
        "rotate_secret" | "test_subscription" | "resend_delivery" | "rebuild_projection" => Value::Null,
        "collect_frontend_events" => json!({"events": [{"event_type": "a"}]}),
        "receive_cloudevents" => json!({"specversion": "1.0", "id": "1", "source": "s", "type": "a"}),
        "analytics_batch" | "analytics_import" | "analytics_beacon" => json!({"batch": [{"type": "page", "userId": "u"}]}),
        other if other == "receive_rudderstack" || other.starts_with("analytics_") && route.method == Method::POST => {
            json!({"type": "page", "userId": "u"})
        }
        other if route.method == Method::POST => panic!("{other} has no body here"),
        _ => Value::Null,
    }
}

async fn send(client: &Client<'_>, route: &Route) -> Answer {
    let body = body(route);
    let body = if body.is_null() { Body::Empty } else { Body::from(body.to_string()) };
    client.send(client.request(route.method.clone(), &path(route)), body).await
}

/// A service with one of everything that can be asked for.
async fn app() -> TestApp {
    let mut app = TestApp::in_memory();
    app.app_mut().bridge = Some(std::sync::Arc::new(MemoryBridgeStatus::default()));
    let client = app.client().await;
    let key = client.post(KEYS, &json!({"name": "k", "scopes": ["events:read"]})).await.ok();
    assert_eq!(key["key_id"], KEY_ID);
    client.post(CREATE, &json!({"event_type": "a", "event_id": CLIENT_ID, "stream_id": "order:1"})).await.succeeds();
    let processor = client.post(PROCESSORS, &json!({"processor_name": "p", "processor_type": "internal"})).await.ok();
    assert_eq!(processor["processor_id"], PROCESSOR_ID);
    let address = "https://receiver.example/hook";
    client
        .post(SUBSCRIPTIONS, &json!({"event_types": ["a"], "subscription_id": SUBSCRIPTION_ID, "callback_url": address}))
        .await
        .succeeds();
    let seen = Revision(app.app.stores.definitions.definitions(Freshness::Current).await.unwrap().revision);
    assert!(app.app.stores.projections.save_projection(&projection(&json!({"id": DEFINITION_ID})), seen).await.unwrap());
    assert!(app.app.stores.replays.save_replay(&replay(REPLAY_ID, &json!({})), Revision::default()).await.unwrap());
    client.post(SCHEMAS, &json!({"event_type": "a", "schema": {}})).await.succeeds();
    let delivery = delivery(SUBSCRIPTION_ID, 0, DeliveryState::Failed);
    assert_eq!(delivery.id.as_str(), DELIVERY_ID);
    keep_delivery(&app, &delivery).await;
    app.app.stores.dead_letters.park(&letter(LETTER_ID, WorkQueue::Deliver, None)).await.unwrap();
    let refused = app.anybody().post("/api/v1/events/frontend/batch", &json!({"events": [{}]})).await.ok();
    assert_eq!(refused["rejected"][0]["rejected_event_id"], REJECTED_ID);
    app
}

#[tokio::test]
async fn every_success_is_200_and_json_that_nobody_keeps() {
    for route in ROUTES {
        let app = app().await;
        let answer = send(&app.client().await, route).await;
        answer.succeeds();
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{}", route.path);
        let content_type = match route.operation_id {
            "get_docs" => "text/html; charset=utf-8",
            pixel if pixel.contains("pixel") => "image/gif",
            _ => "application/json",
        };
        assert_eq!(answer.header("content-type"), Some(content_type), "{}", route.path);
    }
}

#[tokio::test]
async fn routes_that_need_a_scope_are_for_callers_with_that_scope_only() {
    for route in ROUTES {
        let app = app().await;
        let needed = match route.access {
            Access::Scope(needed) => needed,
            Access::Public | Access::SharedSecret => {
                send(&app.anybody(), route).await.succeeds();
                continue;
            }
            // Held to by tests of collection: the key is elsewhere, and so are the words.
            Access::WriteKey => continue,
        };
        let nobody = send(&app.anybody(), route).await;
        assert_eq!((nobody.status.as_u16(), nobody.header("www-authenticate")), (401, Some("Bearer")), "{}", route.path);
        assert_eq!(nobody.json()["detail"], "Not authenticated");
        assert_eq!(send(&app.client_that_presents("x-api-key", "evk_00"), route).await, nobody, "{}", route.path);
        let others: Vec<Scope> = Scope::ALL.iter().copied().filter(|scope| *scope != needed).collect();
        let other = send(&app.client_with(&others, None).await, route).await;
        assert_eq!((other.status.as_u16(), &other.json()["title"]), (403, &json!("Forbidden")), "{}", route.path);
        assert!(other.text.contains(needed.as_str()), "{other}");
        send(&app.client_with(&[needed], None).await, route).await.succeeds();
    }
}

#[tokio::test]
async fn options_tells_anybody_the_methods_of_a_path() {
    let app = app().await;
    let client = app.anybody();
    for route in ROUTES {
        let answer = client.send(client.request(Method::OPTIONS, &path(route)), Body::Empty).await;
        let allow = answer.header("allow").unwrap_or_default();
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""), "{}", route.path);
        assert!(allow.split(", ").any(|method| method == route.method.as_str()), "{}: {allow}", route.path);
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_told_those_that_it_has() {
    let app = app().await;
    let client = app.anybody();
    for route in ROUTES {
        let allow = client.send(client.request(Method::OPTIONS, &path(route)), Body::Empty).await.header("allow").unwrap().to_owned();
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::TRACE] {
            if !allow.split(", ").any(|name| name == method.as_str()) {
                let answer = client.send(client.request(method.clone(), &path(route)), Body::Empty).await;
                assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some(allow.as_str())), "{method} {}", route.path);
            }
        }
    }
}

#[tokio::test]
async fn head_gives_the_headers_of_get_and_no_body() {
    for route in ROUTES.iter().filter(|route| route.method == Method::GET) {
        let app = app().await;
        let client = app.client().await;
        let get = client.get(&path(route)).await;
        let head = client.send(client.request(Method::HEAD, &path(route)), Body::Empty).await;
        assert_eq!((head.status, &head.headers, head.text.as_str()), (get.status, &get.headers, ""), "{}", route.path);
        let nobody = app.anybody();
        let head = nobody.send(nobody.request(Method::HEAD, &path(route)), Body::Empty).await;
        assert_eq!((head.status, head.text.as_str()), (nobody.get(&path(route)).await.status, ""), "{}", route.path);
    }
}

#[tokio::test]
async fn a_simple_request_id_comes_back_with_every_answer_and_no_other_does() {
    let app = app().await;
    for client in [app.client().await, app.anybody()] {
        for path in ["/health", "/nowhere", CREATE, QUERY] {
            for (id, answered) in [("trace-1.2_3", Some("trace-1.2_3")), ("<script>", None), ("a b", None), ("", None)] {
                let answer = client.send(client.request(Method::POST, path).header("x-request-id", id), Body::from("{}")).await;
                assert_eq!(answer.header("x-request-id"), answered, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn an_unknown_path_is_not_found_for_anybody() {
    let app = app().await;
    assert_snapshot!(app.anybody().get("/api/v1/nowhere").await);
    assert_eq!(app.client().await.post("/api/v1/nowhere", &json!({})).await, app.anybody().get("/api/v1/nowhere").await);
}
