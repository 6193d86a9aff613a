//! The routes of this function, on memory adapters.

use async_trait::async_trait;
use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, Response};
use serde_json::{Value, json};
use shared::adapters::memory::MemoryEvents;
use shared::adapters::system::{SystemClock, SystemRandom};
use shared::commands::append::{AppendPorts, KnownHeads};
use shared::commands::check_schemas::SchemaGate;
use shared::commands::record_events::{RecordEventsPorts, record_events};
use shared::domain::access::{Caller, Scope};
use shared::domain::event_id::EventId;
use shared::domain::identifiers::OrganizationId;
use shared::domain::query::{EventPage, EventQuery, ObservedEvent};
use shared::domain::statistics::{Statistics, StatisticsScope};
use shared::domain::timestamp::Timestamp;
use shared::http::caller::{authorizer_context, with_authorizer_context};
use shared::http::draft::batch_drafts;
use shared::ports::event_reader::{EventReader, StreamRequest, StreamSlice};
use shared::ports::store_error::StoreError;
use shared::queries::read_events::ReadEventsPorts;

use super::handle;

fn caller(organization: Option<&str>) -> Caller {
    let organization = organization.map(|organization| organization.parse().unwrap());
    Caller { name: "key:1".to_owned(), scopes: vec![Scope::Read, Scope::Write], organization }
}

/// A store with these events. Returns their ids.
async fn stored(events: &MemoryEvents, list: &Value) -> Vec<String> {
    let heads = KnownHeads::default();
    let append = AppendPorts { log: events, random: &SystemRandom, heads: &heads };
    let ports = RecordEventsPorts { append, clock: &SystemClock, definitions: events, gate: &SchemaGate::default() };
    let drafts = batch_drafts(&serde_json::value::to_raw_value(list).unwrap()).unwrap();
    let appended = record_events(&ports, &caller(None), drafts, None).await.unwrap();
    appended.events.iter().map(|event| event.id.to_string()).collect()
}

async fn send(events: &dyn EventReader, caller: Option<&Caller>, method: Method, uri: &str, body: &str) -> Response<Body> {
    let definitions = MemoryEvents::default();
    let ports = ReadEventsPorts { events, definitions: &definitions, clock: &SystemClock, bridge: None };
    let request = lambda_http::http::Request::builder().method(method).uri(uri).body(Body::from(body)).unwrap();
    let request = match caller {
        Some(caller) => with_authorizer_context(request, authorizer_context(Ok(caller))),
        None => request,
    };
    handle(&ports, request).await
}

async fn get(events: &dyn EventReader, uri: &str) -> (u16, Value) {
    read(&send(events, Some(&caller(None)), Method::GET, uri, "").await)
}

async fn query(events: &dyn EventReader, caller: &Caller, body: &Value) -> (u16, Value) {
    read(&send(events, Some(caller), Method::POST, "/api/v1/events/query", &body.to_string()).await)
}

fn read(response: &Response<Body>) -> (u16, Value) {
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
}

#[tokio::test]
async fn an_event_is_found_by_its_id_and_nothing_by_what_is_no_id() {
    let events = MemoryEvents::default();
    let ids = stored(&events, &json!([{"event_type": "a", "organization_id": "o1"}])).await;
    let (status, answer) = get(&events, &format!("/api/v1/events/{}", ids[0])).await;
    assert_eq!((status, &answer["event_id"]), (200, &json!(ids[0])));
    for id in ["0190f3a1-7e1b-7c3d-8e4f-5a6b7c8d9e0f", "no-id", "%00", "caf%C3%A9"] {
        let (status, answer) = get(&events, &format!("/api/v1/events/{id}")).await;
        assert_eq!((status, &answer["detail"]), (404, &json!("Event not found")), "{id}");
    }
    let foreign = send(&events, Some(&caller(Some("o2"))), Method::GET, &format!("/api/v1/events/{}", ids[0]), "").await;
    assert_eq!(foreign.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_query_goes_on_with_its_cursor_or_its_offset() {
    let events = MemoryEvents::default();
    let list: Vec<Value> = (1..=5).map(|day| json!({"event_type": "a", "user_id": "u", "timestamp": format!("2026-11-0{day}")})).collect();
    stored(&events, &json!(list)).await;
    let days = |answer: &Value| -> Vec<String> {
        answer["events"].as_array().unwrap().iter().map(|event| event["timestamp"].as_str().unwrap()[9..10].to_owned()).collect()
    };
    let (status, first) = query(&events, &caller(None), &json!({"user_id": "u", "limit": 2})).await;
    assert_eq!(
        (status, days(&first), &first["total"], &first["has_more"]),
        (200, vec!["5".to_owned(), "4".to_owned()], &json!(5), &json!(true))
    );
    let (_, second) = query(&events, &caller(None), &json!({"user_id": "u", "limit": 3, "cursor": first["next_cursor"]})).await;
    assert_eq!(
        (days(&second), &second["has_more"], &second["next_cursor"]),
        (vec!["3".to_owned(), "2".to_owned(), "1".to_owned()], &json!(false), &Value::Null)
    );
    let (_, third) = query(&events, &caller(None), &json!({"offset": "3", "end_time": "2026-11-04"})).await;
    assert_eq!(
        (days(&third), &third["offset"], &third["limit"], &third["total"]),
        (vec!["1".to_owned()], &json!(3), &json!(100), &json!(4))
    );
    let (status, answer) = query(&events, &caller(None), &json!({"limit": 1001})).await;
    assert_eq!((status, &answer["detail"][0]["type"]), (422, &json!("less_than_equal")));
}

#[tokio::test]
async fn a_bound_caller_pages_through_its_own_events_only() {
    let events = MemoryEvents::default();
    let list: Vec<Value> = (0..6).map(|n| json!({"event_type": "a", "organization_id": if n % 2 == 0 { "o1" } else { "o2" }})).collect();
    stored(&events, &json!(list)).await;
    let bound = caller(Some("o1"));
    let (mut seen, mut cursor) = (0, Value::Null);
    loop {
        let (status, page) = query(&events, &bound, &json!({"limit": 2, "cursor": cursor})).await;
        assert_eq!((status, &page["total"]), (200, &json!(3)));
        let list = page["events"].as_array().unwrap();
        assert!(list.iter().all(|event| event["organization_id"] == "o1"));
        seen += list.len();
        cursor = page["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(seen, 3);
    let (status, page) = query(&events, &bound, &json!({"organization_id": "o2"})).await;
    assert_eq!((status, &page["events"], &page["total"]), (200, &json!([]), &json!(0)));
    let uri = "/api/v1/events/stream/organization:o2?organization_id=o2";
    assert_eq!(send(&events, Some(&bound), Method::GET, uri, "").await.status(), StatusCode::FORBIDDEN);
    let own = read(&send(&events, Some(&bound), Method::GET, "/api/v1/events/statistics", "").await);
    assert_eq!((own.0, &own.1["total_events"]), (200, &json!(3)));
}

#[tokio::test]
async fn a_stream_is_read_in_parts_and_is_empty_if_it_does_not_exist() {
    let events = MemoryEvents::default();
    stored(&events, &json!(vec![json!({"event_type": "a", "stream_id": "order:1/2"}); 5])).await;
    let versions = |answer: &Value| -> Vec<u64> {
        answer["events"].as_array().unwrap().iter().map(|event| event["stream_version"].as_u64().unwrap()).collect()
    };
    let (status, all) = get(&events, "/api/v1/events/stream/order:1%2F2").await;
    assert_eq!((status, versions(&all), &all["version"], &all["has_more"]), (200, vec![1, 2, 3, 4, 5], &json!(5), &json!(false)));
    let (_, part) = get(&events, "/api/v1/events/stream/order:1%2F2?from_version=2&limit=2").await;
    assert_eq!((versions(&part), &part["has_more"], &part["next_from_version"]), (vec![2, 3], &json!(true), &json!(4)));
    let (_, part) = get(&events, "/api/v1/events/stream/order:1%2F2?from_version=4&to_version=4").await;
    assert_eq!((versions(&part), &part["has_more"], &part["next_from_version"]), (vec![4], &json!(false), &Value::Null));
    let (status, nothing) = get(&events, "/api/v1/events/stream/order:2").await;
    assert_eq!(
        (status, nothing),
        (
            200,
            json!({
                "stream_id": "order:2", "stream_type": "order", "entity_id": "2", "entity_type": "order", "events": [], "version": 0,
                "created_at": null, "updated_at": null, "has_more": false, "next_from_version": null,
            })
        )
    );
    let (status, answer) = get(&events, "/api/v1/events/stream/order").await;
    assert_eq!((status, &answer["detail"][0]["loc"]), (422, &json!(["path", "stream_id"])));
}

#[tokio::test]
async fn statistics_count_everybody_or_one_user() {
    let events = MemoryEvents::default();
    stored(
        &events,
        &json!([{"event_type": "a", "user_id": "u1"}, {"event_type": "b", "user_id": "u2"}, {"event_type": "a", "user_id": "u1"}]),
    )
    .await;
    let (status, all) = get(&events, "/api/v1/events/statistics").await;
    assert_eq!(
        (status, &all["total_events"], &all["processed_events"], &all["events_by_type"]),
        (200, &json!(3), &json!(3), &json!({"a": 2, "b": 1}))
    );
    assert_eq!(all["top_users"], json!([{"user_id": "u1", "count": 2}, {"user_id": "u2", "count": 1}]));
    let (_, one) = get(&events, "/api/v1/events/statistics?user_id=u2").await;
    assert_eq!((&one["total_events"], &one["events_by_type"]), (&json!(1), &json!({"b": 1})));
}

#[tokio::test]
async fn health_and_documents_are_for_everybody_and_the_rest_is_not() {
    let events = MemoryEvents::default();
    for path in ["/health", "/api/v1/events/health"] {
        let (status, answer) = read(&send(&events, None, Method::GET, path, "").await);
        assert_eq!(
            (status, &answer["status"], &answer["service"], &answer["dependencies"]),
            (200, &json!("healthy"), &json!("event_service"), &json!({"dynamodb": "healthy", "nats": "not_configured"}))
        );
        assert!(answer["timestamp"].as_str().unwrap().ends_with('Z') && answer["version"].is_string());
    }
    let (status, document) = read(&send(&events, None, Method::GET, "/openapi.json", "").await);
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
    let page = send(&events, None, Method::GET, "/docs", "").await;
    assert_eq!((page.status(), &page.headers()["content-type"]), (StatusCode::OK, &"text/html; charset=utf-8".parse().unwrap()));
    for (method, path) in [
        (Method::GET, "/api/v1/events/x"),
        (Method::POST, "/api/v1/events/query"),
        (Method::GET, "/api/v1/events/statistics"),
        (Method::GET, "/api/v1/events/stream/order:1"),
    ] {
        let response = send(&events, None, method.clone(), path, "{}").await;
        assert_eq!(
            read(&response),
            (
                401,
                json!({
                    "detail": "Not authenticated", "type": "/docs#problem-not-authenticated", "title": "Not authenticated", "status": 401,
                })
            )
        );
        let writer = Caller { scopes: vec![Scope::Write], ..caller(None) };
        assert_eq!(send(&events, Some(&writer), method, path, "{}").await.status(), StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn a_head_request_is_a_get_request_without_the_body() {
    let response = send(&MemoryEvents::default(), None, Method::HEAD, "/health", "").await;
    assert_eq!((response.status(), response.body()), (StatusCode::OK, &Body::Empty));
}

#[tokio::test]
async fn other_functions_paths_are_not_answered_here() {
    let events = MemoryEvents::default();
    for (method, path, status) in [
        (Method::POST, "/api/v1/events/create", 404),
        (Method::GET, "/api/v1/events/query", 405),
        (Method::DELETE, "/health", 405),
        (Method::GET, "/", 404),
    ] {
        assert_eq!(send(&events, Some(&caller(None)), method, path, "").await.status(), status, "{path}");
    }
}

/// A store that does not answer.
struct Down;

fn down<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("connection refused by table-1".into()))
}

#[async_trait]
impl EventReader for Down {
    async fn event(&self, _: EventId, _: Option<&OrganizationId>) -> Result<Option<ObservedEvent>, StoreError> {
        down()
    }

    async fn stream(&self, _: &StreamRequest) -> Result<StreamSlice, StoreError> {
        down()
    }

    async fn query(&self, _: &EventQuery, _: Timestamp) -> Result<EventPage, StoreError> {
        down()
    }

    async fn statistics(&self, _: &StatisticsScope, _: Timestamp) -> Result<Statistics, StoreError> {
        down()
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_unavailable_and_shows_nothing_of_why() {
    for (method, path) in [
        (Method::GET, "/api/v1/events/0190f3a1-7e1b-7c3d-8e4f-5a6b7c8d9e0f"),
        (Method::POST, "/api/v1/events/query"),
        (Method::GET, "/api/v1/events/statistics"),
        (Method::GET, "/api/v1/events/stream/order:1"),
    ] {
        let response = send(&Down, Some(&caller(None)), method, path, "{}").await;
        assert_eq!(response.headers()["retry-after"], "1");
        let (status, answer) = read(&response);
        assert_eq!((status, &answer["detail"]), (503, &json!("the event store is not available right now; try again")));
    }
    let (status, answer) = read(&send(&Down, None, Method::GET, "/health", "").await);
    assert_eq!((status, &answer["status"], &answer["dependencies"]["dynamodb"]), (503, &json!("unhealthy"), &json!("unhealthy")));
}
