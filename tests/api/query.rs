//! `POST /api/v1/events/query`.

use event_service_tests::app::{Client, TestApp};
use insta::assert_snapshot;
use lambda_http::Body;
use lambda_http::http::Method;
use serde_json::{Value, json};
use shared::domain::access::Scope;

use super::{BATCH, CREATE, QUERY, problems, process_everything, types};

/// The types of the events that match.
async fn found(client: &Client<'_>, query: &Value) -> Vec<String> {
    let page = client.post(QUERY, query).await.ok();
    let found: Vec<String> = types(&page["events"]).into_iter().map(str::to_owned).collect();
    assert_eq!(page["total"].as_u64(), Some(found.len() as u64), "{query}");
    found
}

/// Records `count` events of type `n`, one a second, the last at 10:00 plus `count` seconds.
async fn record(client: &Client<'_>, count: u64) {
    let events: Vec<Value> = (1..=count)
        .map(|n| json!({"event_type": "n", "user_id": format!("u{}", n % 7), "timestamp": 1_795_428_000 + n, "data": {"n": n}}))
        .collect();
    for hundred in events.chunks(100) {
        client.post(BATCH, &json!(hundred)).await.succeeds();
    }
}

/// The `data.n` of each event of a page.
fn numbers(page: &Value) -> Vec<u64> {
    page["events"].as_array().unwrap().iter().map(|event| event["data"]["n"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_query_answers_with_a_page_of_events() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    client.post(CREATE, &json!({"event_type": "a", "user_id": "u", "data": {"n": 1}})).await.succeeds();
    client.post(CREATE, &json!({"event_type": "b", "user_id": "u"})).await.succeeds();
    assert_snapshot!(client.post(QUERY, &json!({"user_id": "u", "limit": 1})).await);
}

/// BR-QRY-001. BR-QRY-006.
#[tokio::test]
async fn a_page_has_100_events_unless_asked_and_at_most_1000() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    record(&client, 1001).await;
    for (query, limit) in [
        (json!({}), 100),
        (json!({"limit": null}), 100),
        (json!({"limit": "10"}), 10),
        (json!({"limit": 1000}), 1000),
        (json!({"limit": 1}), 1),
    ] {
        let page = client.post(QUERY, &query).await.ok();
        assert_eq!(json!([page["limit"], page["offset"], page["total"], page["has_more"]]), json!([limit, 0, 1001, true]), "{query}");
        assert_eq!(numbers(&page), (1..=1001).rev().take(limit).collect::<Vec<_>>(), "{query}");
    }
    for (query, kind) in [
        (json!({"limit": 0}), "greater_than_equal"),
        (json!({"limit": 1001}), "less_than_equal"),
        (json!({"limit": "many"}), "int_parsing"),
        (json!({"limit": 1.5}), "int_from_float"),
    ] {
        assert_eq!(problems(&client.post(QUERY, &query).await), [(kind.to_owned(), json!(["body", "limit"]))], "{query}");
    }
}

/// BR-QRY-002.
#[tokio::test]
async fn events_come_newest_first_by_when_they_happened() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (event_type, timestamp) in [("second", "2026-11-20"), ("third", "2026-11-19"), ("first", "2026-11-21"), ("fourth", "1999-01-01")] {
        client.post(CREATE, &json!({"event_type": event_type, "timestamp": timestamp, "user_id": "u"})).await.succeeds();
    }
    assert_eq!(found(&client, &json!({})).await, ["first", "second", "third", "fourth"]);
}

/// BR-QRY-005. BR-QRY-006.
#[tokio::test]
async fn pages_by_offset_hold_each_event_once_and_say_when_they_end() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    record(&client, 25).await;
    let mut seen = Vec::new();
    for (offset, has_more) in [(0, true), (10, true), (20, false)] {
        let page = client.post(QUERY, &json!({"limit": 10, "offset": offset})).await.ok();
        assert_eq!(json!([page["offset"], page["total"], page["has_more"]]), json!([offset, 25, has_more]));
        assert_eq!(page["next_cursor"].is_string(), has_more);
        seen.extend(numbers(&page));
    }
    assert_eq!(seen, (1..=25).rev().collect::<Vec<_>>());
    for offset in [25, 26, 1_000_000, i64::MAX] {
        let page = client.post(QUERY, &json!({"limit": 10, "offset": offset})).await.ok();
        assert_eq!(json!([page["events"], page["total"], page["has_more"], page["next_cursor"]]), json!([[], 25, false, null]), "{offset}");
    }
    let answer = client.post(QUERY, &json!({"offset": -1})).await;
    assert_eq!(problems(&answer), [("greater_than_equal".to_owned(), json!(["body", "offset"]))]);
}

/// BR-QRY-006.
#[tokio::test]
async fn pages_by_cursor_hold_each_event_once_even_when_events_come_in_between() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    record(&client, 25).await;
    let (mut seen, mut cursor, mut totals) = (Vec::new(), Value::Null, Vec::new());
    loop {
        let page = client.post(QUERY, &json!({"limit": 10, "cursor": cursor})).await.ok();
        seen.extend(numbers(&page));
        totals.push(page["total"].as_u64().unwrap());
        cursor = page["next_cursor"].clone();
        assert_eq!(page["has_more"].as_bool(), Some(cursor.is_string()));
        if cursor.is_null() {
            break;
        }
        client.post(CREATE, &json!({"event_type": "new", "data": {"n": 99}})).await.succeeds();
    }
    assert_eq!(seen, (1..=25).rev().collect::<Vec<_>>());
    assert_eq!(totals, [25, 26, 27]);
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_query_only() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    record(&client, 3).await;
    let cursor = client.post(QUERY, &json!({"limit": 1})).await.ok()["next_cursor"].clone();
    for query in [
        json!({"cursor": cursor, "user_id": "u1"}),
        json!({"cursor": cursor, "offset": 1}),
        json!({"cursor": "AAAA"}),
        json!({"cursor": "not a cursor"}),
    ] {
        assert_eq!(problems(&client.post(QUERY, &query).await), [("value_error".to_owned(), json!(["body", "cursor"]))], "{query}");
    }
    assert_eq!(client.post(QUERY, &json!({"cursor": cursor, "limit": 7})).await.ok()["events"].as_array().unwrap().len(), 2);
    assert_eq!(client.post(QUERY, &json!({"cursor": ""})).await.ok()["events"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_cursor_of_another_organization_leads_to_none_of_its_events() {
    let app = TestApp::in_memory();
    let (one, other, unbound) = (app.client_of("org_1").await, app.client_of("org_2").await, app.client().await);
    record(&one, 3).await;
    let asked = [json!({"limit": 1}), json!({"limit": 1, "organization_id": "org_1"})];
    for (query, owner) in asked.iter().flat_map(|query| [(query, &one), (query, &unbound)]) {
        let cursor = owner.post(QUERY, query).await.ok()["next_cursor"].clone();
        assert!(cursor.is_string(), "{query}");
        for mut stolen in asked.clone() {
            stolen["cursor"] = cursor.clone();
            let answer = other.post(QUERY, &stolen).await;
            assert!(answer.status.is_client_error() || answer.ok()["events"] == json!([]), "{stolen}\n{answer}");
        }
    }
}

#[tokio::test]
async fn each_filter_finds_its_events_only() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let wanted = json!({
        "event_type": "wanted", "event_source": "iot_device", "event_category": "telemetry", "user_id": "u1", "session_id": "s1",
        "organization_id": "o1", "device_id": "d1", "correlation_id": "c1",
    });
    let other = json!({
        "event_type": "other", "event_source": "frontend", "event_category": "click", "user_id": "u2", "session_id": "s2",
        "organization_id": "o2", "device_id": "d2", "correlation_id": "c2",
    });
    for event in [&wanted, &other, &json!({"event_type": "bare"})] {
        client.post(CREATE, event).await.succeeds();
    }
    for (name, value) in wanted.as_object().unwrap() {
        assert_eq!(found(&client, &json!({name: value})).await, ["wanted"], "{name}");
        assert_eq!(found(&client, &json!({name: other[name]})).await, ["other"], "{name}");
    }
    assert_eq!(found(&client, &wanted).await, ["wanted"]);
    assert!(found(&client, &json!({"user_id": "u1", "session_id": "s2"})).await.is_empty(), "all conditions must hold");
    assert_eq!(found(&client, &json!({"status": "processed"})).await.len(), 3);
    assert!(found(&client, &json!({"status": "pending"})).await.is_empty());
    process_everything(&app).await;
    client.post(CREATE, &json!({"event_type": "late"})).await.succeeds();
    assert_eq!(found(&client, &json!({"status": "pending"})).await, ["late"]);
    assert_eq!(found(&client, &json!({"status": "processed"})).await.len(), 3);
    assert!(found(&client, &json!({"event_type": "want"})).await.is_empty(), "a type is matched whole");
    assert!(found(&client, &json!({"event_type": "WANTED"})).await.is_empty());
}

#[tokio::test]
async fn an_empty_string_is_no_filter() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    client.post(CREATE, &json!({"event_type": "a", "user_id": "u"})).await.succeeds();
    let names = "user_id event_type event_source event_category status session_id organization_id device_id correlation_id start_time \
                 end_time data limit offset cursor";
    let all: Value = names.split(' ').map(|name| (name.to_owned(), json!(""))).collect();
    assert_eq!(found(&client, &all).await, ["a"]);
    for name in names.split(' ') {
        assert_eq!(found(&client, &json!({name: ""})).await, ["a"], "{name}");
        assert_eq!(found(&client, &json!({name: null})).await, ["a"], "{name}");
    }
    assert_eq!(found(&client, &json!({"unknown": "field", "category": "order"})).await, ["a"]);
}

#[tokio::test]
async fn times_are_inclusive_at_both_ends() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for second in 0..5 {
        let event = json!({"event_type": second.to_string(), "timestamp": format!("2026-11-20T10:00:0{second}Z"), "user_id": "u"});
        client.post(CREATE, &event).await.succeeds();
    }
    for (query, expected) in [
        (json!({"start_time": "2026-11-20T10:00:01Z", "end_time": "2026-11-20T10:00:03Z"}), vec!["3", "2", "1"]),
        (json!({"start_time": "2026-11-20T10:00:04"}), vec!["4"]),
        (json!({"end_time": "2026-11-20T10:00:00"}), vec!["0"]),
        (json!({"start_time": "2026-11-20T12:00:01+02:00", "end_time": 1_795_168_801_i64}), vec!["1"]),
        (json!({"start_time": 1_795_168_802_000_i64, "end_time": "1795168803"}), vec!["3", "2"]),
        (json!({"start_time": "2026-11-20"}), vec!["4", "3", "2", "1", "0"]),
        (json!({"end_time": "2026-11-20"}), vec![]),
        (json!({"start_time": "2026-11-20T10:00:03Z", "end_time": "2026-11-20T10:00:01Z"}), vec![]),
        (json!({"start_time": "2026-11-20T10:00:00.000001Z", "end_time": "2026-11-20T10:00:01.999999Z"}), vec!["1"]),
    ] {
        assert_eq!(found(&client, &query).await, expected, "{query}");
    }
}

/// BR-QRY-004.
#[tokio::test]
async fn data_is_found_by_a_part_of_it_or_by_dotted_paths() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (event_type, data) in [
        ("one", json!({"order": {"id": 1, "lines": [{"sku": "A"}]}, "total": 50.0, "gift": null, "tags": ["x", "y"], "a.b": "dotted"})),
        ("two", json!({"order": {"id": "1"}, "total": 7, "gift": false})),
        ("none", json!({})),
    ] {
        client.post(CREATE, &json!({"event_type": event_type, "data": data, "user_id": "u"})).await.succeeds();
    }
    for (data, expected) in [
        (json!({"order": {"id": 1}}), vec!["one"]),
        (json!({"order.id": 1}), vec!["one"]),
        (json!({"order.id": "1"}), vec!["two"]),
        (json!({"order.lines.0.sku": "A"}), vec!["one"]),
        (json!({"order.lines.1.sku": "A"}), vec![]),
        (json!({"total": 50}), vec!["one"]),
        (json!({"gift": null}), vec!["one"]),
        (json!({"gift": false, "total": 7.0}), vec!["two"]),
        (json!({"gift": false, "total": 8}), vec![]),
        (json!({"tags": ["x", "y"]}), vec!["one"]),
        (json!({"tags": ["x"]}), vec![]),
        (json!({"tags.1": "y"}), vec!["one"]),
        (json!({"a.b": "dotted"}), vec!["one"]),
        (json!({"order": {}}), vec!["two", "one"]),
        (json!({}), vec!["none", "two", "one"]),
        (json!({"absent.path.of.names": 1}), vec![]),
    ] {
        let mut found = found(&client, &json!({"data": data})).await;
        found.sort();
        let mut expected = expected;
        expected.sort_unstable();
        assert_eq!(found, expected, "{data}");
    }
    let answer = client.post(QUERY, &json!({"data": ["order"]})).await;
    assert_eq!(problems(&answer), [("dict_type".to_owned(), json!(["body", "data"]))]);
}

#[tokio::test]
async fn all_problems_of_a_query_are_reported_together() {
    let app = TestApp::in_memory();
    let query = json!({
        "cursor": "x", "data": [], "end_time": "later", "event_category": 5, "event_source": "nowhere", "limit": 0, "offset": "-1",
        "start_time": {}, "status": "done", "user_id": 12345,
    });
    assert_snapshot!(app.client().await.post(QUERY, &query).await);
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (body, kind) in [("", "json_invalid"), ("[]", "dict_type"), ("{\"limit\":1,\"limit\":2}", "json_invalid")] {
        assert_eq!(problems(&client.post_text(QUERY, body).await), [(kind.to_owned(), json!(["body"]))], "{body}");
    }
    assert_eq!(client.post_text(QUERY, vec![b' '; 10 * 1024 * 1024]).await.status, 413);
}

#[tokio::test]
async fn a_bound_key_finds_its_organizations_events_whatever_it_asks_for() {
    let app = TestApp::in_memory();
    for (organization, event_type) in [(json!("org_1"), "mine"), (json!("org_2"), "theirs"), (json!(null), "nobodys")] {
        let event = json!({"event_type": event_type, "organization_id": organization, "user_id": "u"});
        app.client().await.post(CREATE, &event).await.succeeds();
    }
    let bound = app.client_of("org_1").await;
    assert_eq!(found(&bound, &json!({})).await, ["mine"]);
    assert_eq!(found(&bound, &json!({"organization_id": "org_1"})).await, ["mine"]);
    assert_snapshot!(bound.post(QUERY, &json!({"organization_id": "org_2"})).await);
}

#[tokio::test]
async fn an_event_is_found_at_once() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for version in 1..=3 {
        client.post(CREATE, &json!({"event_type": "a", "correlation_id": "c"})).await.succeeds();
        assert_eq!(found(&client, &json!({"correlation_id": "c"})).await.len(), version);
    }
}

#[tokio::test]
async fn who_may_not_read_finds_nothing() {
    let app = TestApp::in_memory();
    assert_eq!(app.anybody().post(QUERY, &json!({})).await.status, 401);
    assert_eq!(app.client_with(&[Scope::Write, Scope::Admin], None).await.post(QUERY, &json!({})).await.status, 403);
}

#[tokio::test]
async fn other_methods_are_told_the_right_one() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
        let answer = client.send(client.request(method.clone(), QUERY), Body::Empty).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("POST, OPTIONS")), "{method}");
    }
}
