//! `/api/v1/events/schemas`, and what schemas do to events.

use event_service_tests::app::{Client, TestApp};
use insta::assert_snapshot;
use serde_json::{Value, json};
use shared::commands::check_schemas::SchemaGate;

use super::{BATCH, CREATE, PROJECTIONS, QUERY, SCHEMAS, problems};

fn schema() -> Value {
    json!({"type": "object", "required": ["total"], "properties": {"total": {"type": "number", "minimum": 0}}})
}

async fn register(app: &TestApp, client: &Client<'_>, body: Value) -> Value {
    let registered = client.post(SCHEMAS, &body).await.ok();
    // Until every writer knows.
    app.pass(SchemaGate::SECONDS);
    registered
}

fn order(data: &Value) -> Value {
    json!({"event_type": "order.placed", "stream_id": "order:1", "data": data})
}

#[tokio::test]
async fn what_does_not_fit_is_refused_only_if_that_is_said() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    register(&app, &client, json!({"event_type": "order.placed", "schema": schema()})).await;
    for enforcement in ["off", "warn"] {
        register(&app, &client, json!({"event_type": "order.placed", "enforcement": enforcement})).await;
        client.post(CREATE, &order(&json!({"total": "much"}))).await.succeeds();
    }
    register(&app, &client, json!({"event_type": "order.placed", "enforcement": "reject"})).await;
    client.post(CREATE, &order(&json!({"total": 5}))).await.succeeds();
    client.post(CREATE, &json!({"event_type": "order.paid", "data": {"total": "much"}})).await.succeeds();
    assert_snapshot!(client.post(CREATE, &order(&json!({"total": "much"}))).await);
    assert_eq!(problems(&client.post(CREATE, &order(&json!({}))).await)[0].1, json!(["body", "data"]));
    let batch = json!([order(&json!({"total": 1})), order(&json!({"total": -1}))]);
    assert_eq!(problems(&client.post(BATCH, &batch).await), [("value_error".to_owned(), json!(["body", 1, "data", "total"]))]);
    let mut unknown = order(&json!({"total": 5}));
    unknown["version"] = json!("7.0.0");
    assert_eq!(problems(&client.post(CREATE, &unknown).await)[0].1, json!(["body", "data"]));
    let stream = client.get("/api/v1/events/stream/order:1").await.ok();
    assert_eq!(stream["version"], 3, "nothing else was stored");
}

/// A bad item spoils none of the others, and is kept to be mended.
#[tokio::test]
async fn what_pages_send_is_held_to_schemas_as_well() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    register(&app, &client, json!({"event_type": "cart", "schema": schema(), "enforcement": "reject"})).await;
    let events = json!({"events": [{"event_type": "cart", "data": {"total": 1}}, {"event_type": "cart", "data": {"total": "x"}}]});
    let answer = app.anybody().post("/api/v1/events/frontend/batch", &events).await.ok();
    assert_eq!(
        json!([answer["processed_count"], answer["rejected"][0]["index"], answer["rejected"][0]["reason"]]),
        json!([1, 1, "schema"])
    );
    let kept = client.get("/api/v1/events/rejected").await.ok();
    assert_eq!(kept["rejected_events"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_new_version_must_take_what_the_one_before_took() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    register(&app, &client, json!({"event_type": "order.placed", "schema": schema()})).await;
    let mut closer = schema();
    closer["required"] = json!(["total", "currency"]);
    let second = |more: Value| {
        let mut body = json!({"event_type": "order.placed", "version": "2.0.0", "schema": closer});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    assert_snapshot!(client.post(SCHEMAS, &second(json!({}))).await);
    let upcast = json!({"from": "1.0.0", "steps": [{"default": {"currency": "EUR"}}]});
    let registered = register(&app, &client, second(json!({"upcast": upcast}))).await;
    assert_eq!(registered["versions"].as_array().unwrap().len(), 2);
    assert_eq!(register(&app, &client, second(json!({"upcast": upcast}))).await, registered, "the same again changes nothing");
    assert_eq!(client.post(SCHEMAS, &second(json!({"schema": {}}))).await.status, 409, "a version stays what it is");
    let third = json!({"event_type": "order.placed", "version": "3.0.0", "schema": {"required": ["x"]}, "compatibility": "none"});
    register(&app, &client, third).await;
    let back = json!({"event_type": "order.placed", "version": "1.0.0", "schema": schema(), "upcast": {"from": "2.0.0", "steps": [{"default": {"a": 1}}]}});
    assert_eq!(client.post(SCHEMAS, &back).await.status, 409);
    let wrong =
        json!({"event_type": "order.placed", "version": "4.0.0", "schema": {}, "upcast": {"from": "3.0.0", "steps": [{"drop": {"a": 1}}]}});
    assert_eq!(problems(&client.post(SCHEMAS, &wrong).await)[0].1, json!(["body", "upcast", "steps", "0"]));
}

/// In answers, replays and projections; what is stored stays.
#[tokio::test]
async fn older_events_are_read_in_the_newest_version() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let id =
        client.post(CREATE, &order(&json!({"sum": 5, "who": {"mail": "a@x.org"}}))).await.ok()["event_id"].as_str().unwrap().to_owned();
    let before = client.get(&format!("/api/v1/events/{id}")).await.ok();
    let state = async || client.get(&format!("{PROJECTIONS}/order/1")).await.ok()["state"].clone();
    assert_eq!(state().await["sum"], 5);
    let steps = json!([{"rename": {"sum": "total"}}, {"move": {"who.mail": "mail"}}, {"default": {"currency": "EUR"}}]);
    register(
        &app,
        &client,
        json!({"event_type": "order.placed", "version": "2.0.0", "schema": {}, "upcast": {"from": "1.0.0", "steps": steps}}),
    )
    .await;
    let expected = json!({"currency": "EUR", "mail": "a@x.org", "total": 5, "who": {}});
    let one = client.get(&format!("/api/v1/events/{id}")).await.ok();
    assert_eq!(json!([one["data"], one["schema_version"]]), json!([expected, "2.0.0"]));
    assert_eq!(client.get("/api/v1/events/stream/order:1").await.ok()["events"][0]["data"], expected);
    assert_eq!(client.post(QUERY, &json!({"event_type": "order.placed"})).await.ok()["events"][0]["data"], expected);
    let upcast = state().await;
    assert_eq!(json!([upcast["total"], upcast["sum"], upcast["mail"]]), json!([5, null, "a@x.org"]));
    client.delete(&format!("{SCHEMAS}/order.placed")).await.succeeds();
    assert_eq!(client.get(&format!("/api/v1/events/{id}")).await.ok(), before, "what is stored stays");
    assert_eq!(state().await["sum"], 5);
}

#[tokio::test]
async fn an_organizations_schemas_are_for_its_own_events() {
    let app = TestApp::in_memory();
    let (platform, acme, other) = (app.client().await, app.client_of("acme").await, app.client_of("other").await);
    register(&app, &platform, json!({"event_type": "order.placed", "schema": {"required": ["all"]}, "enforcement": "reject"})).await;
    register(&app, &acme, json!({"event_type": "order.placed", "schema": {"required": ["own"]}, "enforcement": "reject"})).await;
    for (client, fits) in [(&acme, "own"), (&other, "all"), (&platform, "all")] {
        client.post(CREATE, &order(&json!({ fits: 1 }))).await.succeeds();
        let wrong = if fits == "own" { "all" } else { "own" };
        assert_eq!(client.post(CREATE, &order(&json!({ wrong: 1 }))).await.status, 422);
    }
    let shown = async |client: &Client<'_>| client.get(SCHEMAS).await.ok().as_array().unwrap().len();
    assert_eq!((shown(&platform).await, shown(&acme).await, shown(&other).await), (2, 2, 1));
    let path = format!("{SCHEMAS}/order.placed");
    assert_eq!(acme.get(&path).await.ok()["organization_id"], "acme");
    assert_eq!(other.get(&path).await.ok()["organization_id"], Value::Null);
    assert_eq!(other.delete(&path).await.status, 404, "they are not theirs");
    acme.delete(&path).await.succeeds();
    app.pass(SchemaGate::SECONDS);
    acme.post(CREATE, &order(&json!({"all": 1}))).await.succeeds();
}
