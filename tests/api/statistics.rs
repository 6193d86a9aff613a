//! `GET /api/v1/events/statistics`.

use event_service_tests::app::{Client, TestApp};
use insta::assert_snapshot;
use lambda_http::Body;
use lambda_http::http::Method;
use serde_json::{Value, json};
use shared::domain::access::Scope;

use super::{BATCH, CREATE, STATISTICS, problems};

/// Some events of this month, on both sides of its days and weeks: noon is that of Monday the 23rd.
async fn record(client: &Client<'_>) {
    let view = |more: Value| {
        let mut event = json!({"event_type": "page.viewed", "event_source": "frontend", "event_category": "page_view"});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let events = json!([
        {"event_type": "order.placed", "event_category": "order", "user_id": "anna", "timestamp": "2026-11-23T11:00:00Z"},
        {"event_type": "order.placed", "event_category": "order", "user_id": "bert", "timestamp": "2026-11-23T00:00:00Z"},
        view(json!({"user_id": "anna", "timestamp": "2026-11-22T23:59:59Z"})),
        view(json!({"timestamp": "2026-11-01"})),
        view(json!({"user_id": "anna", "timestamp": "2026-10-31T23:59:59Z"})),
    ]);
    client.post(BATCH, &events).await.succeeds();
}

#[tokio::test]
async fn events_are_counted_by_status_source_category_type_time_and_user() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    record(&client).await;
    assert_snapshot!(client.get(STATISTICS).await);
}

#[tokio::test]
async fn without_events_everything_is_zero() {
    let app = TestApp::in_memory();
    assert_snapshot!(app.client().await.get(STATISTICS).await);
}

#[tokio::test]
async fn the_statistics_of_a_user_count_that_user_only() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    record(&client).await;
    assert_snapshot!(client.get(&format!("{STATISTICS}?user_id=anna")).await);
    assert_eq!(client.get(&format!("{STATISTICS}?user_id=nobody")).await.ok()["total_events"], 0);
    assert_eq!(client.get(&format!("{STATISTICS}?user_id=")).await.ok()["total_events"], 5);
}

#[tokio::test]
async fn a_user_may_have_any_name() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (user, encoded) in [("a b&c=d", "a+b%26c%3Dd"), ("é", "%C3%A9"), ("u+1", "u%2B1"), ("#", "%23")] {
        client.post(CREATE, &json!({"event_type": "a", "user_id": user})).await.succeeds();
        let statistics = client.get(&format!("{STATISTICS}?user_id={encoded}")).await.ok();
        assert_eq!(json!([statistics["total_events"], statistics["top_users"][0]["user_id"]]), json!([1, user]));
    }
}

#[tokio::test]
async fn days_weeks_and_months_pass() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    record(&client).await;
    let day = 24 * 3600;
    // Tuesday, the Monday after, and the first of December, which is the Tuesday after that.
    for (days, expected) in [(0, json!([2, 2, 4])), (1, json!([0, 2, 4])), (6, json!([0, 0, 4])), (1, json!([0, 0, 0]))] {
        app.pass(days * day);
        let statistics = client.get(STATISTICS).await.ok();
        let counts = json!([statistics["events_today"], statistics["events_this_week"], statistics["events_this_month"]]);
        assert_eq!(counts, expected, "{}", app.now());
    }
}

#[tokio::test]
async fn the_top_ten_come_with_the_most_first() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let events: Vec<Value> = (1..=13)
        .flat_map(|n| (0..n).map(move |_| json!({"event_type": format!("type.{n:02}"), "user_id": format!("user {n:02}")})))
        .collect();
    client.post(BATCH, &json!(events)).await.succeeds();
    let statistics = client.get(STATISTICS).await.ok();
    let users: Vec<Value> = (4..=13).rev().map(|n| json!({"user_id": format!("user {n:02}"), "count": n})).collect();
    let types: Vec<Value> = (4..=13).rev().map(|n| json!({"event_type": format!("type.{n:02}"), "count": n})).collect();
    assert_eq!((&statistics["top_users"], &statistics["top_event_types"]), (&json!(users), &json!(types)));
}

#[tokio::test]
async fn a_bound_key_counts_its_organization_only() {
    let app = TestApp::in_memory();
    for organization in [json!("org_1"), json!("org_2"), json!("org_2"), json!(null)] {
        let event = json!({"event_type": "a", "user_id": "u", "organization_id": organization});
        app.client().await.post(CREATE, &event).await.succeeds();
    }
    let bound = app.client_of("org_1").await;
    for query in ["", "?user_id=u", "?organization_id=org_1"] {
        assert_eq!(bound.get(&format!("{STATISTICS}{query}")).await.ok()["total_events"], 1, "{query}");
    }
    assert_eq!(app.client().await.get(&format!("{STATISTICS}?organization_id=org_2")).await.ok()["total_events"], 2);
    assert_snapshot!(bound.get(&format!("{STATISTICS}?organization_id=org_2")).await);
}

#[tokio::test]
async fn a_user_that_cannot_be_one_is_refused() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for (user, kind) in [("%00", "value_error"), (&*"u".repeat(600), "string_too_long")] {
        let answer = client.get(&format!("{STATISTICS}?user_id={user}")).await;
        assert_eq!(problems(&answer), [(kind.to_owned(), json!(["query", "user_id"]))]);
    }
}

#[tokio::test]
async fn who_may_not_read_counts_nothing() {
    let app = TestApp::in_memory();
    assert_eq!(app.anybody().get(STATISTICS).await.status, 401);
    assert_eq!(app.client_with(&[Scope::Write, Scope::Admin], None).await.get(STATISTICS).await.status, 403);
}

#[tokio::test]
async fn statistics_are_read_only() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = client.send(client.request(method.clone(), STATISTICS), Body::Empty).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("GET, HEAD, OPTIONS")), "{method}");
    }
    let (get, head) = (client.get(STATISTICS).await, client.send(client.request(Method::HEAD, STATISTICS), Body::Empty).await);
    assert_eq!((head.status, &head.headers, head.text.as_str()), (get.status, &get.headers, ""));
}
