//! `GET /api/v1/events/{event_id}`.

use event_service_tests::app::TestApp;
use insta::assert_snapshot;
use lambda_http::Body;
use lambda_http::http::Method;
use serde_json::{Value, json};
use shared::domain::access::Scope;

use super::{BATCH, CLIENT_ID, CREATE, PROCESSORS, process_everything};

fn path(id: &str) -> String {
    format!("/api/v1/events/{id}")
}

/// BR-EVT-001.
#[tokio::test]
async fn an_event_is_found_right_after_it_was_created() {
    let app = TestApp::in_memory();
    process_everything(&app).await;
    let client = app.client().await;
    for event in [
        json!({"event_type": "a", "stream_id": "order:1", "organization_id": "org_1"}),
        json!({"event_type": "b"}),
        json!({"event_type": "c", "event_id": CLIENT_ID, "user_id": "u"}),
    ] {
        let created = client.post(CREATE, &event).await;
        let read = client.get(&path(created.ok()["event_id"].as_str().unwrap())).await;
        assert_eq!(read.text, created.text);
    }
}

#[tokio::test]
async fn every_event_of_a_batch_is_found() {
    let app = TestApp::in_memory();
    process_everything(&app).await;
    let client = app.client().await;
    let events = client
        .post(BATCH, &json!([{"event_type": "a"}, {"event_type": "b", "user_id": "u"}, {"event_type": "c", "user_id": "u"}]))
        .await
        .ok();
    for event in events.as_array().unwrap() {
        assert_eq!(client.get(&path(event["event_id"].as_str().unwrap())).await.ok(), *event);
    }
}

/// BR-EVT-007.
#[tokio::test]
async fn an_event_is_pending_only_if_a_processor_is_given_it() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let shown = async |event_type: &str| {
        let created = client.post(CREATE, &json!({"event_type": event_type})).await.ok();
        assert_eq!(created["status"], "pending", "nothing has been done with it");
        client.get(&path(created["event_id"].as_str().unwrap())).await.ok()
    };
    let before = shown("order.placed").await;
    let nothing_done = json!(["processed", [], null, null, 0]);
    let fields =
        |event: &Value| json!([event["status"], event["processors"], event["processed_at"], event["error_message"], event["retry_count"]]);
    assert_eq!(fields(&before), nothing_done, "there is nothing to do");
    let processor = json!({"processor_name": "p", "processor_type": "internal", "filters": {"event_type": "order.placed"}});
    client.post(PROCESSORS, &processor).await.succeeds();
    assert_eq!(fields(&shown("order.placed").await), json!(["pending", [], null, null, 0]));
    assert_eq!(fields(&shown("order.paid").await), nothing_done);
    assert_eq!(client.get(&path(before["event_id"].as_str().unwrap())).await.ok(), before, "it came before the processor");
}

#[tokio::test]
async fn an_event_shows_everything_with_nulls_written() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    client.post(CREATE, &json!({"event_type": "user.created", "event_id": CLIENT_ID, "user_id": "u"})).await.succeeds();
    assert_snapshot!(client.get(&path(CLIENT_ID)).await);
}

#[tokio::test]
async fn an_id_may_be_written_in_any_form_of_a_uuid() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    client.post(CREATE, &json!({"event_type": "a", "event_id": CLIENT_ID.to_uppercase()})).await.succeeds();
    for id in [CLIENT_ID.to_uppercase(), CLIENT_ID.replace('-', "")] {
        assert_eq!(client.get(&path(&id)).await.ok()["event_id"], CLIENT_ID);
    }
}

#[tokio::test]
async fn an_unknown_id_is_not_found() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    assert_snapshot!(client.get(&path(CLIENT_ID)).await);
}

#[tokio::test]
async fn what_is_no_uuid_is_just_not_found() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let unknown = client.get(&path(CLIENT_ID)).await;
    for id in ["42", "create.json", "%00", "%F0%9F%98%80", "%ff", "'%20OR%201=1", &"a".repeat(5000), &format!("{CLIENT_ID}0"), "null"] {
        let answer = client.get(&path(id)).await;
        assert_eq!(answer.status, 404, "{id}");
        if id != "%ff" {
            assert_eq!(answer, unknown, "{id}");
        }
    }
}

#[tokio::test]
async fn another_organizations_event_is_as_unknown_as_any() {
    let app = TestApp::in_memory();
    let (one, other) = (app.client_of("org_1").await, app.client_of("org_2").await);
    let unknown = other.get(&path(CLIENT_ID)).await;
    let made = one.post(CREATE, &json!({"event_type": "a"})).await.ok();
    one.post(CREATE, &json!({"event_type": "a", "event_id": CLIENT_ID})).await.succeeds();
    for id in [made["event_id"].as_str().unwrap(), CLIENT_ID] {
        assert_eq!(other.get(&path(id)).await, unknown);
        one.get(&path(id)).await.succeeds();
    }
}

#[tokio::test]
async fn head_gives_the_headers_of_get() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    client.post(CREATE, &json!({"event_type": "a", "event_id": CLIENT_ID})).await.succeeds();
    let get = client.get(&path(CLIENT_ID)).await;
    let head = client.send(client.request(Method::HEAD, &path(CLIENT_ID)), Body::Empty).await;
    assert_eq!((head.status, &head.headers, head.text.as_str()), (get.status, &get.headers, ""));
}

/// BR-EVT-006.
#[tokio::test]
async fn events_are_not_changed_or_deleted() {
    let app = TestApp::in_memory();
    process_everything(&app).await;
    let client = app.client().await;
    let created = client.post(CREATE, &json!({"event_type": "a", "event_id": CLIENT_ID})).await;
    for method in [Method::PUT, Method::PATCH, Method::DELETE, Method::POST] {
        let answer = client.send(client.request(method.clone(), &path(CLIENT_ID)), Body::from(r#"{"event_type":"b"}"#)).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("GET, HEAD, OPTIONS")), "{method}");
    }
    assert_eq!(client.get(&path(CLIENT_ID)).await.text, created.text);
}

#[tokio::test]
async fn who_may_not_read_finds_nothing() {
    let app = TestApp::in_memory();
    app.client().await.post(CREATE, &json!({"event_type": "a", "event_id": CLIENT_ID})).await.succeeds();
    assert_eq!(app.anybody().get(&path(CLIENT_ID)).await.status, 401);
    assert_snapshot!(app.client_with(&[Scope::Write, Scope::Admin], None).await.get(&path(CLIENT_ID)).await);
}
