//! The walls between organizations: whatever others do, a bound key gets the answers that it would
//! get if it were alone, through every route.
//!
//! A history is made of random requests of three callers: the keys of two organizations, and one
//! that is bound to none. Their ids, names, `Idempotency-Key`s and streams come from the same few,
//! and the ids that a caller asks for are mostly those of others. Then each organization's requests,
//! and those that the unbound key made in that organization, are sent again to an empty service. All
//! answers must be the same to the byte.

use std::collections::BTreeSet;

use event_service_tests::Store;
use event_service_tests::app::{Answer, Client, TestApp};
use lambda_http::http::Method;
use lambda_http::{Body, http};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use shared::domain::dead_letter::DeadLetter;
use shared::domain::delivery::DeliveryState;
use shared::domain::queue::WorkQueue;

use super::dead_letters::letter;
use super::subscriptions::{delivery, keep_delivery, messages};
use super::{BATCH, CREATE, DEAD_LETTERS, KEYS, PROCESSORS, QUERY, STATISTICS, SUBSCRIPTIONS};

const ORGANIZATIONS: [&str; 2] = ["org_a", "org_b"];

/// Who sends a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Who {
    /// The key of an organization.
    Bound(usize),
    /// The key of the platform, about an organization, or about none.
    Platform(Option<usize>),
}

/// What a request is for. Numbers pick from what there is when it is sent.
#[derive(Debug, Clone)]
enum Act {
    Create { event: Draft, key: Option<u8> },
    Batch { events: Vec<Draft>, key: Option<u8> },
    Get { id: usize },
    Query { filter: Vec<(&'static str, u8)>, limit: u8, offset: u8 },
    NextPage { cursor: usize },
    Statistics { user: Option<u8>, foreign: bool },
    Stream { stream: u8, from: u8, foreign: bool },
    StreamOfEvent { id: usize },
    CreateKey { foreign: bool },
    ListKeys,
    RevokeKey { id: usize },
}

#[derive(Debug, Clone)]
struct Draft {
    event_type: u8,
    user: Option<u8>,
    /// One of three orders, or what looks like the own stream of an event.
    stream: Option<u8>,
    id: Option<Id>,
    expected: Option<u8>,
    seconds: u8,
    /// Names the other organization, or this one, or none.
    organization: Named,
}

/// An id that a client gives its event.
#[derive(Debug, Clone, Copy)]
enum Id {
    /// One of a few.
    Own(u8),
    /// That of an event that somebody has seen.
    Seen(usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Named {
    Own,
    Other,
    Nothing,
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![
        4 => (0..2_usize).prop_map(Who::Bound),
        1 => prop::option::of(0..2_usize).prop_map(Who::Platform),
    ]
}

fn draft() -> impl Strategy<Value = Draft> {
    let organization = prop_oneof![6 => Just(Named::Nothing), 3 => Just(Named::Own), 1 => Just(Named::Other)];
    (
        0..3_u8,
        prop::option::of(0..2_u8),
        prop::option::of(0..4_u8),
        prop::option::weighted(0.35, prop_oneof![3 => (0..4_u8).prop_map(Id::Own), 1 => any::<usize>().prop_map(Id::Seen)]),
        prop::option::weighted(0.2, 0..3_u8),
        0..4_u8,
        organization,
    )
        .prop_map(|(event_type, user, stream, id, expected, seconds, organization)| Draft {
            event_type,
            user,
            stream,
            id,
            expected,
            seconds,
            organization,
        })
}

fn act() -> impl Strategy<Value = Act> {
    let key = || prop::option::weighted(0.3, 0..3_u8);
    let filter =
        prop::collection::vec((prop::sample::select(vec!["event_type", "user_id", "data", "status", "organization_id"]), 0..3_u8), 0..3);
    prop_oneof![
        6 => (draft(), key()).prop_map(|(event, key)| Act::Create { event, key }),
        3 => (prop::collection::vec(draft(), 0..4), key()).prop_map(|(events, key)| Act::Batch { events, key }),
        3 => any::<usize>().prop_map(|id| Act::Get { id }),
        3 => (filter, 1..5_u8, 0..3_u8).prop_map(|(filter, limit, offset)| Act::Query { filter, limit, offset }),
        1 => any::<usize>().prop_map(|cursor| Act::NextPage { cursor }),
        2 => (prop::option::of(0..2_u8), prop::bool::weighted(0.2)).prop_map(|(user, foreign)| Act::Statistics { user, foreign }),
        3 => (0..3_u8, 0..3_u8, prop::bool::weighted(0.2)).prop_map(|(stream, from, foreign)| Act::Stream { stream, from, foreign }),
        1 => any::<usize>().prop_map(|id| Act::StreamOfEvent { id }),
        1 => prop::bool::weighted(0.3).prop_map(|foreign| Act::CreateKey { foreign }),
        1 => Just(Act::ListKeys),
        1 => any::<usize>().prop_map(|id| Act::RevokeKey { id }),
    ]
}

fn history(acts: usize) -> impl Strategy<Value = Vec<(Who, Act)>> {
    prop::collection::vec((who(), act()), 1..acts)
}

/// What has been seen by anybody, for others to ask for.
#[derive(Default)]
struct Seen {
    events: Vec<String>,
    cursors: Vec<Value>,
    /// Each with the organization that it is bound to.
    keys: Vec<(String, Option<usize>)>,
}

impl Seen {
    fn learn(&mut self, answer: &Answer) {
        let Ok(json) = serde_json::from_str::<Value>(&answer.text) else { return };
        let one = std::slice::from_ref(&json);
        let events = json.as_array().map(Vec::as_slice).or_else(|| json["events"].as_array().map(Vec::as_slice)).unwrap_or(one);
        self.events.extend(events.iter().filter_map(|event| event["event_id"].as_str()).map(str::to_owned));
        self.cursors.extend(json.get("next_cursor").filter(|cursor| cursor.is_string()).cloned());
        if let (Some(id), Some(_)) = (json["key_id"].as_str(), json.get("api_key")) {
            self.keys.push((id.to_owned(), ORGANIZATIONS.iter().position(|name| json["organization_id"] == *name)));
        }
    }

    fn event(&self, pick: usize) -> String {
        pick_from(&self.events, pick).unwrap_or_else(|| client_id(0))
    }
}

fn pick_from<T: Clone>(list: &[T], pick: usize) -> Option<T> {
    list.get(pick % list.len().max(1)).cloned()
}

fn client_id(number: u8) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// A request that is ready to be sent.
#[derive(Debug, Clone)]
struct Sent {
    who: Who,
    method: Method,
    path: String,
    body: Value,
    key: Option<u8>,
    /// The organization that a request of the platform's is about, which is the only one that may notice.
    about: Option<usize>,
}

impl Sent {
    fn new(who: Who, act: &Act, seen: &Seen) -> Self {
        let (home, about) = match who {
            Who::Bound(organization) => (Some(organization), Some(organization)),
            Who::Platform(about) => (about, about),
        };
        let own = home.map(|organization| ORGANIZATIONS[organization]);
        let other = ORGANIZATIONS[1 - home.unwrap_or(0)];
        // The platform names what its request is about, always and nothing else.
        let named = |named: Named| match (who, named) {
            (Who::Platform(_), _) | (Who::Bound(_), Named::Own) => own,
            (Who::Bound(_), Named::Other) => Some(other),
            (Who::Bound(_), Named::Nothing) => None,
        };
        let mark = format!("made-by-{}", own.unwrap_or("nobody"));
        let event = |draft: &Draft| {
            let expected = draft.expected.map_or(json!("any"), |version| json!(version));
            json!({
                "event_type": format!("type.{}", draft.event_type),
                "user_id": draft.user.map(|user| format!("user {user}")),
                "stream_id": draft.stream.map(|stream| match stream {
                    0..3 => format!("order:{stream}"),
                    _ => format!("event:{}", seen.event(seen.events.len() / 2)),
                }),
                "organization_id": named(draft.organization),
                "event_id": draft.id.map(|id| match id {
                    Id::Own(number) => client_id(number),
                    Id::Seen(pick) => seen.event(pick),
                }),
                "expected_version": expected,
                "timestamp": 1_795_400_000 + i64::from(draft.seconds),
                "data": {"mark": mark, "n": draft.event_type},
            })
        };
        let query_string = |foreign: bool, more: String| {
            let organization = if foreign { named(Named::Other) } else { named(Named::Nothing) };
            organization.map_or_else(|| format!("?{more}"), |organization| format!("?organization_id={organization}&{more}"))
        };
        let post = |path: &str, body: Value| (Method::POST, path.to_owned(), body, None);
        let get = |path: String| (Method::GET, path, Value::Null, None);
        let mut about = about;
        let (method, path, body, key) = match act {
            Act::Create { event: draft, key } => (Method::POST, CREATE.to_owned(), event(draft), *key),
            Act::Batch { events, key } => {
                let events: Vec<Value> = events.iter().map(event).collect();
                (Method::POST, BATCH.to_owned(), events.into(), *key)
            }
            Act::Get { id } => get(format!("/api/v1/events/{}", seen.event(*id))),
            Act::Query { filter, limit, offset } => {
                let mut query = json!({"limit": limit, "offset": offset});
                for (name, value) in filter {
                    query[name] = match *name {
                        "event_type" => json!(format!("type.{value}")),
                        "user_id" => json!(format!("user {value}")),
                        "data" => json!({"n": value}),
                        "status" => json!(["processed", "pending"][usize::from(*value) % 2]),
                        _ => json!(ORGANIZATIONS[usize::from(*value) % 2]),
                    };
                }
                post(QUERY, query)
            }
            Act::NextPage { cursor } => post(QUERY, json!({"limit": 3, "cursor": pick_from(&seen.cursors, *cursor)})),
            Act::Statistics { user, foreign } => {
                let user = user.map_or_else(String::new, |user| format!("user_id=user+{user}"));
                get(format!("{STATISTICS}{}", query_string(*foreign, user)))
            }
            Act::Stream { stream, from, foreign } => {
                get(format!("/api/v1/events/stream/order:{stream}{}", query_string(*foreign, format!("from_version={from}"))))
            }
            Act::StreamOfEvent { id } => get(format!("/api/v1/events/stream/event:{}", seen.event(*id))),
            Act::CreateKey { foreign } => {
                let organization = if *foreign { named(Named::Other) } else { named(Named::Nothing) };
                post(KEYS, json!({"name": mark, "scopes": ["events:read"], "organization_id": organization}))
            }
            Act::ListKeys => get(KEYS.to_owned()),
            Act::RevokeKey { id } => {
                let (id, bound_to) = pick_from(&seen.keys, *id).unwrap_or(("0000000000000000".to_owned(), None));
                if let Who::Platform(_) = who {
                    about = bound_to;
                }
                (Method::DELETE, format!("{KEYS}/{id}"), Value::Null, None)
            }
        };
        Self { who, method, path, body, key, about }
    }

    async fn send(&self, client: &Client<'_>) -> Answer {
        let mut request = client.request(self.method.clone(), &self.path);
        if let Some(key) = self.key {
            // The platform's own keys are its own affair: it has others for each organization.
            let of = match self.who {
                Who::Bound(_) => "",
                Who::Platform(about) => about.map_or("nobody", |organization| ORGANIZATIONS[organization]),
            };
            request = request.header("idempotency-key", format!("key-{key}{of}"));
        }
        client.send(request, if self.body.is_null() { Body::Empty } else { Body::from(self.body.to_string()) }).await
    }

    /// Whether the answer depends on what has been counted.
    fn is_of_counters(&self) -> bool {
        self.path.starts_with(STATISTICS) || self.path == QUERY
    }
}

/// A service with the three keys, and what it needs to be counted.
struct World {
    app: TestApp,
    store: Option<Store>,
}

impl World {
    async fn on(kind: Kind) -> Self {
        match kind {
            Kind::Memory => Self { app: TestApp::in_memory(), store: None },
            Kind::Dynamo => {
                let store = Store::open().await;
                Self { app: TestApp::on(&store), store: Some(store) }
            }
        }
    }

    /// Answers each of the requests, at the moment and with the random bits of its number.
    async fn answer(&self, client: &Client<'_>, number: usize, sent: &Sent) -> Answer {
        self.app.random.seed(number as u64 * 1_000_003);
        let start = shared::testing::builders::noon();
        self.app.clock.set(start.plus_micros(i64::try_from(number).unwrap() * 1_000));
        if let Some(store) = self.store.as_ref().filter(|_| sent.is_of_counters()) {
            store.count().await;
        }
        sent.send(client).await
    }

    async fn clients(&self) -> [Client<'_>; 3] {
        [self.app.client_of(ORGANIZATIONS[0]).await, self.app.client_of(ORGANIZATIONS[1]).await, self.app.client().await]
    }
}

fn client<'a, 'b>(clients: &'b [Client<'a>; 3], who: Who) -> &'b Client<'a> {
    match who {
        Who::Bound(organization) => &clients[organization],
        Who::Platform(_) => &clients[2],
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Memory,
    Dynamo,
}

/// Sends a history, and checks what each organization sees of it.
async fn check(kind: Kind, history: &[(Who, Act)]) {
    let world = World::on(kind).await;
    let clients = world.clients().await;
    let mut seen = Seen::default();
    let mut answered: Vec<(usize, Sent, Answer)> = Vec::new();
    for (number, (who, act)) in history.iter().enumerate() {
        let sent = Sent::new(*who, act, &seen);
        let answer = world.answer(client(&clients, *who), number, &sent).await;
        assert!(answer.status.as_u16() < 500, "{sent:?}\n{answer}");
        seen.learn(&answer);
        answered.push((number, sent, answer));
    }

    for (organization, name) in ORGANIZATIONS.iter().enumerate() {
        let other = ORGANIZATIONS[1 - organization];
        let own = answered.iter().filter(|(_, sent, _)| sent.who == Who::Bound(organization));
        for (_, sent, answer) in own {
            for mark in [format!("made-by-{other}"), "made-by-nobody".to_owned()] {
                assert!(!answer.text.contains(&mark), "{name} sees {mark}: {sent:?}\n{answer}");
            }
        }
        let alone = World::on(kind).await;
        let clients = alone.clients().await;
        for (number, sent, answer) in &answered {
            let belongs = match sent.who {
                Who::Bound(who) => who == organization,
                Who::Platform(_) => sent.about == Some(organization),
            };
            if belongs {
                let again = alone.answer(client(&clients, sent.who), *number, sent).await;
                if sent.who == Who::Bound(organization) {
                    assert_eq!(again, *answer, "{name} notices others: {sent:?}\nwith them {answer}\nalone {again}");
                }
            }
        }
    }

    let everything = clients[2].post(QUERY, &json!({"limit": 1000})).await.ok();
    let kept: BTreeSet<(String, String)> = everything["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["data"]["mark"].as_str().unwrap().to_owned(), event["organization_id"].as_str().unwrap_or("nobody").to_owned()))
        .collect();
    for (mark, owner) in kept {
        assert_eq!(mark, format!("made-by-{owner}"), "an event is where its sender may write");
    }
}

fn run(kind: Kind, cases: u32, acts: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&history(acts), |history| {
            runtime.block_on(check(kind, &history));
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_bound_key_gets_the_answers_that_it_would_get_alone() {
    run(Kind::Memory, 200, 60);
}

#[test]
fn a_bound_key_gets_the_answers_that_it_would_get_alone_on_dynamodb() {
    run(Kind::Dynamo, 5, 40);
}

/// The same event id, `Idempotency-Key`, user and stream in two organizations and in none.
async fn the_same_names_everywhere(world: &World) {
    let clients = world.clients().await;
    let event =
        |mark: &str| json!({"event_type": "a", "event_id": client_id(1), "stream_id": "order:1", "user_id": "u", "data": {"mark": mark}});
    let mut answers = Vec::new();
    for (client, mark) in clients.iter().zip(["a", "b", "nobody"]) {
        let mut batch = json!([event(mark)]);
        batch[0].as_object_mut().unwrap().remove("event_id");
        for (path, key, body) in [(CREATE, None, event(mark)), (BATCH, Some("key"), batch)] {
            let answer = match key {
                Some(key) => client.post_once(key, path, &body).await,
                None => client.post(path, &body).await,
            };
            answer.succeeds();
            assert_eq!(answer.header("idempotency-replayed"), None, "{mark}: it is new here");
            answers.push(answer);
        }
    }
    if let Some(store) = &world.store {
        store.count().await;
    }
    for (client, mark) in clients.iter().zip(["a", "b"]) {
        assert_eq!(client.get(&format!("/api/v1/events/{}", client_id(1))).await.ok()["data"]["mark"], mark);
        assert_eq!(client.get("/api/v1/events/stream/order:1").await.ok()["version"], 2);
        assert_eq!(client.post(QUERY, &json!({"user_id": "u"})).await.ok()["total"], 2);
        assert_eq!(client.get(&format!("{STATISTICS}?user_id=u")).await.ok()["total_events"], 2);
        let conflict = client.post(CREATE, &json!({"event_type": "a", "stream_id": "order:1", "expected_version": 6})).await;
        assert_eq!((conflict.status, &conflict.json()["actual_version"]), (http::StatusCode::CONFLICT, &json!(2)));
    }
    assert_eq!(clients[2].post(QUERY, &json!({"user_id": "u"})).await.ok()["total"], 6);
}

/// BR-EVT-001.
#[tokio::test]
async fn ids_keys_and_streams_of_one_organization_never_meet_those_of_another() {
    for kind in [Kind::Memory, Kind::Dynamo] {
        the_same_names_everywhere(&World::on(kind).await).await;
    }
}

/// What is asked, by method and path, with the body; `{id}`, `{key}`, `{subscription}`, `{delivery}`, `{processor}` and `{letter}` are the
/// other organization's.
const ASKED: [(&str, &str, &str, u16); 35] = [
    ("GET", "/api/v1/events/{id}", "", 404),
    ("POST", "/api/v1/events/create", r#"{"event_type":"x","organization_id":"org_b"}"#, 403),
    ("POST", "/api/v1/events/batch", r#"[{"event_type":"x"},{"event_type":"x","organization_id":"org_b"}]"#, 403),
    ("POST", "/api/v1/events/query", r#"{"organization_id":"org_b"}"#, 200),
    ("POST", "/api/v1/events/query", r#"{"event_type":"secret"}"#, 200),
    ("POST", "/api/v1/events/query", r#"{"data":{"secret":"b"}}"#, 200),
    ("GET", "/api/v1/events/statistics?organization_id=org_b", "", 403),
    ("GET", "/api/v1/events/stream/order:1?organization_id=org_b", "", 403),
    ("GET", "/api/v1/events/stream/order:1", "", 200),
    ("POST", "/api/v1/keys", r#"{"name":"k","scopes":["admin"],"organization_id":"org_b"}"#, 403),
    ("DELETE", "/api/v1/keys/{key}", "", 404),
    ("GET", "/api/v1/events/{id}/results", "", 404),
    ("GET", SUBSCRIPTIONS, "", 200),
    ("POST", SUBSCRIPTIONS, r#"{"event_types":["*"],"organization_id":"org_b"}"#, 403),
    ("POST", SUBSCRIPTIONS, r#"{"event_types":["*"],"subscription_id":"{subscription}"}"#, 409),
    ("GET", "/api/v1/events/subscriptions/{subscription}", "", 404),
    ("PATCH", "/api/v1/events/subscriptions/{subscription}", r#"{"enabled":false}"#, 404),
    ("DELETE", "/api/v1/events/subscriptions/{subscription}", "", 404),
    ("POST", "/api/v1/events/subscriptions/{subscription}/rotate-secret", "", 404),
    ("POST", "/api/v1/events/subscriptions/{subscription}/test", "", 404),
    ("GET", "/api/v1/events/subscriptions/{subscription}/deliveries", "", 404),
    ("POST", "/api/v1/events/subscriptions/{subscription}/deliveries/{delivery}/resend", "", 404),
    ("POST", "/api/v1/events/subscriptions/{subscription}/recover", r#"{"since":0,"scope":"all"}"#, 404),
    ("GET", PROCESSORS, "", 200),
    ("POST", PROCESSORS, r#"{"processor_name":"x","processor_type":"internal","organization_id":"org_b"}"#, 403),
    ("GET", "/api/v1/events/processors/{processor}", "", 404),
    ("PUT", "/api/v1/events/processors/{processor}/toggle", "", 404),
    ("POST", "/api/v1/events/processors/{processor}/test", r#"{"event":{"event_type":"x"}}"#, 404),
    ("DELETE", "/api/v1/events/processors/{processor}", "", 404),
    ("GET", DEAD_LETTERS, "", 200),
    ("GET", "/api/v1/events/dead-letters?event_id={id}", "", 200),
    ("POST", "/api/v1/events/dead-letters/redrive", r#"{"all":true}"#, 200),
    ("POST", "/api/v1/events/dead-letters/redrive", r#"{"dead_letter_id":"{letter}"}"#, 404),
    ("POST", "/api/v1/events/dead-letters/redrive", r#"{"subscription_id":"{subscription}"}"#, 200),
    ("DELETE", "/api/v1/events/dead-letters/{letter}", "", 404),
];

#[tokio::test]
async fn no_route_lets_a_bound_key_reach_into_another_organization() {
    let world = World::on(Kind::Dynamo).await;
    let [a, b, platform] = world.clients().await;
    let event = json!({"event_type": "secret", "stream_id": "order:1", "data": {"secret": "b"}, "user_id": "u"});
    let id = b.post(CREATE, &event).await.ok()["event_id"].as_str().unwrap().to_owned();
    let key = b.post(KEYS, &json!({"name": "secret", "scopes": ["events:read"]})).await.ok()["key_id"].as_str().unwrap().to_owned();
    let subscription = json!({"event_types": ["secret"], "subscriber_name": "secret", "callback_url": "https://receiver.example/secret"});
    let subscription = b.post(SUBSCRIPTIONS, &subscription).await.ok()["subscription_id"].as_str().unwrap().to_owned();
    let failed = delivery(&subscription, 0, DeliveryState::Failed);
    keep_delivery(&world.app, &failed).await;
    let processor = json!({"processor_name": "secret", "processor_type": "internal", "filters": {"event_type": "secret"}});
    let processor = b.post(PROCESSORS, &processor).await.ok()["processor_id"].as_str().unwrap().to_owned();
    let letter =
        DeadLetter { reason: "secret".to_owned(), ..letter("063900360000000000-0000000000000001", WorkQueue::Deliver, Some("org_b")) };
    world.app.app.stores.dead_letters.park(&letter).await.unwrap();
    let owned = async || {
        let mut answers = Vec::new();
        for path in [KEYS, SUBSCRIPTIONS, PROCESSORS, DEAD_LETTERS, &format!("{SUBSCRIPTIONS}/{subscription}/deliveries")] {
            answers.push(b.get(path).await.ok());
        }
        answers
    };
    let before = owned().await;
    for (method, path, body, status) in ASKED {
        let fill = |text: &str| {
            let values = [
                ("{id}", &id),
                ("{key}", &key),
                ("{subscription}", &subscription),
                ("{processor}", &processor),
                ("{letter}", &letter.id.0),
            ];
            let text = values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
            text.replace("{delivery}", failed.id.as_str())
        };
        let (path, body) = (fill(path), fill(body));
        let answer = a.send(a.request(method.parse().unwrap(), &path), Body::from(body.as_str())).await;
        assert_eq!(answer.status, status, "{method} {path} {body}\n{answer}");
        assert!(!answer.text.contains("secret") && !answer.text.contains(&id), "{method} {path} {body}\n{answer}");
    }
    assert_eq!(owned().await, before, "nothing was changed");
    for queue in WorkQueue::ALL {
        assert!(messages(&world.app, *queue).await.is_empty(), "nothing was sent");
    }
    assert!(!a.get(KEYS).await.text.contains("secret"));
    let all = platform.post(QUERY, &json!({})).await.ok();
    assert_eq!((all["total"].as_u64(), all["events"][0]["event_id"].as_str()), (Some(1), Some(id.as_str())), "nothing was written");
    assert!(b.get(KEYS).await.text.contains(&key), "nothing was revoked");
}

/// Names that look like parts of keys, patterns and paths are names like any other.
#[tokio::test]
async fn no_name_of_an_organization_reaches_into_another() {
    let names =
        ["a", "a/b", "a#b", "a#k", "a#e", "a%2Fb", "a%23k", "%25", "*", "@a", "@", "~", "A", "a ", "null", "none", "é", "a:b", "order:1"];
    for kind in [Kind::Memory, Kind::Dynamo] {
        let world = World::on(kind).await;
        for name in names {
            let client = world.app.client_of(name).await;
            for (stream, key) in [("order:1", "key"), ("b/order:1", "b#k#key"), ("a:b/order:1", "k#key")] {
                let event = json!({"event_type": name, "stream_id": stream, "user_id": "u", "session_id": "s", "data": {"mark": name}});
                let answer = client.post_once(key, CREATE, &event).await;
                assert_eq!((&answer.ok()["stream_version"], answer.header("idempotency-replayed")), (&json!(1), None), "{name} {stream}");
            }
            let event = json!({"event_type": name, "event_id": client_id(1), "data": {"mark": name}});
            let answer = client.post(CREATE, &event).await;
            assert_eq!((answer.status.as_u16(), answer.header("idempotency-replayed")), (200, None), "{name}");
        }
        if let Some(store) = &world.store {
            store.count().await;
        }
        for name in names {
            let client = world.app.client_of(name).await;
            for (path, events) in [
                (format!("/api/v1/events/{}", client_id(1)), 1),
                ("/api/v1/events/stream/order:1".to_owned(), 1),
                ("/api/v1/events/stream/b/order:1".to_owned(), 1),
                ("/api/v1/events/stream/a:b/order:1".to_owned(), 1),
            ] {
                let text = client.get(&path).await.ok().to_string();
                assert_eq!(text.matches("\"mark\"").count(), events, "{name} {path}");
                assert_eq!(text.matches(&json!({"mark": name}).to_string()).count(), events, "{name} {path}");
            }
            for (query, total) in
                [(json!({}), 4), (json!({"user_id": "u"}), 3), (json!({"session_id": "s"}), 3), (json!({"event_type": name}), 4)]
            {
                let page = client.post(QUERY, &query).await.ok();
                assert_eq!(page["total"], total, "{name} {query}");
                assert!(page["events"].as_array().unwrap().iter().all(|event| event["data"]["mark"] == name), "{name} {query}");
            }
            assert_eq!(client.get(STATISTICS).await.ok()["events_by_type"], json!({name: 4}), "{name}");
        }
    }
}
