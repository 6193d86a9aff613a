//! The routes of this function, on memory adapters.

use lambda_http::http::request::Builder;
use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, Request, Response};
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::adapters::memory::MemoryEvents;
use shared::adapters::system::{SystemClock, SystemRandom};
use shared::commands::append::{AppendPorts, KnownHeads};
use shared::commands::check_schemas::SchemaGate;
use shared::commands::record_events::RecordEventsPorts;
use shared::domain::access::{Caller, Scope};
use shared::http::caller::{authorizer_context, with_authorizer_context};

use super::handle;

const CREATE: &str = "/api/v1/events/create";
const BATCH: &str = "/api/v1/events/batch";

fn writer(organization: Option<&str>) -> Caller {
    let organization = organization.map(|organization| organization.parse().unwrap());
    Caller { name: "key:1".to_owned(), scopes: vec![Scope::Write], organization }
}

fn post(path: &str) -> Builder {
    lambda_http::http::Request::builder().method(Method::POST).uri(path)
}

/// Sends a request as `caller`.
async fn send(events: &MemoryEvents, caller: Option<&Caller>, request: Request) -> Response<Body> {
    let heads = KnownHeads::default();
    let append = AppendPorts { log: events, random: &SystemRandom, heads: &heads };
    let ports = RecordEventsPorts { append, clock: &SystemClock, definitions: events, gate: &SchemaGate::default() };
    let request = match caller {
        Some(caller) => with_authorizer_context(request, authorizer_context(Ok(caller))),
        None => request,
    };
    handle(&ports, request).await
}

async fn post_json(events: &MemoryEvents, path: &str, body: &Value) -> Response<Body> {
    send(events, Some(&writer(None)), post(path).body(Body::Text(body.to_string())).unwrap()).await
}

fn json_of(response: &Response<Body>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

fn id_of(response: &Response<Body>) -> Value {
    json_of(response)["event_id"].clone()
}

#[tokio::test]
async fn an_event_is_answered_as_it_is_stored() {
    let events = MemoryEvents::default();
    let sent = json!({"event_type": "order.placed", "entity_type": "order", "entity_id": "1001", "data": {"total": 99.9}});
    for version in 1..=2 {
        let response = post_json(&events, CREATE, &sent).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(!response.headers().contains_key("idempotency-replayed"));
        let answer = json_of(&response);
        assert_eq!(
            json!([answer["event_type"], answer["stream_id"], answer["stream_version"], answer["status"], answer["data"]]),
            json!(["order.placed", "order:1001", version, "pending", {"total": 99.9}])
        );
    }
    assert_eq!(events.commits().len(), 2);
}

#[tokio::test]
async fn a_batch_is_stored_whole_and_answered_in_its_order() {
    for wrap in [false, true] {
        let events = MemoryEvents::default();
        let list =
            json!([{"event_type": "a", "user_id": "u1"}, {"event_type": "b", "user_id": "u2"}, {"event_type": "c", "user_id": "u1"}]);
        let response = post_json(&events, BATCH, &if wrap { json!({"events": list}) } else { list }).await;
        assert_eq!(response.status(), StatusCode::OK);
        let answer = json_of(&response);
        let seen: Vec<Value> =
            answer.as_array().unwrap().iter().map(|event| json!([event["event_type"], event["stream_version"]])).collect();
        assert_eq!(json!(seen), json!([["a", 1], ["b", 1], ["c", 2]]));
    }
    let response = post_json(&MemoryEvents::default(), BATCH, &json!([])).await;
    assert_eq!((response.status(), json_of(&response)), (StatusCode::OK, json!([])));
}

/// BR-EVT-008.
#[tokio::test]
async fn one_bad_event_spoils_its_batch() {
    let events = MemoryEvents::default();
    let good = json!({"event_type": "a"});
    for (body, loc) in [
        (json!([good, {"event_source": "x", "event_type": "b"}]), json!(["body", 1, "event_source"])),
        (json!({"events": [good, {}]}), json!(["body", "events", 1, "event_type"])),
        (json!(vec![&good; 101]), json!(["body"])),
    ] {
        let response = post_json(&events, BATCH, &body).await;
        assert_eq!((response.status(), &json_of(&response)["detail"][0]["loc"]), (StatusCode::UNPROCESSABLE_ENTITY, &loc));
    }
    assert!(events.commits().is_empty());
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_not_stored() {
    let events = MemoryEvents::default();
    let mut state = 1_u32;
    let letter = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'!' + state.to_be_bytes()[0] % 90)
    };
    let incompressible: String = (0..600_000).map(letter).collect();
    let large = json!({"event_type": "a", "data": {"text": incompressible}});
    let body = json!({"event_type": "a", "data": {"text": "x".repeat(6 * 1024 * 1024)}});
    for (path, body) in [(CREATE, &large), (CREATE, &body), (BATCH, &json!([{"event_type": "b"}, large]))] {
        let response = post_json(&events, path, body).await;
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert!(json_of(&response)["detail"].is_string());
    }
    assert!(events.commits().is_empty());
}

#[tokio::test]
async fn a_request_with_an_idempotency_key_counts_once() {
    let events = MemoryEvents::default();
    let with_key = async |body: &str| {
        send(&events, Some(&writer(None)), post(CREATE).header("Idempotency-Key", "k1").body(Body::from(body)).unwrap()).await
    };
    let first = with_key(r#"{"event_type":"a","user_id":"u"}"#).await;
    let again = with_key(r#"{"user_id":"u","event_type":"a"}"#).await;
    assert_eq!((first.status(), again.status()), (StatusCode::OK, StatusCode::OK));
    assert_eq!(first.body(), again.body());
    assert!(!first.headers().contains_key("idempotency-replayed"));
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    let other = with_key(r#"{"event_type":"b","user_id":"u"}"#).await;
    assert_eq!((other.status(), &json_of(&other)["type"]), (StatusCode::CONFLICT, &json!("/docs#problem-idempotency-key-reused")));
    assert_eq!(events.commits().len(), 1);
}

#[tokio::test]
async fn an_event_id_counts_once() {
    let events = MemoryEvents::default();
    let event = json!({"event_type": "a", "event_id": "0190f3a1-7e1b-7c3d-8e4f-5a6b7c8d9e0f"});
    let (first, again) = (post_json(&events, CREATE, &event).await, post_json(&events, CREATE, &event).await);
    assert_eq!(id_of(&first), event["event_id"]);
    assert_eq!(first.body(), again.body());
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    let mut other = event.clone();
    other["event_type"] = json!("b");
    let other = post_json(&events, CREATE, &other).await;
    assert_eq!((other.status(), &json_of(&other)["type"]), (StatusCode::CONFLICT, &json!("/docs#problem-event-id-reused")));
}

#[tokio::test]
async fn a_version_conflict_says_where_the_stream_is() {
    let events = MemoryEvents::default();
    let event = |expected: Value| json!({"event_type": "a", "stream_id": "order:1", "expected_version": expected});
    assert_eq!(post_json(&events, CREATE, &event(json!("none"))).await.status(), StatusCode::OK);
    for (expected, shown) in [(json!("none"), json!("none")), (json!(0), json!(0)), (json!("5"), json!(5))] {
        let response = post_json(&events, CREATE, &event(expected)).await;
        let answer = json_of(&response);
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(json!([answer["stream_id"], answer["expected_version"], answer["actual_version"]]), json!(["order:1", shown, 1]));
    }
    assert_eq!(events.commits().len(), 1);
}

#[tokio::test]
async fn only_callers_with_the_right_record_and_only_for_their_organization() {
    let events = MemoryEvents::default();
    let request = |organization: &str| post(CREATE).body(Body::Text(format!(r#"{{"event_type":"a"{organization}}}"#))).unwrap();
    let response = send(&events, None, request("")).await;
    assert_eq!((response.status(), &json_of(&response)["detail"]), (StatusCode::UNAUTHORIZED, &json!("Not authenticated")));
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    let reader = Caller { scopes: vec![Scope::Read, Scope::Admin], ..writer(None) };
    assert_eq!(send(&events, Some(&reader), request("")).await.status(), StatusCode::FORBIDDEN);
    let bound = writer(Some("o1"));
    assert_eq!(send(&events, Some(&bound), request(r#","organization_id":"o2""#)).await.status(), StatusCode::FORBIDDEN);
    assert!(events.commits().is_empty());
    for organization in ["", r#","organization_id":"o1""#] {
        let response = send(&events, Some(&bound), request(organization)).await;
        assert_eq!(json_of(&response)["organization_id"], "o1");
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_not_answered_here() {
    let events = MemoryEvents::default();
    for (method, path, status) in [
        (Method::GET, CREATE, StatusCode::METHOD_NOT_ALLOWED),
        (Method::PUT, BATCH, StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/api/v1/events/query", StatusCode::NOT_FOUND),
        (Method::POST, "/nowhere", StatusCode::NOT_FOUND),
        (Method::OPTIONS, CREATE, StatusCode::NO_CONTENT),
    ] {
        let request = lambda_http::http::Request::builder().method(method).uri(path).body(Body::Empty).unwrap();
        assert_eq!(send(&events, Some(&writer(None)), request).await.status(), status, "{path}");
    }
}

/// Any JSON, and texts that look like something.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop::sample::select(vec!["", "none", "exists", "1", "-1", "1e999", "order:1", "event:0190f3a1-7e1b-8c3d-8e4f-5a6b7c8d9e0f", "\0"])
            .prop_map(Value::from),
        prop::sample::select(vec!["0001-01-01", "9999-12-31T23:59:59.999999Z", "-0001-01-01", "frontend", "order"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,8}", inner, 0..6).prop_map(|members| members.into_iter().collect::<Value>()),
        ]
    })
}

/// Objects with the fields of events, where some hold what they must not.
fn almost_an_event() -> impl Strategy<Value = Value> {
    let names = vec![
        "event_type",
        "event_source",
        "event_category",
        "user_id",
        "session_id",
        "organization_id",
        "device_id",
        "correlation_id",
        "data",
        "metadata",
        "context",
        "properties",
        "timestamp",
        "version",
        "event_id",
        "entity_type",
        "entity_id",
        "stream_id",
        "expected_version",
    ];
    let fields = prop::collection::btree_map(prop::sample::select(names), any_json(), 0..6);
    (any::<bool>(), fields).prop_map(|(typed, fields)| {
        let mut event: Value = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if typed {
            event["event_type"] = json!("a.b");
        }
        event
    })
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        "[\\[\\]{}\",:0-9a-z\\\\]{0,64}".prop_map(String::into_bytes),
        any_json().prop_map(|json| json.to_string().into_bytes()),
        almost_an_event().prop_map(|json| json.to_string().into_bytes()),
        prop::collection::vec(almost_an_event(), 0..4).prop_map(|list| Value::from(list).to_string().into_bytes()),
        prop::collection::vec(almost_an_event(), 0..4).prop_map(|list| json!({"events": list}).to_string().into_bytes()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_is_sent_gets_an_answer_that_is_no_failure_of_ours(
        body in any_body(), key in prop::option::of(prop::collection::vec(1_u8.., 0..12)), batch in any::<bool>(), bound in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let events = MemoryEvents::default();
        let caller = writer(bound.then_some("o1"));
        let mut request = post(if batch { BATCH } else { CREATE });
        if let Some(key) = &key {
            request = request.header("Idempotency-Key", key.as_slice());
        }
        let Ok(request) = request.body(Body::from(body)) else { return Ok(()) };
        let response = runtime.block_on(send(&events, Some(&caller), request));
        prop_assert!(response.status().as_u16() < 500, "{:?}", response);
        let answer: Value = serde_json::from_slice(response.body()).unwrap();
        if response.status() == StatusCode::OK {
            let count = answer.as_array().map_or(1, Vec::len);
            let distinct = events.commits().iter().map(|commit| commit.events.len()).sum::<usize>();
            prop_assert!(distinct <= count);
            prop_assert!(!bound || events.commits().iter().all(|commit| commit.stream.organization == caller.organization));
        } else {
            prop_assert!(events.commits().is_empty());
            prop_assert!(!answer["detail"].is_null());
        }
    }
}
