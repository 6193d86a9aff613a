//! `POST /api/v1/events/create`.

use event_service_tests::Store;
use event_service_tests::app::TestApp;
use insta::assert_snapshot;
use lambda_http::http::Method;
use lambda_http::{Body, http};
use serde_json::{Value, json};
use shared::domain::access::Scope;
use shared::domain::category::EventCategory;
use shared::domain::source::EventSource;

use super::{CLIENT_ID, CREATE, problems, process_everything, total};

/// BR-EVT-005. BR-EVT-007.
#[tokio::test]
async fn an_event_needs_a_type_and_gets_defaults_for_the_rest() {
    let app = TestApp::in_memory();
    assert_snapshot!(app.client().await.post(CREATE, &json!({"event_type": "order.placed"})).await);
}

#[tokio::test]
async fn an_event_is_answered_with_all_that_was_sent() {
    let app = TestApp::in_memory();
    let event = json!({
        "event_type": "order.placed", "event_source": "external_api", "event_category": "order",
        "user_id": "user_12345", "session_id": "session_1", "organization_id": "org_1", "device_id": "device_1", "correlation_id": "c-1",
        "data": {"order_id": "42", "items": [{"sku": "A", "n": 2}], "total": 50.0}, "metadata": {"ip": "192.0.2.1"},
        "context": {"region": "eu"}, "properties": {"color": "Blau", "empty": null},
        "timestamp": "2026-11-23T10:11:12.123456Z", "version": "2.1.0", "event_id": CLIENT_ID,
        "entity_type": "order", "entity_id": "42", "expected_version": "none",
    });
    assert_snapshot!(app.client().await.post(CREATE, &event).await);
}

/// BR-EVT-002. BR-EVT-003. BR-EVT-004.
#[tokio::test]
async fn all_problems_of_an_event_are_reported_together() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let event = json!({
        "data": [], "event_category": 5, "event_id": "42", "event_source": "nowhere", "expected_version": -1, "metadata": "text",
        "stream_id": "order", "timestamp": "yesterday", "user_id": 12345, "version": 1,
    });
    assert_snapshot!(client.post(CREATE, &event).await);
    assert_eq!(total(&client).await, 0, "nothing was stored");
}

/// BR-EVT-002.
#[tokio::test]
async fn a_type_has_1_to_255_characters_and_is_not_blank() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (event_type, kind) in [
        (json!(""), "string_too_short"),
        (json!(" \t "), "value_error"),
        (json!("é".repeat(256)), "string_too_long"),
        (json!(null), "missing"),
        (json!(7), "string_type"),
    ] {
        let answer = client.post(CREATE, &json!({"event_type": event_type})).await;
        assert_eq!(problems(&answer), [(kind.to_owned(), json!(["body", "event_type"]))], "{event_type}");
    }
    assert_eq!(total(&client).await, 0);
    for event_type in ["a".to_owned(), "é".repeat(255)] {
        assert_eq!(client.post(CREATE, &json!({"event_type": event_type})).await.ok()["event_type"], event_type);
    }
}

/// BR-EVT-003.
#[tokio::test]
async fn every_source_of_the_contract_is_taken_and_no_other() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let sources = ["frontend", "backend", "system", "iot_device", "external_api", "scheduled"];
    assert_eq!(EventSource::ALL.len(), sources.len());
    for source in sources {
        assert_eq!(client.post(CREATE, &json!({"event_type": "a", "event_source": source})).await.ok()["event_source"], source);
    }
    for source in ["Backend", "iot-device", ""] {
        let answer = client.post(CREATE, &json!({"event_type": "a", "event_source": source})).await;
        assert_eq!(problems(&answer), [("enum".to_owned(), json!(["body", "event_source"]))], "{source}");
    }
}

/// BR-EVT-004.
#[tokio::test]
async fn every_category_of_the_contract_is_taken_and_no_other() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let categories = "user_action page_view form_submit click user_lifecycle payment order task system security performance error device \
                      device_status telemetry command alert";
    assert_eq!(EventCategory::ALL.len(), categories.split(' ').count());
    for category in categories.split(' ') {
        assert_eq!(client.post(CREATE, &json!({"event_type": "a", "event_category": category})).await.ok()["event_category"], category);
    }
    let answer = client.post(CREATE, &json!({"event_type": "a", "event_category": "user_interaction"})).await;
    assert_eq!(problems(&answer), [("enum".to_owned(), json!(["body", "event_category"]))]);
}

/// BR-EVT-005.
#[tokio::test]
async fn a_timestamp_may_be_written_in_many_ways_and_is_utc() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (sent, answered) in [
        (json!("2026-11-23T10:11:12Z"), "2026-11-23T10:11:12.000000Z"),
        (json!("2026-11-23T10:11:12.123456789+05:30"), "2026-11-23T04:41:12.123456Z"),
        (json!("2026-11-23T10:11:12"), "2026-11-23T10:11:12.000000Z"),
        (json!("2026-11-23 10:11:12.5"), "2026-11-23T10:11:12.500000Z"),
        (json!("2026-11-23T10:11"), "2026-11-23T10:11:00.000000Z"),
        (json!("2026-11-23"), "2026-11-23T00:00:00.000000Z"),
        (json!(1_795_000_000), "2026-11-18T11:06:40.000000Z"),
        (json!(1_795_000_000.25), "2026-11-18T11:06:40.250000Z"),
        (json!(1_795_000_000_123_i64), "2026-11-18T11:06:40.123000Z"),
        (json!("1795000000"), "2026-11-18T11:06:40.000000Z"),
        (json!("1795000000123"), "2026-11-18T11:06:40.123000Z"),
        (json!(null), "2026-11-23T12:00:00.000000Z"),
    ] {
        let event = client.post(CREATE, &json!({"event_type": "a", "timestamp": sent})).await.ok();
        assert_eq!(event["timestamp"], answered, "{sent}");
        assert_eq!(event["created_at"], "2026-11-23T12:00:00.000000Z", "what happened earlier is stored now");
    }
    for sent in [json!("soon"), json!("2026-13-01"), json!("2026-02-30T00:00:00Z"), json!(1e300), json!("-99999-01-01")] {
        let answer = client.post(CREATE, &json!({"event_type": "a", "timestamp": sent})).await;
        assert_eq!(problems(&answer), [("datetime_parsing".to_owned(), json!(["body", "timestamp"]))], "{sent}");
    }
    let answer = client.post(CREATE, &json!({"event_type": "a", "timestamp": {}})).await;
    assert_eq!(problems(&answer), [("datetime_type".to_owned(), json!(["body", "timestamp"]))]);
}

#[tokio::test]
async fn unknown_fields_are_ignored_and_category_is_one_of_them() {
    let app = TestApp::in_memory();
    let event = json!({"event_type": "a", "category": "order", "source": "frontend", "type": "b", "status": "processed", "unknown": [1]});
    let event = app.client().await.post(CREATE, &event).await.ok();
    assert_eq!(
        json!([event["event_type"], event["event_category"], event["event_source"], event["status"]]),
        json!(["a", "user_action", "backend", "pending"])
    );
    assert!(event.get("unknown").is_none() && event.get("category").is_none());
}

#[tokio::test]
async fn what_is_sent_in_objects_comes_back_as_it_was_written() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let data = r#"{"z":1,"a":12345678901234567890123456789,"f":1.10,"e":1E2,"s":"é\u0041\n","n":null,"deep":{"":[[],{}]}}"#;
    let created = client.post_text(CREATE, format!(r#"{{"event_type":"a","event_id":"{CLIENT_ID}","data":{data}}}"#)).await;
    created.succeeds();
    assert!(created.text.contains(data), "{}", created.text);
    let read = client.get(&format!("/api/v1/events/{CLIENT_ID}")).await;
    assert!(read.text.contains(data), "{}", read.text);
}

/// BR-STM-001.
#[tokio::test]
async fn an_event_belongs_to_the_first_stream_that_applies() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let all = json!({
        "event_type": "a", "stream_id": "order:1:2", "user_id": "u", "device_id": "d", "session_id": "s", "organization_id": "o"
    });
    let mut event = all;
    for (without, stream) in
        [("", "order:1:2"), ("stream_id", "user:u"), ("user_id", "device:d"), ("device_id", "session:s"), ("session_id", "organization:o")]
    {
        event.as_object_mut().unwrap().remove(without);
        assert_eq!(client.post(CREATE, &event).await.ok()["stream_id"], stream);
    }
    event.as_object_mut().unwrap().remove("organization_id");
    let alone = client.post(CREATE, &event).await.ok();
    assert_eq!(alone["stream_id"], format!("event:{}", alone["event_id"].as_str().unwrap()));
    let own = client.post(CREATE, &json!({"event_type": "a", "event_id": CLIENT_ID})).await.ok();
    assert_eq!(own["stream_id"], format!("event:{CLIENT_ID}"));
    let entity = client.post(CREATE, &json!({"event_type": "a", "user_id": "u", "entity_type": "cart", "entity_id": "7"})).await.ok();
    assert_eq!(json!([entity["stream_id"], entity["stream_version"]]), json!(["cart:7", 1]));
    let blank = client.post(CREATE, &json!({"event_type": "a", "user_id": "", "session_id": "s2"})).await.ok();
    assert_eq!(blank["stream_id"], "session:s2");
}

/// BR-STM-001.
#[tokio::test]
async fn a_stream_that_cannot_be_named_is_refused() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (fields, kind, field) in [
        (json!({"stream_id": "order"}), "value_error", "stream_id"),
        (json!({"stream_id": ":1"}), "value_error", "stream_id"),
        (json!({"stream_id": "order:"}), "value_error", "stream_id"),
        (json!({"stream_id": 5}), "string_type", "stream_id"),
        (json!({"entity_type": "order"}), "missing", "entity_id"),
        (json!({"entity_id": "1"}), "missing", "entity_type"),
        (json!({"entity_type": "a:b", "entity_id": "1"}), "value_error", "entity_type"),
        (json!({"stream_id": "order:1", "entity_type": "order", "entity_id": "2"}), "value_error", "stream_id"),
    ] {
        let mut event = fields.clone();
        event["event_type"] = json!("a");
        assert_eq!(problems(&client.post(CREATE, &event).await), [(kind.to_owned(), json!(["body", field]))], "{fields}");
    }
    assert_eq!(total(&client).await, 0);
}

/// BR-STM-002. BR-STM-003.
#[tokio::test]
async fn the_version_rises_by_one_and_a_late_timestamp_moves_nothing() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (version, timestamp) in [(1, "2026-11-23T11:00:00Z"), (2, "2020-01-01"), (3, "2026-11-23T11:30:00Z")] {
        let event = json!({"event_type": format!("v{version}"), "stream_id": "order:1", "timestamp": timestamp});
        assert_eq!(client.post(CREATE, &event).await.ok()["stream_version"], version);
    }
    let stream = client.get("/api/v1/events/stream/order:1").await.ok();
    assert_eq!(super::types(&stream["events"]), ["v1", "v2", "v3"]);
}

/// BR-EVT-001.
#[tokio::test]
async fn an_event_id_of_the_client_makes_the_event_idempotent() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let event = json!({"event_type": "a", "event_id": CLIENT_ID, "user_id": "u", "data": {"n": 1}});
    let first = client.post(CREATE, &event).await;
    assert_eq!((first.ok()["event_id"].as_str(), first.header("idempotency-replayed")), (Some(CLIENT_ID), None));
    app.pass(3600);
    let again =
        client.post_text(CREATE, format!(r#"{{"data": {{"n":1}}, "user_id":"u","event_id":"{CLIENT_ID}","event_type":"a"}}"#)).await;
    assert_eq!(again.text, first.text);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(total(&client).await, 1);
}

/// BR-EVT-001. BR-EVT-006.
#[tokio::test]
async fn an_event_id_with_another_body_is_a_conflict_and_changes_nothing() {
    let app = TestApp::in_memory();
    process_everything(&app).await;
    let client = app.client().await;
    let first = client.post(CREATE, &json!({"event_type": "a", "event_id": CLIENT_ID})).await;
    first.succeeds();
    assert_snapshot!(client.post(CREATE, &json!({"event_type": "a", "event_id": CLIENT_ID, "data": {"n": 2}})).await);
    assert_eq!(client.get(&format!("/api/v1/events/{CLIENT_ID}")).await.text, first.text);
    assert_eq!(total(&client).await, 1);
}

/// BR-EVT-001.
#[tokio::test]
async fn events_without_an_id_get_different_ones() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..20 {
        ids.insert(client.post(CREATE, &json!({"event_type": "a"})).await.ok()["event_id"].as_str().unwrap().to_owned());
        ids.insert(client.post(CREATE, &json!({"event_type": "a", "user_id": "u"})).await.ok()["event_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 40);
}

#[tokio::test]
async fn an_idempotency_key_makes_the_request_idempotent() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let event = json!({"event_type": "a", "user_id": "u"});
    let first = client.post_once("order-42", CREATE, &event).await;
    assert_eq!((first.ok()["stream_version"].as_u64(), first.header("idempotency-replayed")), (Some(1), None));
    client.post(CREATE, &event).await.succeeds();
    app.pass(60);
    let again = client.post_once("order-42", CREATE, &event).await;
    assert_eq!((&again.text, again.header("idempotency-replayed")), (&first.text, Some("true")));
    let other_key = client.post_once("order-43", CREATE, &event).await;
    assert_eq!((other_key.ok()["stream_version"].as_u64(), other_key.header("idempotency-replayed")), (Some(3), None));
    assert_snapshot!(client.post_once("order-42", CREATE, &json!({"event_type": "b", "user_id": "u"})).await);
    assert_eq!(total(&client).await, 3);
}

#[tokio::test]
async fn an_idempotency_key_that_cannot_be_one_is_refused() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let request =
        |keys: &[&str]| keys.iter().fold(client.request(Method::POST, CREATE), |request, key| request.header("Idempotency-Key", *key));
    let long = "k".repeat(2000);
    for keys in [&[""][..], &["  "], &[long.as_str()], &["a", "b"]] {
        let answer = client.send(request(keys), Body::from(r#"{"event_type":"a"}"#)).await;
        assert_eq!(problems(&answer), [("value_error".to_owned(), json!(["header", "Idempotency-Key"]))], "{keys:?}");
    }
    assert_eq!(total(&client).await, 0);
}

#[tokio::test]
async fn an_expected_version_that_holds_lets_the_event_in() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (version, expected) in
        [(1, json!("none")), (2, json!(1)), (3, json!("2")), (4, json!("exists")), (5, json!("any")), (6, json!(null)), (7, json!(6.0))]
    {
        let event = json!({"event_type": "a", "stream_id": "order:1", "expected_version": expected});
        assert_eq!(client.post(CREATE, &event).await.ok()["stream_version"], version, "{expected}");
    }
    let first = client.post(CREATE, &json!({"event_type": "a", "stream_id": "order:2", "expected_version": 0})).await.ok();
    assert_eq!(first["stream_version"], 1);
}

#[tokio::test]
async fn an_expected_version_that_does_not_hold_is_a_conflict_that_names_stream_and_version() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for _ in 0..3 {
        client.post(CREATE, &json!({"event_type": "a", "stream_id": "order:1"})).await.succeeds();
    }
    for expected in [json!("none"), json!(0), json!(2), json!(4), json!("2")] {
        let answer = client.post(CREATE, &json!({"event_type": "b", "stream_id": "order:1", "expected_version": expected})).await;
        let body = answer.json();
        assert_eq!(
            (answer.status, &body["stream_id"], &body["actual_version"]),
            (http::StatusCode::CONFLICT, &json!("order:1"), &json!(3))
        );
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.contains("order:1") && detail.contains('3'), "{detail}");
    }
    let absent = client.post(CREATE, &json!({"event_type": "b", "stream_id": "order:2", "expected_version": "exists"})).await;
    assert_snapshot!(absent);
    assert_eq!(total(&client).await, 3);
}

#[tokio::test]
async fn an_expected_version_that_is_none_is_refused() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (expected, kind) in
        [(json!(-1), "greater_than_equal"), (json!("some"), "int_parsing"), (json!(1.5), "int_from_float"), (json!(true), "int_type")]
    {
        let answer = client.post(CREATE, &json!({"event_type": "a", "expected_version": expected})).await;
        assert_eq!(problems(&answer), [(kind.to_owned(), json!(["body", "expected_version"]))], "{expected}");
    }
}

#[tokio::test]
async fn an_event_of_a_megabyte_is_too_large() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let answer = client.post(CREATE, &json!({"event_type": "a", "data": {"text": "x".repeat(1024 * 1024)}})).await;
    assert_snapshot!(answer);
    assert_eq!(total(&client).await, 0);
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_too_large() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let answer = client.post_text(CREATE, vec![b' '; 10 * 1024 * 1024]).await;
    assert_snapshot!(answer);
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (body, kind) in
        [("", "json_invalid"), ("{", "json_invalid"), ("event_type=a", "json_invalid"), ("[]", "dict_type"), ("5", "dict_type")]
    {
        assert_eq!(problems(&client.post_text(CREATE, body).await), [(kind.to_owned(), json!(["body"]))], "{body}");
    }
    assert_snapshot!(client.post_text(CREATE, "{\"event_type\": \"a\",}").await);
}

#[tokio::test]
async fn without_a_credential_nothing_is_recorded() {
    let app = TestApp::in_memory();
    assert_snapshot!(app.anybody().post(CREATE, &json!({"event_type": "a"})).await);
    assert_eq!(total(&app.client().await).await, 0);
}

#[tokio::test]
async fn a_wrong_credential_is_as_good_as_none() {
    let app = TestApp::in_memory();
    let none = app.anybody().post(CREATE, &json!({"event_type": "a"})).await;
    let wrong = [
        ("x-api-key", "evk_0000000000000000000000000000000000000000000000000000000000000000"),
        ("x-api-key", "letmein"),
        ("authorization", "Bearer evk_00"),
        ("authorization", "Bearer a.b.c"),
        ("authorization", "Basic dXNlcjpwYXNz"),
        ("authorization", "Bearer"),
        ("authorization", ""),
    ];
    for (header, value) in wrong {
        let answer = app.client_that_presents(header, value).post(CREATE, &json!({"event_type": "a"})).await;
        assert_eq!(answer, none, "{header}: {value}");
    }
    assert_eq!(total(&app.client().await).await, 0);
}

#[tokio::test]
async fn a_key_is_taken_as_a_bearer_token_too() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let made = client.post(super::KEYS, &json!({"name": "k", "scopes": ["events:write"]})).await.ok();
    let bearer = format!("Bearer {}", made["api_key"].as_str().unwrap());
    app.client_that_presents("authorization", &bearer).post(CREATE, &json!({"event_type": "a"})).await.succeeds();
}

#[tokio::test]
async fn a_key_without_the_scope_to_write_is_forbidden() {
    let app = TestApp::in_memory();
    let reader = app.client_with(&[Scope::Read, Scope::Admin], None).await;
    assert_snapshot!(reader.post(CREATE, &json!({"event_type": "a"})).await);
    // What is wrong with the body is nobody's business before that.
    assert_eq!(reader.post_text(CREATE, "{").await.status, 403);
    assert_eq!(total(&reader).await, 0);
}

#[tokio::test]
async fn other_methods_are_told_the_right_one() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    assert_snapshot!(client.get(CREATE).await);
    for method in [Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD] {
        let answer = client.send(client.request(method.clone(), CREATE), Body::Empty).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("POST, OPTIONS")), "{method}");
    }
    let options = client.send(client.request(Method::OPTIONS, CREATE), Body::Empty).await;
    assert_eq!((options.status.as_u16(), options.header("allow"), options.text.as_str()), (204, Some("POST, OPTIONS"), ""));
}

#[tokio::test]
async fn a_key_that_is_bound_records_for_its_organization_only() {
    let app = TestApp::in_memory();
    let bound = app.client_of("org_1").await;
    for named in [Value::Null, json!("org_1"), json!("")] {
        let event = bound.post(CREATE, &json!({"event_type": "a", "organization_id": named})).await.ok();
        assert_eq!(event["organization_id"], "org_1", "{named}");
    }
    assert_snapshot!(bound.post(CREATE, &json!({"event_type": "a", "organization_id": "org_2"})).await);
    assert_eq!(total(&app.client().await).await, 3);
}

#[tokio::test]
async fn a_request_id_comes_back() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let request = client.request(Method::POST, CREATE).header("x-request-id", "trace-1");
    assert_eq!(client.send(request, Body::from(r#"{"event_type":"a"}"#)).await.header("x-request-id"), Some("trace-1"));
}

/// BR-EVT-001.
#[tokio::test]
async fn an_id_that_was_made_here_is_not_given_to_another_event() {
    let store = Store::open().await;
    for app in [TestApp::in_memory(), TestApp::on(&store)] {
        process_everything(&app).await;
        let client = app.client().await;
        for event in [json!({"event_type": "a", "user_id": "u"}), json!({"event_type": "a"})] {
            let made = client.post(CREATE, &event).await.ok();
            let id = made["event_id"].as_str().unwrap();
            let other = client.post(CREATE, &json!({"event_type": "b", "user_id": "v", "event_id": id})).await;
            assert_eq!((other.status.as_u16(), &other.json()["title"]), (409, &json!("Event id reused")), "{other}");
            assert_eq!(client.get(&format!("/api/v1/events/{id}")).await.ok(), made);
        }
    }
}

#[tokio::test]
async fn a_retry_under_its_event_id_is_answered_whatever_it_expects_of_the_stream() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let event = json!({"event_type": "a", "event_id": CLIENT_ID, "stream_id": "order:1", "expected_version": "none"});
    let first = client.post(CREATE, &event).await;
    first.succeeds();
    let again = client.post(CREATE, &event).await;
    assert_eq!((&again.text, again.header("idempotency-replayed")), (&first.text, Some("true")));
}

/// Who decides again after a conflict sends another event, under the id that it has for it.
#[tokio::test]
async fn the_id_of_an_event_that_was_refused_is_still_free() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    client.post(CREATE, &json!({"event_type": "a", "stream_id": "order:1"})).await.succeeds();
    let event = |event_type: &str, expected: u64| {
        let stream = "order:1";
        json!({"event_type": event_type, "event_id": CLIENT_ID, "stream_id": stream, "expected_version": expected})
    };
    let refused = client.post(CREATE, &event("b", 0)).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["title"]), (409, &json!("Version conflict")));
    let decided_again = client.post(CREATE, &event("c", 1)).await;
    assert_eq!(decided_again.status, 200, "{decided_again}");
}
