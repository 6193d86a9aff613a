//! `GET /api/v1/events/stream/{stream_id}`.

use event_service_tests::app::{Client, TestApp};
use insta::assert_snapshot;
use lambda_http::Body;
use lambda_http::http::Method;
use serde_json::{Value, json};
use shared::domain::access::Scope;

use super::{BATCH, CREATE, problems, process_everything, types};

const ORDER: &str = "/api/v1/events/stream/order:1";

/// Records events of the types `v1`, `v2` and so on in `order:1`.
async fn record(client: &Client<'_>, count: u32) {
    let events: Vec<Value> = (1..=count).map(|n| json!({"event_type": format!("v{n}"), "stream_id": "order:1"})).collect();
    for hundred in events.chunks(100) {
        client.post(BATCH, &json!(hundred)).await.succeeds();
    }
}

/// BR-STM-002. BR-STM-003.
#[tokio::test]
async fn a_stream_is_answered_whole_in_its_order() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    client.post(CREATE, &json!({"event_type": "order.placed", "stream_id": "order:1", "data": {"total": 50}})).await.succeeds();
    app.pass(90);
    client.post(CREATE, &json!({"event_type": "order.paid", "stream_id": "order:1", "timestamp": "2020-01-01"})).await.succeeds();
    assert_snapshot!(client.get(ORDER).await);
}

/// BR-STM-005.
#[tokio::test]
async fn an_unknown_stream_is_empty_at_version_0() {
    let app = TestApp::in_memory();
    assert_snapshot!(app.client().await.get("/api/v1/events/stream/order:404").await);
}

/// BR-STM-004.
#[tokio::test]
async fn a_part_of_a_stream_starts_and_ends_at_the_versions_asked_for() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    record(&client, 10).await;
    for (query, first, last) in [
        ("", 1, 10),
        ("?from_version=4", 4, 10),
        ("?from_version=0", 1, 10),
        ("?to_version=3", 1, 3),
        ("?from_version=4&to_version=6", 4, 6),
        ("?from_version=10", 10, 10),
        ("?from_version=&to_version=&limit=", 1, 10),
        ("?limit=10000", 1, 10),
        ("?unknown=1", 1, 10),
    ] {
        let stream = client.get(&format!("{ORDER}{query}")).await.ok();
        let expected: Vec<String> = (first..=last).map(|n| format!("v{n}")).collect();
        assert_eq!(types(&stream["events"]), expected, "{query}");
        assert_eq!(json!([stream["version"], stream["has_more"], stream["next_from_version"]]), json!([10, false, null]), "{query}");
    }
    for query in ["?from_version=11", "?from_version=7&to_version=6", "?to_version=0"] {
        let stream = client.get(&format!("{ORDER}{query}")).await.ok();
        assert_eq!(json!([stream["events"], stream["version"]]), json!([[], 10]), "{query}");
    }
}

/// BR-STM-004.
#[tokio::test]
async fn a_stream_is_read_in_parts_with_a_limit() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    record(&client, 10).await;
    let (mut seen, mut from) = (Vec::new(), json!(1));
    while !from.is_null() {
        let part = client.get(&format!("{ORDER}?limit=4&from_version={from}")).await.ok();
        seen.push(types(&part["events"]).len());
        from = part["next_from_version"].clone();
        assert_eq!(json!([part["version"], part["has_more"]]), json!([10, !from.is_null()]));
    }
    assert_eq!(seen, [4, 4, 2]);
}

#[tokio::test]
async fn a_long_stream_is_read_whole() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    record(&client, 1500).await;
    let stream = client.get(ORDER).await.ok();
    assert_eq!((types(&stream["events"]).len(), &stream["version"], &stream["has_more"]), (1500, &json!(1500), &json!(false)));
    let versions: Vec<u64> = stream["events"].as_array().unwrap().iter().map(|event| event["stream_version"].as_u64().unwrap()).collect();
    assert_eq!(versions, (1..=1500).collect::<Vec<_>>());
}

/// BR-STM-001.
#[tokio::test]
async fn a_stream_name_may_hold_anything_after_its_colon() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (name, path) in [
        ("order:1:2", "order:1:2"),
        ("order:a/b", "order:a/b"),
        ("order:a/b", "order%3Aa%2Fb"),
        ("café:é ü", "caf%C3%A9:%C3%A9%20%C3%BC"),
        ("order:100%", "order:100%25"),
        ("order:a+b", "order:a+b"),
        ("order:?#", "order:%3F%23"),
    ] {
        client.post(CREATE, &json!({"event_type": "a", "stream_id": name})).await.succeeds();
        let stream = client.get(&format!("/api/v1/events/stream/{path}")).await.ok();
        let (kind, id) = name.split_once(':').unwrap();
        assert_eq!(
            json!([stream["stream_id"], stream["stream_type"], stream["entity_type"], stream["entity_id"]]),
            json!([name, kind, kind, id])
        );
        assert_ne!(stream["version"], 0, "{path}");
    }
}

/// BR-STM-001.
#[tokio::test]
async fn a_name_that_no_stream_can_have_is_refused() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for name in ["order", "order:", ":1", "%20:1", "order:%0A", &format!("order:{}", "x".repeat(600))] {
        let answer = client.get(&format!("/api/v1/events/stream/{name}")).await;
        assert_eq!(problems(&answer), [("value_error".to_owned(), json!(["path", "stream_id"]))], "{name}");
    }
}

#[tokio::test]
async fn all_problems_of_the_query_string_are_reported_together() {
    let app = TestApp::in_memory();
    let path = "/api/v1/events/stream/order?from_version=-1&to_version=x&limit=0";
    assert_snapshot!(app.client().await.get(path).await);
}

#[tokio::test]
async fn each_organization_has_its_own_stream_of_a_name() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (event_type, organization) in [("one", json!("org_1")), ("two", json!("org_2")), ("none", json!(null)), ("one", json!("org_1"))] {
        let event = json!({"event_type": event_type, "stream_id": "order:1", "organization_id": organization});
        client.post(CREATE, &event).await.succeeds();
        app.pass(1);
    }
    let bound = app.client_of("org_1").await;
    for answer in [bound.get(ORDER).await, client.get(&format!("{ORDER}?organization_id=org_1")).await] {
        let stream = answer.ok();
        assert_eq!((types(&stream["events"]), &stream["version"]), (vec!["one", "one"], &json!(2)));
    }
    assert_eq!(types(&client.get(ORDER).await.ok()["events"]), ["one", "two", "none", "one"], "all of them, as they came");
    assert_snapshot!(bound.get(&format!("{ORDER}?organization_id=org_2")).await);
}

#[tokio::test]
async fn an_event_of_nobody_has_a_stream_of_its_own() {
    let app = TestApp::in_memory();
    process_everything(&app).await;
    let client = app.client().await;
    let event = client.post(CREATE, &json!({"event_type": "a"})).await.ok();
    let stream = client.get(&format!("/api/v1/events/stream/{}", event["stream_id"].as_str().unwrap())).await.ok();
    assert_eq!(json!([stream["version"], stream["events"][0], stream["entity_id"]]), json!([1, event, event["event_id"]]));
}

#[tokio::test]
async fn who_may_not_read_sees_no_stream() {
    let app = TestApp::in_memory();
    assert_eq!(app.anybody().get(ORDER).await.status, 401);
    assert_eq!(app.client_with(&[Scope::Write, Scope::Admin], None).await.get(ORDER).await.status, 403);
}

#[tokio::test]
async fn a_stream_is_read_only() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = client.send(client.request(method.clone(), ORDER), Body::Empty).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("GET, HEAD, OPTIONS")), "{method}");
    }
    let (get, head) = (client.get(ORDER).await, client.send(client.request(Method::HEAD, ORDER), Body::Empty).await);
    assert_eq!((head.status, &head.headers, head.text.as_str()), (get.status, &get.headers, ""));
}
