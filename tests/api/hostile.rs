//! Requests that mean no good: whatever is sent, the answer is no 5xx, nothing panics, and no answer
//! tells what goes on inside.

use std::sync::Arc;

use async_trait::async_trait;
use event_service_tests::Store;
use event_service_tests::app::{Answer, Client, TestApp};
use insta::assert_snapshot;
use lambda_http::http::{HeaderName, HeaderValue, Method, Request as HttpRequest};
use lambda_http::{Body, RequestExt as _};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use shared::domain::access::{ApiKey, KeyDigest, Scope};
use shared::domain::claim::{Claim, ClaimKey, Fence, Slot};
use shared::domain::commit::Commit;
use shared::domain::dead_letter::{DeadLetter, DeadLetterFilter, DeadLetterId};
use shared::domain::definitions::Definitions;
use shared::domain::event_id::EventId;
use shared::domain::identifiers::{OrganizationId, SubscriptionId};
use shared::domain::processor::Processor;
use shared::domain::query::{EventPage, EventQuery, ObservedEvent};
use shared::domain::statistics::{Statistics, StatisticsScope};
use shared::domain::stream_id::StreamKey;
use shared::domain::subscription::Subscription;
use shared::domain::timestamp::Timestamp;
use shared::domain::version::Version;
use shared::http::request::MAX_DEFINITION_BYTES;
use shared::http::routes::ROUTES;
use shared::ports::commit_log::{CommitLog, Put, PutNoting, TogetherWith};
use shared::ports::dead_letters::DeadLetters;
use shared::ports::definition_store::{DefinitionStore, Freshness};
use shared::ports::event_reader::{EventReader, StreamRequest, StreamSlice};
use shared::ports::key_store::KeyStore;
use shared::ports::revision::Revision;
use shared::ports::store_error::StoreError;

use super::{BATCH, CLIENT_ID, CREATE, KEYS, PROCESSORS, QUERY, STATISTICS, SUBSCRIPTIONS, process_everything, total};

const POSTED: [&str; 4] = [CREATE, BATCH, QUERY, KEYS];

/// Routes that take less.
const DEFINED: [&str; 5] = [
    SUBSCRIPTIONS,
    PROCESSORS,
    "/api/v1/events/subscriptions/s/recover",
    "/api/v1/events/processors/p/test",
    "/api/v1/events/dead-letters/redrive",
];

/// Words that only the inside knows.
const INSIDE: [&str; 10] =
    ["panicked", "src/", ".rs:", "dynamodb", "DynamoDB", "sqlite", "RUST_BACKTRACE", "StoreError", "serde_json::", "unwrap"];

/// Checks that an answer is a client's own fault, or no fault, and is told in the one form.
fn is_civil(answer: &Answer, what: &str) {
    let status = answer.status.as_u16();
    assert!((200..500).contains(&status), "{what}\n{answer}");
    if status >= 400 {
        if answer.text.is_empty() {
            return;
        }
        let problem = answer.json();
        assert!(!problem["detail"].is_null() && problem["status"] == status, "{what}\n{answer}");
        for word in INSIDE {
            assert!(!answer.text.contains(word), "{word}: {what}\n{answer}");
        }
    }
}

/// A store of memory on which one event exists, and a client that may do everything.
async fn app() -> TestApp {
    let app = TestApp::in_memory();
    app.client().await.post(CREATE, &json!({"event_type": "a", "event_id": CLIENT_ID, "user_id": "u"})).await.succeeds();
    app
}

fn nested(open: &str, close: &str, depth: usize) -> String {
    open.repeat(depth) + "1" + &close.repeat(depth)
}

/// Bodies that are no JSON to keep, and what each is.
fn bad_bodies() -> Vec<(&'static str, Vec<u8>)> {
    let event = |data: &str| format!(r#"{{"event_type":"a","data":{data}}}"#).into_bytes();
    let digits = "9".repeat(400);
    vec![
        ("deep arrays", nested("[", "]", 100_000).into_bytes()),
        ("deep objects", nested(r#"{"a":"#, "}", 100_000).into_bytes()),
        ("deep arrays that never end", "[".repeat(100_000).into_bytes()),
        ("deep arrays in data", event(&format!(r#"{{"a":{}}}"#, nested("[", "]", 100_000)))),
        ("deep objects in data", event(&nested(r#"{"a":"#, "}", 100_000))),
        ("a number beyond doubles", event(r#"{"n":1e999}"#)),
        ("a negative number beyond doubles", event(r#"{"n":-1e999}"#)),
        ("a number of 400 digits", event(&format!(r#"{{"n":{digits}}}"#))),
        ("not a number", event(r#"{"n":NaN}"#)),
        ("infinity", event(r#"{"n":Infinity}"#)),
        ("a lone high surrogate", event(r#"{"s":"\ud800"}"#)),
        ("a lone low surrogate", event(r#"{"s":"\udc00"}"#)),
        ("surrogates in the wrong order", event(r#"{"s":"\udc00\ud800"}"#)),
        ("a lone surrogate as a key", event(r#"{"\ud800":1}"#)),
        ("a bare NUL", event("{\"s\":\"\0\"}")),
        ("a bare line break", event("{\"s\":\"\n\"}")),
        ("the same key twice", br#"{"event_type":"a","event_type":"b"}"#.to_vec()),
        ("the same key twice in data", event(r#"{"a":1,"a":2}"#)),
        ("the same key twice, once escaped", event(r#"{"a":1,"\u0061":2}"#)),
        ("no UTF-8", event("{\"s\":\"\u{1f600}\"}").into_iter().filter(|byte| *byte != 0x9f).collect()),
        ("a byte order mark", b"\xef\xbb\xbf{\"event_type\":\"a\"}".to_vec()),
        ("UTF-16", "{\"event_type\":\"a\"}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("two values", br#"{"event_type":"a"}{"event_type":"b"}"#.to_vec()),
        ("a comment", br#"{"event_type":"a"/* */}"#.to_vec()),
        ("a string that never ends", br#"{"event_type":"a"#.to_vec()),
        ("nothing", Vec::new()),
        ("white space", b" \n\t ".to_vec()),
        ("a form", b"event_type=a&user_id=u".to_vec()),
        ("a multipart form", b"--x\r\nContent-Disposition: form-data; name=\"event_type\"\r\n\r\na\r\n--x--".to_vec()),
        ("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\x56\x4a\x2d\x4b\xcd".to_vec()),
        ("XML", b"<event><type>a</type></event>".to_vec()),
    ]
}

#[tokio::test]
async fn a_body_that_is_no_json_to_keep_is_invalid_on_every_route_and_stores_nothing() {
    let app = app().await;
    let client = app.client().await;
    for (what, body) in bad_bodies() {
        for path in POSTED.into_iter().chain(DEFINED) {
            let answer = client.post_text(path, body.clone()).await;
            is_civil(&answer, &format!("{what} to {path}"));
            let is_large = DEFINED.contains(&path) && body.len() > MAX_DEFINITION_BYTES;
            assert_eq!(answer.status, if is_large { 413 } else { 422 }, "{what} to {path}\n{answer}");
            assert!(answer.text.len() < 2_000, "{what}: the answer is short");
        }
    }
    assert_eq!(total(&client).await, 1);
}

#[tokio::test]
async fn what_is_unusual_but_json_is_kept() {
    let app = app().await;
    process_everything(&app).await;
    let client = app.client().await;
    for data in [
        r#"{"s":"\u0000"}"#,
        r#"{"s":"\ud83d\ude00"}"#,
        r#"{"n":1e308,"m":-0.0,"i":123456789012345678901234567890}"#,
        r#"{"":{"":{"":null}}}"#,
        r#"{"__proto__":{"x":1},"constructor":1,"$gt":""}"#,
        r#"{"s":"'; DROP TABLE events; --"}"#,
    ] {
        let answer = client.post_text(CREATE, format!(r#"{{"event_type":"a","data":{data}}}"#)).await;
        answer.succeeds();
        assert!(answer.text.contains(data), "{data}\n{answer}");
        assert_eq!(client.get(&format!("/api/v1/events/{}", answer.json()["event_id"].as_str().unwrap())).await, answer);
    }
    let deep = nested(r#"{"a":"#, "}", 100);
    let answer = client.post_text(CREATE, format!(r#"{{"event_type":"a","data":{deep}}}"#)).await;
    answer.succeeds();
    assert!(answer.text.contains(&deep));
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_too_large_on_every_route() {
    let app = app().await;
    let client = app.client().await;
    for path in POSTED.into_iter().chain(DEFINED) {
        for body in [vec![b'['; 10_000_000], vec![0xff; 10_000_000]] {
            let answer = client.post_text(path, body).await;
            assert_eq!(answer.status, 413, "{path}");
            is_civil(&answer, path);
        }
    }
    // Before that, one must be let in.
    assert_eq!(app.anybody().post_text(CREATE, vec![b'['; 10_000_000]).await.status, 401);
}

#[tokio::test]
async fn the_content_type_is_not_looked_at() {
    let app = app().await;
    let client = app.client().await;
    for content_type in
        ["text/plain", "application/xml", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "nonsense", ""]
    {
        let request = client.request(Method::POST, CREATE).header("content-type", content_type);
        let answer = client.send(request, Body::from(r#"{"event_type":"a"}"#)).await;
        answer.succeeds();
        let request = client.request(Method::POST, CREATE).header("content-type", content_type);
        assert_eq!(client.send(request, Body::from("event_type=a")).await.status, 422, "{content_type}");
    }
}

#[tokio::test]
async fn fields_that_are_far_too_long_are_refused_and_not_shown_whole() {
    let app = app().await;
    let client = app.client().await;
    for field in
        ["event_type", "user_id", "session_id", "organization_id", "device_id", "correlation_id", "version", "stream_id", "event_id"]
    {
        let mut event = json!({"event_type": "a"});
        event[field] = json!(format!("a:{}", "x".repeat(100_000)));
        let answer = client.post(CREATE, &event).await;
        assert_eq!(answer.status, 422, "{field}\n{answer}");
        assert!(answer.text.len() < 2_000, "{field}");
    }
}

#[tokio::test]
async fn weird_paths_are_not_found_and_nothing_worse() {
    let app = app().await;
    let client = app.client().await;
    let long = format!("/api/v1/events/stream/order:{}", "a".repeat(60_000));
    for (path, status) in [
        ("/", 404),
        ("//", 404),
        ("/api/v1//events/create", 404),
        ("//api/v1/events/create", 404),
        ("/api/v1/events/create/", 404),
        ("/api/v1/events/../events/create", 404),
        ("/api/v1/events/..%2f..%2fhealth", 404),
        ("/api/v1/events/%2e%2e", 404),
        ("/%61pi/v1/events/create", 404),
        ("/API/V1/EVENTS/CREATE", 404),
        ("/api/v1/events/%", 404),
        ("/api/v1/events/%zz", 404),
        ("/api/v1/events/%ff%fe", 404),
        ("/api/v1/events/%00", 404),
        ("/api/v1/events/stream/%00:%00", 422),
        ("/api/v1/events/stream/..%2f..:x", 200),
        ("/api/v1/events/stream/", 404),
        ("/api/v1/events/stream//", 422),
        ("/api/v1/events/stream/:::::", 422),
        (long.as_str(), 422),
        ("/etc/passwd", 404),
        ("/.git/config", 404),
        ("/health/../docs", 404),
        ("/docs/", 404),
        ("/openapi.json%00.html", 404),
    ] {
        let answer = client.get(path).await;
        let shown: String = path.chars().take(80).collect();
        is_civil(&answer, &shown);
        assert_eq!(answer.status.as_u16(), status, "{shown}\n{answer}");
        assert!(answer.text.len() < 2_000, "{shown}");
    }
}

#[tokio::test]
async fn weird_query_strings_are_refused_or_ignored() {
    let app = app().await;
    let client = app.client().await;
    let stream = "/api/v1/events/stream/user:u";
    let long = format!("user_id={}", "a".repeat(60_000));
    for (path, query, status) in [
        (stream, "&&&&==&=&", 200),
        (stream, "from_version", 200),
        (stream, "from_version=1&from_version=2", 200),
        (stream, "from_version=%", 422),
        (stream, "from_version=1e999", 422),
        (stream, "from_version=-9223372036854775809", 422),
        (stream, "to_version=99999999999999999999999999999999999999999999", 422),
        (stream, "limit=NaN", 422),
        (stream, "limit=0x10", 422),
        (stream, "limit=1;drop", 422),
        (stream, "%00=%00", 200),
        (stream, "organization_id=%ff%fe", 200),
        (STATISTICS, "user_id=%00", 422),
        (STATISTICS, "user_id[]=a&user_id[$ne]=b", 200),
        (STATISTICS, long.as_str(), 422),
        (STATISTICS, "?????", 200),
    ] {
        let answer = client.get(&format!("{path}?{query}")).await;
        let shown: String = query.chars().take(80).collect();
        is_civil(&answer, &shown);
        assert_eq!(answer.status.as_u16(), status, "{shown}\n{answer}");
    }
}

#[tokio::test]
async fn weird_credentials_are_as_good_as_none() {
    let app = app().await;
    let long = "a".repeat(100_000);
    let bytes: &[&[u8]] =
        &[b"\xff\xfe", b"evk_\x80", b"Bearer \xe2\x82", b"a b c", b"\t", b"Bearer  ", b"bearer", long.as_bytes(), b"Bearer a.b", b"null"];
    for name in ["x-api-key", "authorization"] {
        for value in bytes {
            for twice in [false, true] {
                let mut request = HttpRequest::builder().uri(STATISTICS);
                for _ in 0..=usize::from(twice) {
                    request = request.header(name, HeaderValue::from_bytes(value).unwrap());
                }
                let answer = app.answer(request.body(Body::Empty).unwrap()).await;
                assert_eq!(answer.status, 401, "{name}: {value:?}");
                is_civil(&answer, name);
            }
        }
    }
}

/// A caller in the request's own headers or body is nobody.
#[tokio::test]
async fn what_the_authorizer_writes_cannot_be_sent() {
    let app = app().await;
    let caller = r#"{"name":"me","scopes":["events:write","events:read","admin"],"organization":null}"#;
    for name in ["caller", "x-caller", "x-amzn-request-context", "x-apigateway-event", "x-amz-authorizer-caller"] {
        let request = HttpRequest::builder().uri(STATISTICS).header(name, caller);
        assert_eq!(app.answer(request.body(Body::Empty).unwrap()).await.status, 401, "{name}");
    }
}

/// JSON with the names of fields, and what may stand in them.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "",
            " ",
            "none",
            "exists",
            "1",
            "-1",
            "1e999",
            "order:1",
            "\0",
            "backend",
            "order",
            "admin",
            "9999-12-31"
        ])
        .prop_map(Value::from),
        prop::sample::select(vec!["event:01a20846-fe00-801d-a3e9-d27fcf000001", "01a20846-fe00-801d-a3e9-d27fcf000001"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(prop_oneof![field(), ".{0,6}"], inner, 0..6)
                .prop_map(|members| members.into_iter().collect::<Value>()),
        ]
    })
}

/// The name of a field of any request.
fn field() -> impl Strategy<Value = String> {
    let names = "event_type event_source event_category user_id session_id organization_id device_id correlation_id data metadata context \
                 properties timestamp version event_id entity_type entity_id stream_id expected_version events status start_time end_time \
                 limit offset cursor name scopes expires_at";
    prop::sample::select(names.split(' ').map(str::to_owned).collect::<Vec<_>>())
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let object = prop::collection::btree_map(field(), any_json(), 0..6);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        "[\\[\\]{}\",:0-9a-z\\\\]{0,64}".prop_map(String::into_bytes),
        any_json().prop_map(|json| json.to_string().into_bytes()),
        object.prop_map(|members| members.into_iter().collect::<Value>().to_string().into_bytes()),
    ]
}

fn any_path() -> impl Strategy<Value = String> {
    let known: Vec<String> = ROUTES.iter().map(|route| route.path.split('{').next().unwrap().to_owned()).collect();
    let end = prop_oneof![Just(String::new()), "[ -~]{0,20}", Just(CLIENT_ID.to_owned()), ".{0,8}:.{0,8}"];
    prop_oneof![
        4 => (prop::sample::select(known.clone()), end)
            .prop_map(|(start, end)| start + &end),
        2 => prop::sample::select(known),
        1 => ".{0,40}",
        1 => "(/|%2f|%00|\\.\\.|[a-z]){0,20}",
    ]
}

type AnyRequest = (Method, String, String, Vec<(String, Vec<u8>)>, Vec<u8>);

fn any_request() -> impl Strategy<Value = AnyRequest> {
    let method = prop::sample::select(vec![
        Method::GET,
        Method::POST,
        Method::POST,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::PUT,
        Method::PATCH,
        Method::TRACE,
        Method::CONNECT,
    ]);
    let header = (
        prop::sample::select(vec![
            "idempotency-key",
            "x-request-id",
            "content-type",
            "content-length",
            "accept",
            "x-forwarded-for",
            "cookie",
        ]),
        prop::collection::vec(any::<u8>(), 0..24),
    );
    let headers = prop::collection::vec(header.prop_map(|(name, value)| (name.to_owned(), value)), 0..3);
    let query = prop_oneof![Just(String::new()), "[!-~]{0,40}", "(from_version|to_version|limit|user_id|organization_id)=[!-~]{0,12}"];
    (method, any_path(), query, headers, any_body())
}

/// Sends what a client could: API Gateway hands the path over as it came, whatever it is.
async fn send(app: &TestApp, client: &Client<'_>, (method, path, query, headers, body): AnyRequest) -> Option<Answer> {
    let uri = format!("/x?{}", query.replace(['#', '"', '<', '>', '`', '\\', '^', '{', '|', '}'], ""));
    let mut request = client.request(method, &uri);
    for (name, value) in headers {
        request = request.header(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(&value).ok()?);
    }
    let request = request.body(Body::from(body)).ok()?;
    Some(app.answer(request.with_raw_http_path(&path)).await)
}

#[test]
fn no_request_is_answered_with_a_failure_of_ours() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let app = runtime.block_on(app());
    let clients = runtime.block_on(async { [app.client().await, app.client_of("org_1").await, app.anybody()] });
    let config = ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() };
    let sent = std::cell::Cell::new(0_u32);
    TestRunner::new(config)
        .run(&(any_request(), 0..3_usize), |(request, who)| {
            let what = format!("{request:?}");
            if let Some(answer) = runtime.block_on(send(&app, &clients[who], request)) {
                is_civil(&answer, &what);
                sent.set(sent.get() + 1);
            }
            Ok(())
        })
        .unwrap();
    assert!(sent.get() > 1000, "most of what was made up is a request: {}", sent.get());
}

#[test]
fn no_request_is_answered_with_a_failure_of_ours_on_dynamodb() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let store = runtime.block_on(Store::open());
    let app = TestApp::on(&store);
    let client = runtime.block_on(app.client());
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&any_request(), |request| {
            let what = format!("{request:?}");
            if let Some(answer) = runtime.block_on(send(&app, &client, request)) {
                is_civil(&answer, &what);
            }
            Ok(())
        })
        .unwrap();
    runtime.block_on(store.count());
}

/// A store that fails at everything, and says more about it than anybody should know.
pub(super) struct Broken(fn() -> StoreError);

/// A store that does not answer.
pub(super) fn broken() -> Broken {
    Broken(unavailable)
}

const SECRET: &str = "arn:aws:dynamodb:eu-central-1:123456789012:table/events is on fire";

fn unavailable() -> StoreError {
    StoreError::Unavailable(SECRET.into())
}

fn corrupt() -> StoreError {
    StoreError::Corrupt(SECRET.to_owned())
}

#[async_trait]
impl CommitLog for Broken {
    async fn head(&self, _: &StreamKey) -> Result<Version, StoreError> {
        Err(self.0())
    }

    async fn commit_at(&self, _: &Slot) -> Result<Option<Commit>, StoreError> {
        Err(self.0())
    }

    async fn commit_holding(&self, _: &StreamKey, _: Version) -> Result<Option<Commit>, StoreError> {
        Err(self.0())
    }

    async fn is_placed(&self, _: EventId, _: Option<&OrganizationId>) -> Result<bool, StoreError> {
        Err(self.0())
    }

    async fn put(&self, _: &[Commit]) -> Result<Put, StoreError> {
        Err(self.0())
    }

    async fn put_noting(&self, _: &[Commit], _: &TogetherWith) -> Result<PutNoting, StoreError> {
        Err(self.0())
    }

    async fn claim(&self, _: &ClaimKey) -> Result<Option<Claim>, StoreError> {
        Err(self.0())
    }

    async fn put_claim(&self, _: &ClaimKey, _: &Claim) -> Result<Option<Claim>, StoreError> {
        Err(self.0())
    }

    async fn move_claim(&self, _: &ClaimKey, _: Fence, _: &Claim) -> Result<bool, StoreError> {
        Err(self.0())
    }
}

#[async_trait]
impl EventReader for Broken {
    async fn event(&self, _: EventId, _: Option<&OrganizationId>) -> Result<Option<ObservedEvent>, StoreError> {
        Err(self.0())
    }

    async fn stream(&self, _: &StreamRequest) -> Result<StreamSlice, StoreError> {
        Err(self.0())
    }

    async fn query(&self, _: &EventQuery, _: Timestamp) -> Result<EventPage, StoreError> {
        Err(self.0())
    }

    async fn statistics(&self, _: &StatisticsScope, _: Timestamp) -> Result<Statistics, StoreError> {
        Err(self.0())
    }
}

#[async_trait]
impl KeyStore for Broken {
    async fn key(&self, _: &KeyDigest) -> Result<Option<ApiKey>, StoreError> {
        Err(self.0())
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        Err(self.0())
    }

    async fn put_key(&self, _: &ApiKey) -> Result<(), StoreError> {
        Err(self.0())
    }

    async fn remove_key(&self, _: &str) -> Result<bool, StoreError> {
        Err(self.0())
    }
}

#[async_trait]
impl DefinitionStore for Broken {
    async fn definitions(&self, _: Freshness) -> Result<Arc<Definitions>, StoreError> {
        Err(self.0())
    }

    async fn save_processor(&self, _: &Processor, _: Revision) -> Result<bool, StoreError> {
        Err(self.0())
    }

    async fn save_subscription(&self, _: &Subscription, _: Revision) -> Result<bool, StoreError> {
        Err(self.0())
    }

    async fn remove_subscription(&self, _: &SubscriptionId, _: Revision) -> Result<bool, StoreError> {
        Err(self.0())
    }
}

#[async_trait]
impl DeadLetters for Broken {
    async fn park(&self, _: &DeadLetter) -> Result<(), StoreError> {
        Err(self.0())
    }

    async fn letters(
        &self,
        _: &DeadLetterFilter,
        _: Option<&DeadLetterId>,
        _: usize,
    ) -> Result<(Vec<DeadLetter>, Option<DeadLetterId>), StoreError> {
        Err(self.0())
    }

    async fn remove_letter(&self, _: &DeadLetterId) -> Result<(), StoreError> {
        Err(self.0())
    }
}

/// Each route that needs the store.
async fn everything(client: &Client<'_>) -> Vec<Answer> {
    let mut answers = vec![
        client.post(CREATE, &json!({"event_type": "a"})).await,
        client.post(BATCH, &json!([{"event_type": "a", "event_id": CLIENT_ID}])).await,
        client.post(QUERY, &json!({})).await,
        client.post(KEYS, &json!({"name": "k", "scopes": ["admin"]})).await,
        client.delete(&format!("{KEYS}/0")).await,
        client.post(SUBSCRIPTIONS, &json!({"event_types": ["a"]})).await,
        client.patch(&format!("{SUBSCRIPTIONS}/s"), &json!({})).await,
        client.delete(&format!("{SUBSCRIPTIONS}/s")).await,
        client.post(&format!("{SUBSCRIPTIONS}/s/test"), &json!({})).await,
        client.post(&format!("{SUBSCRIPTIONS}/s/rotate-secret"), &json!({})).await,
        client.post(&format!("{SUBSCRIPTIONS}/s/recover"), &json!({"since": 0})).await,
        client.post(&format!("{SUBSCRIPTIONS}/s/deliveries/msg_{}/resend", "0".repeat(40)), &json!({})).await,
        client.post(PROCESSORS, &json!({"processor_name": "p", "processor_type": "internal"})).await,
        client.put(&format!("{PROCESSORS}/p/toggle")).await,
        client.post(&format!("{PROCESSORS}/p/test"), &json!({"event_id": CLIENT_ID})).await,
        client.delete(&format!("{PROCESSORS}/p")).await,
        client.post("/api/v1/events/dead-letters/redrive", &json!({"all": true})).await,
        client.delete("/api/v1/events/dead-letters/x").await,
    ];
    for path in [
        STATISTICS,
        KEYS,
        SUBSCRIPTIONS,
        PROCESSORS,
        "/api/v1/events/dead-letters",
        "/api/v1/events/subscriptions/s",
        "/api/v1/events/subscriptions/s/deliveries",
        "/api/v1/events/processors/p",
        "/api/v1/events/stream/order:1",
        &format!("/api/v1/events/{CLIENT_ID}"),
        &format!("/api/v1/events/{CLIENT_ID}/results"),
    ] {
        answers.push(client.get(path).await);
    }
    answers
}

#[tokio::test]
async fn a_store_that_fails_is_a_5xx_that_tells_nothing_of_the_inside() {
    for (error, status, retry) in [(unavailable as fn() -> StoreError, 503, Some("1")), (corrupt, 500, None)] {
        let mut app = TestApp::in_memory();
        app.app_mut().stores.log = Arc::new(Broken(error));
        app.app_mut().stores.events = Arc::new(Broken(error));
        app.app_mut().stores.definitions = Arc::new(Broken(error));
        app.app_mut().stores.dead_letters = Arc::new(Broken(error));
        let key = app.client().await;
        // The key is remembered, and then its store is gone too.
        key.get(KEYS).await.succeeds();
        let secret = key.request(Method::GET, "/").headers_ref().unwrap()["x-api-key"].to_str().unwrap().to_owned();
        app.app_mut().stores.keys = Arc::new(Broken(error));
        for answer in everything(&app.client_that_presents("x-api-key", &secret)).await {
            assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (status, retry), "{answer}");
            assert!(!answer.text.contains("fire") && !answer.text.contains("arn:"), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_is_told_once_by_each_kind() {
    let mut app = TestApp::in_memory();
    let secret = app.client().await.request(Method::GET, "/").headers_ref().unwrap()["x-api-key"].to_str().unwrap().to_owned();
    app.app_mut().stores.events = Arc::new(Broken(unavailable));
    let unavailable = app.client_that_presents("x-api-key", &secret).get(STATISTICS).await;
    let unhealthy = app.anybody().get("/health").await;
    app.app_mut().stores.events = Arc::new(Broken(corrupt));
    let corrupt = app.client_that_presents("x-api-key", &secret).get(STATISTICS).await;
    assert_snapshot!(format!("{unavailable}\n\n{corrupt}\n\n{}", unhealthy.to_string().replace(env!("CARGO_PKG_VERSION"), "[version]")));
}

#[tokio::test]
async fn a_credential_that_cannot_be_checked_is_no_401() {
    let mut app = TestApp::in_memory();
    app.app_mut().stores.keys = Arc::new(Broken(unavailable));
    assert_snapshot!(app.client_that_presents("x-api-key", "evk_00").get(STATISTICS).await);
    app.anybody().get("/health").await.succeeds();
    assert_eq!(app.client_that_presents("authorization", "Bearer a.b.c").get(STATISTICS).await.status, 401, "it is no key");
}

#[tokio::test]
async fn a_wrong_scope_is_told_before_anything_else() {
    let app = app().await;
    let reader = app.client_with(&[Scope::Read], None).await;
    for path in [CREATE, BATCH, KEYS] {
        assert_eq!(reader.post_text(path, vec![b'['; 10_000_000]).await.status, 403, "{path}");
    }
}

/// What a transform says of its events holds up loops. Who said so itself would have its events left alone by every transform.
#[tokio::test]
async fn nobody_but_the_service_says_of_an_event_what_it_was_derived_by() {
    let app = TestApp::in_memory();
    let client = app.client().await;
    let forged = json!({"derived_by": ["a", "b"], "derivations_left": 0, "kept": 1});
    let event = json!({"event_type": "a", "stream_id": "order:1", "metadata": forged});
    client.post("/api/v1/events/create", &event).await.succeeds();
    client.post("/api/v1/events/batch", &json!({"events": [event]})).await.succeeds();
    // Names may be written with escapes.
    let escaped = r#"{"event_type": "a", "stream_id": "order:1", "metadata": {"deriv\u0061tions_left": 0, "kept": 1}}"#;
    client.post_text("/api/v1/events/create", escaped).await.succeeds();
    app.anybody().post("/api/v1/events/frontend", &json!({"event_type": "a", "session_id": "s", "metadata": forged})).await.succeeds();
    for stream in ["order:1", "session:s"] {
        let answer = client.get(&format!("/api/v1/events/stream/{stream}")).await.ok();
        for event in answer["events"].as_array().unwrap() {
            let metadata = event["metadata"].as_object().unwrap();
            assert!(!metadata.contains_key("derived_by") && !metadata.contains_key("derivations_left"), "{event}");
            assert!(stream != "order:1" || metadata["kept"] == 1, "{event}");
        }
    }
}

/// Fields that only the service fills in change nothing, wherever they are sent.
#[tokio::test]
async fn what_the_service_knows_of_an_event_cannot_be_sent() {
    let app = TestApp::in_memory();
    let client = app.client_of("acme").await;
    let forged = json!({
        "event_type": "a", "stream_id": "order:1", "created_at": "2001-01-01T00:00:00Z", "recorded_at": "2001-01-01T00:00:00Z", "stream_version": 77,
        "status": "failed", "processing_status": "failed", "processing_results": [{"processor": "p"}], "processed_at": "2001-01-01T00:00:00Z",
        "api_key": "evk_0", "key_id": "k", "event_source": "backend",
    });
    client.post("/api/v1/events/create", &forged).await.succeeds();
    client.post("/api/v1/events/batch", &json!([forged])).await.succeeds();
    let mut collected = forged.clone();
    collected["organization_id"] = json!("globex");
    collected["session_id"] = json!("s");
    app.anybody().post("/api/v1/events/frontend", &collected).await.succeeds();
    let stream = client.get("/api/v1/events/stream/order:1").await.ok();
    let versions: Vec<u64> = stream["events"].as_array().unwrap().iter().filter_map(|event| event["stream_version"].as_u64()).collect();
    assert_eq!(versions, [1, 2]);
    let everything = app.client().await.get("/api/v1/events/stream/session:s").await.ok();
    let all = stream["events"].as_array().unwrap().iter().chain(everything["events"].as_array().unwrap());
    let mut count = 0;
    for event in all {
        count += 1;
        let text = event.to_string();
        assert!(!text.contains("2001-01-01") && !text.contains("evk_0") && event["status"] != "failed", "{event}");
        assert!(event["organization_id"] == "acme" || event["organization_id"].is_null(), "{event}");
    }
    assert_eq!(count, 3);
    assert_eq!(app.client_of("globex").await.get("/api/v1/events/statistics").await.ok()["total_events"], 0);
}

#[tokio::test]
async fn a_subscription_and_a_processor_keep_what_the_service_knows_of_them() {
    let app = TestApp::in_memory();
    let client = app.client_of("acme").await;
    let made = client
        .post(
            "/api/v1/events/subscriptions",
            &json!({"subscriber_name": "s", "event_types": ["*"], "created_at": "2001-01-01T00:00:00Z", "failure_count": 9}),
        )
        .await
        .ok();
    let id = made["subscription_id"].as_str().unwrap();
    let forged = json!({
        "subscription_id": "other", "organization_id": "globex", "created_at": "2001-01-01T00:00:00Z", "consecutive_failures": 9, "enabled": true,
    });
    let changed = client.patch(&format!("/api/v1/events/subscriptions/{id}"), &forged).await;
    if changed.status.as_u16() == 200 {
        let changed = changed.ok();
        assert_eq!(
            (&changed["subscription_id"], &changed["organization_id"], &changed["created_at"]),
            (&made["subscription_id"], &made["organization_id"], &made["created_at"])
        );
    }
    assert_eq!(app.client_of("globex").await.get(&format!("/api/v1/events/subscriptions/{id}")).await.status.as_u16(), 404);
    let line = json!({"processor_name": "m", "processor_type": "internal", "config": {"action": "metric", "metric": "x\nERROR a forged line \u{1b}[2J"}});
    assert_eq!(client.post("/api/v1/events/processors", &line).await.status.as_u16(), 422, "its name would break the log's lines");
}

/// A schema of a few kilobytes whose references stand for more steps than any machine takes.
#[tokio::test]
async fn a_schema_that_doubles_itself_is_refused_before_it_holds_anything_up() {
    let app = TestApp::in_memory();
    let next = |number: usize| json!({"$ref": format!("#/$defs/d{number}")});
    let definitions: serde_json::Map<String, Value> = (1..50)
        .map(|number| (format!("d{number}"), json!({"allOf": [next(number + 1), next(number + 1)]})))
        .chain([("d50".to_owned(), json!({"minProperties": 0}))])
        .collect();
    let schema = json!({"event_type": "a", "version": "1.0.0", "schema": {"$ref": "#/$defs/d1", "$defs": definitions}});
    let answer = app.client().await.post("/api/v1/events/schemas", &schema).await;
    assert_eq!(answer.status.as_u16(), 422, "{answer}");
    assert!(answer.text.contains("its references stand for more than"), "{answer}");
}
