//! `POST /api/v1/events/batch`.

use event_service_tests::app::{Client, TestApp};
use insta::assert_snapshot;
use lambda_http::Body;
use lambda_http::http::Method;
use serde_json::{Value, json};
use shared::domain::access::Scope;

use super::{BATCH, CLIENT_ID, CREATE, problems, total, types};

/// Stream and version of each event in a list.
fn places(events: &Value) -> Vec<(&str, u64)> {
    let events = events.as_array().unwrap().iter();
    events.map(|event| (event["stream_id"].as_str().unwrap(), event["stream_version"].as_u64().unwrap())).collect()
}

async fn version(client: &Client<'_>, stream: &str) -> Value {
    client.get(&format!("/api/v1/events/stream/{stream}")).await.ok()["version"].clone()
}

#[tokio::test]
async fn a_bare_array_is_answered_in_its_order() {
    let app = TestApp::in_memory();
    let events = json!([
        {"event_type": "order.placed", "event_category": "order", "stream_id": "order:1", "data": {"total": 50.0}},
        {"event_type": "payment.taken", "event_category": "payment", "user_id": "u"},
        {"event_type": "order.paid", "event_category": "order", "stream_id": "order:1"},
    ]);
    let answer = app.client().await.post(BATCH, &events).await;
    assert_eq!(places(&answer.ok()), [("order:1", 1), ("user:u", 1), ("order:1", 2)]);
    assert_snapshot!(answer);
}

#[tokio::test]
async fn an_object_that_holds_the_events_does_as_well() {
    let (bare, wrapped) = (TestApp::in_memory(), TestApp::in_memory());
    let events = json!([{"event_type": "a", "user_id": "u"}, {"event_type": "b"}]);
    let (bare, wrapped) = (
        bare.client().await.post(BATCH, &events).await,
        wrapped.client().await.post(BATCH, &json!({"events": events, "unknown": 1})).await,
    );
    bare.succeeds();
    assert_eq!(bare, wrapped);
}

#[tokio::test]
async fn an_empty_batch_is_answered_with_an_empty_array() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for body in [json!([]), json!({"events": []})] {
        assert_eq!(client.post(BATCH, &body).await.ok(), json!([]), "{body}");
        assert_eq!(client.post_once("k", BATCH, &body).await.ok(), json!([]), "{body}");
    }
    assert_eq!(total(&client).await, 0);
}

#[tokio::test]
async fn a_batch_of_100_is_taken_and_one_of_101_is_not() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let events = |count: u32| (0..count).map(|n| json!({"event_type": "a", "data": {"n": n}, "user_id": format!("u{}", n % 3)}));
    let hundred = client.post(BATCH, &events(100).collect()).await.ok();
    let numbers: Vec<u64> = hundred.as_array().unwrap().iter().map(|event| event["data"]["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    for (body, loc) in
        [(events(101).collect::<Value>(), json!(["body"])), (json!({"events": events(101).collect::<Value>()}), json!(["body", "events"]))]
    {
        let answer = client.post(BATCH, &body).await;
        assert_eq!(problems(&answer), [("too_long".to_owned(), loc)]);
    }
    assert_eq!(total(&client).await, 100);
}

/// BR-EVT-008.
#[tokio::test]
async fn one_bad_event_refuses_the_batch_and_nothing_is_stored() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let good = json!({"event_type": "a", "user_id": "u", "event_id": CLIENT_ID});
    for (bad, kind, field) in [
        (json!({}), "missing", Some("event_type")),
        (json!({"event_type": "b", "event_source": "x"}), "enum", Some("event_source")),
        (json!({"event_type": "b", "timestamp": "x"}), "datetime_parsing", Some("timestamp")),
        (json!(5), "dict_type", None),
    ] {
        for (body, mut loc) in [
            (json!([good, bad]), vec![json!("body"), json!(1)]),
            (json!({"events": [good, bad]}), vec![json!("body"), json!("events"), json!(1)]),
        ] {
            loc.extend(field.map(Value::from));
            assert_eq!(problems(&client.post(BATCH, &body).await), [(kind.to_owned(), json!(loc))], "{bad}");
        }
    }
    assert_eq!(total(&client).await, 0);
    assert_eq!(client.get(&format!("/api/v1/events/{CLIENT_ID}")).await.status, 404);
    assert_eq!(version(&client, "user:u").await, 0);
    // The id is still free, for another event too.
    client.post(CREATE, &json!({"event_type": "z", "event_id": CLIENT_ID})).await.succeeds();
}

#[tokio::test]
async fn the_problems_of_all_events_are_reported_together() {
    let app = TestApp::in_memory();
    let body = json!([
        {"event_source": "nowhere"}, {"event_type": "fine"}, {"event_type": "", "event_category": "none"}, "text"
    ]);
    assert_snapshot!(app.client().await.post(BATCH, &body).await);
}

/// BR-EVT-008.
#[tokio::test]
async fn a_conflict_of_one_stream_stores_nothing_in_any() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    client.post(CREATE, &json!({"event_type": "a", "stream_id": "order:1"})).await.succeeds();
    let body = json!([
        {"event_type": "b", "stream_id": "order:2", "expected_version": "none"},
        {"event_type": "b", "stream_id": "order:1", "expected_version": "none"},
    ]);
    assert_snapshot!(client.post(BATCH, &body).await);
    assert_eq!(total(&client).await, 1);
    assert_eq!(version(&client, "order:2").await, 0);
}

/// BR-EVT-001. BR-EVT-008.
#[tokio::test]
async fn an_id_of_another_event_in_a_batch_stores_nothing() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    client.post(CREATE, &json!({"event_type": "a", "event_id": CLIENT_ID})).await.succeeds();
    let body = json!([{"event_type": "b", "user_id": "u"}, {"event_type": "b", "event_id": CLIENT_ID}]);
    let answer = client.post(BATCH, &body).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["title"]), (409, &json!("Event id reused")));
    let twice = json!([{"event_type": "b", "event_id": super::OTHER_ID}, {"event_type": "c", "event_id": super::OTHER_ID}]);
    assert_eq!(client.post(BATCH, &twice).await.status, 409);
    assert_eq!(total(&client).await, 1);
}

#[tokio::test]
async fn a_batch_may_expect_a_stream_as_it_was_or_as_it_becomes() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let event = |expected: Value| json!({"event_type": "a", "stream_id": "order:1", "expected_version": expected});
    assert_eq!(places(&client.post(BATCH, &json!([event(json!(0)), event(json!(1))])).await.ok()), [("order:1", 1), ("order:1", 2)]);
    assert_eq!(places(&client.post(BATCH, &json!([event(json!(2)), event(json!(2))])).await.ok()), [("order:1", 3), ("order:1", 4)]);
    let answer = client.post(BATCH, &json!([event(json!(4)), event(json!(7))])).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["actual_version"]), (409, &json!(4)));
    assert_eq!(total(&client).await, 4);
}

#[tokio::test]
async fn an_idempotency_key_makes_a_batch_idempotent_in_one_stream_and_in_many() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let one = json!([{"event_type": "a", "user_id": "u"}, {"event_type": "b", "user_id": "u"}]);
    let many = json!([{"event_type": "a", "user_id": "u"}, {"event_type": "b", "stream_id": "order:1"}, {"event_type": "c"}]);
    for (key, batch, other) in [("one", &one, &many), ("many", &many, &one)] {
        let first = client.post_once(key, BATCH, batch).await;
        first.succeeds();
        assert_eq!(first.header("idempotency-replayed"), None);
        client.post(BATCH, batch).await.succeeds();
        app.pass(60);
        let again = client.post_once(key, BATCH, batch).await;
        assert_eq!((again.status.as_u16(), &again.text, again.header("idempotency-replayed")), (200, &first.text, Some("true")), "{key}");
        let conflict = client.post_once(key, BATCH, other).await;
        assert_eq!((conflict.status.as_u16(), &conflict.json()["title"]), (409, &json!("Idempotency key reused")), "{key}");
    }
    assert_eq!(total(&client).await, 2 * 2 + 2 * 3);
}

#[tokio::test]
async fn events_with_ids_in_a_batch_are_idempotent_one_by_one() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let (one, two) = (json!({"event_type": "a", "event_id": CLIENT_ID}), json!({"event_type": "b", "event_id": super::OTHER_ID}));
    let first = client.post(CREATE, &one).await.ok();
    let both = client.post(BATCH, &json!([one, two, one])).await;
    assert_eq!(both.header("idempotency-replayed"), None, "one of them is new");
    let events = both.ok();
    assert_eq!((types(&events), &events[0], &events[2]), (vec!["a", "b", "a"], &first, &first));
    let again = client.post(BATCH, &json!([one, two, one])).await;
    assert_eq!((&again.text, again.header("idempotency-replayed")), (&both.text, Some("true")));
    assert_eq!(total(&client).await, 2);
}

#[tokio::test]
async fn a_batch_with_one_event_of_a_megabyte_is_too_large() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let batch = json!([{"event_type": "a"}, {"event_type": "b", "data": {"text": "x".repeat(1024 * 1024)}}]);
    assert_snapshot!(client.post(BATCH, &batch).await);
    assert_eq!(total(&client).await, 0);
}

#[tokio::test]
async fn a_batch_that_is_too_large_as_a_whole_is_refused() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let batch: Value = (0..10).map(|_| json!({"event_type": "b", "data": {"text": "x".repeat(400_000)}})).collect();
    assert_snapshot!(client.post(BATCH, &batch).await);
    assert_eq!(client.post_text(BATCH, vec![b'['; 10 * 1024 * 1024]).await.status, 413);
    assert_eq!(total(&client).await, 0);
}

#[tokio::test]
async fn a_body_that_is_no_batch_is_refused() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (body, kind, loc) in [
        ("{}", "missing", json!(["body", "events"])),
        (r#"{"event_type":"a"}"#, "missing", json!(["body", "events"])),
        (r#"{"events":{}}"#, "list_type", json!(["body", "events"])),
        (r#""events""#, "list_type", json!(["body"])),
        ("null", "list_type", json!(["body"])),
        ("", "json_invalid", json!(["body"])),
        ("[{}", "json_invalid", json!(["body"])),
    ] {
        assert_eq!(problems(&client.post_text(BATCH, body).await), [(kind.to_owned(), loc)], "{body}");
    }
}

#[tokio::test]
async fn a_bound_key_gets_no_foreign_event_into_a_batch() {
    let app = TestApp::in_memory();
    let bound = app.client_of("org_1").await;
    let batch = json!([{"event_type": "a"}, {"event_type": "b", "organization_id": "org_2"}]);
    assert_snapshot!(bound.post(BATCH, &batch).await);
    assert_eq!(total(&app.client().await).await, 0);
    let events = bound.post(BATCH, &json!([{"event_type": "a"}, {"event_type": "b", "organization_id": "org_1"}])).await.ok();
    assert!(events.as_array().unwrap().iter().all(|event| event["organization_id"] == "org_1"));
}

#[tokio::test]
async fn an_unbound_key_may_mix_organizations() {
    let app = TestApp::in_memory();
    let batch = json!([
        {"event_type": "a", "stream_id": "order:1", "organization_id": "org_1"},
        {"event_type": "b", "stream_id": "order:1", "organization_id": "org_2"},
        {"event_type": "c", "stream_id": "order:1"},
    ]);
    let events = app.client().await.post(BATCH, &batch).await.ok();
    assert_eq!(places(&events), [("order:1", 1), ("order:1", 1), ("order:1", 1)], "each organization has its own stream");
}

#[tokio::test]
async fn who_may_not_write_records_no_batch() {
    let app = TestApp::in_memory();
    let body = json!([{"event_type": "a"}]);
    assert_eq!(app.anybody().post(BATCH, &body).await.status, 401);
    let reader = app.client_with(&[Scope::Read], None).await;
    assert_eq!(reader.post(BATCH, &body).await.status, 403);
    assert_eq!(total(&reader).await, 0);
}

#[tokio::test]
async fn other_methods_are_told_the_right_one() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
        let answer = client.send(client.request(method.clone(), BATCH), Body::Empty).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("POST, OPTIONS")), "{method}");
    }
}

#[tokio::test]
async fn an_idempotency_key_with_some_ids_and_some_not_is_refused() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let batch = json!([{"event_type": "a", "event_id": CLIENT_ID}, {"event_type": "b"}]);
    assert_snapshot!(client.post_once("k", BATCH, &batch).await);
    assert_eq!(total(&client).await, 0);
    client.post(BATCH, &batch).await.succeeds();
}

/// BR-EVT-008.
#[tokio::test]
async fn the_ids_of_a_batch_that_was_refused_are_still_free() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    client.post(CREATE, &json!({"event_type": "a", "event_id": CLIENT_ID})).await.succeeds();
    let batch = json!([{"event_type": "b", "event_id": super::OTHER_ID}, {"event_type": "b", "event_id": CLIENT_ID}]);
    assert_eq!(client.post(BATCH, &batch).await.status, 409);
    let other = client.post(CREATE, &json!({"event_type": "c", "event_id": super::OTHER_ID})).await;
    assert_eq!(other.status, 200, "{other}");
}
