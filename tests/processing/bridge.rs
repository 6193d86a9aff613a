//! What is published on NATS and taken in from there, on a broker in memory that fails when it is told to.

use std::time::Duration;

use async_trait::async_trait;
use event_service_tests::world::World;
use lambda_http::Body;
use lambda_http::http::Method;
use lambda_runtime::{Context, LambdaEvent};
use nats_bridge::handle;
use serde_json::{Value, json};
use shared::commands::append::AppendPorts;
use shared::commands::ingest_messages::{IngestMessagesPorts, Ingested, ingest_messages};
use shared::domain::bridge::{BridgeMessage, BridgeStream, IngestFeed};
use shared::domain::claim::{Claim, ClaimKey, Fence, Slot};
use shared::domain::commit::Commit;
use shared::domain::event_id::EventId;
use shared::domain::identifiers::OrganizationId;
use shared::domain::queue::{Queue, WorkQueue};
use shared::domain::stream_id::StreamKey;
use shared::domain::version::Version;
use shared::ports::commit_log::{CommitLog, Put, PutNoting, TogetherWith};
use shared::ports::queue::QueueReceiver as _;
use shared::ports::store_error::StoreError;

use crate::delivery::{create, subscribe};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn orders() -> IngestFeed {
    IngestFeed { stream: "ORDERS".to_owned(), subject: "order.>".parse().unwrap() }
}

fn of(world: &World, stream: BridgeStream) -> Vec<BridgeMessage> {
    world.broker.published().into_iter().filter(|message| message.stream == stream).collect()
}

fn body(message: &BridgeMessage) -> Value {
    serde_json::from_str(&message.body).unwrap()
}

fn header<'a>(message: &'a BridgeMessage, name: &str) -> Option<&'a str> {
    message.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_str())
}

/// The numbers that events of a stream carry, in the order in which they were published.
fn numbers(world: &World, stream: &str) -> Vec<u64> {
    let events = of(world, BridgeStream::Events).into_iter().map(|message| body(&message));
    events.filter(|event| event["stream_id"] == stream).map(|event| event["data"]["number"].as_u64().unwrap()).collect()
}

async fn ingest(world: &World) -> Ingested {
    ingest_messages(&world.background.bridging().unwrap().ingest, &orders(), 100, Duration::ZERO).await.unwrap()
}

/// Scenario 1, API: domain events on NATS.
#[tokio::test]
async fn an_event_is_published_whole_on_its_subject_and_so_is_what_was_told_of_it() {
    let world = World::bridged(Vec::new()).await;
    let client = world.app.client().await;
    let event = json!({
        "event_type": "product_view", "event_source": "frontend", "event_category": "page_view", "user_id": "u1", "correlation_id": "c1",
        "timestamp": "2026-11-23T11:00:00Z", "data": {"sku": 7}, "metadata": {"traceparent": TRACE},
    });
    let id = create(&client, event).await;
    world.settle().await;
    let [published] = &of(&world, BridgeStream::Events)[..] else { panic!("one event") };
    assert_eq!((published.subject.as_str(), published.id.as_str()), ("frontend.page_view.product_view", id.as_str()));
    for (name, expected) in
        [("event_type", "product_view"), ("user_id", "u1"), ("timestamp", "2026-11-23T11:00:00.000000Z"), ("traceparent", TRACE)]
    {
        assert_eq!(header(published, name), Some(expected), "{name}");
    }
    let answered = client.get(&format!("/api/v1/events/{id}")).await.json();
    assert_eq!(body(published), answered, "it is what GET answers");
    let [told] = &of(&world, BridgeStream::DomainEvents)[..] else { panic!("one domain event") };
    assert_eq!((told.subject.as_str(), header(told, "traceparent")), ("event.stored", Some(TRACE)));
    assert_eq!(body(told), world.told("event.stored")[0], "it is what the bus is told");
    assert_eq!(told.id, world.told("event.stored")[0]["id"]);
}

/// API: domain events on NATS.
#[tokio::test]
async fn everything_that_the_bus_is_told_is_published_too() {
    let world = World::bridged(Vec::new()).await;
    let client = world.app.client().await;
    subscribe(&client, json!({"event_types": ["*"]})).await;
    let processor = json!({"processor_name": "p", "processor_type": "webhook", "config": {"url": "https://p.test/"}});
    client.post("/api/v1/events/processors", &processor).await.succeeds();
    for number in 0..3 {
        create(&client, json!({"event_type": "a", "stream_id": "order:1", "data": {"number": number}})).await;
    }
    let replay = json!({"stream_id": "order:1", "target_service": "eventbridge:x"});
    client.post("/api/v1/events/replay", &replay).await.succeeds();
    client.get("/api/v1/events/projections/order/1").await.succeeds();
    world.pass(Duration::from_mins(2)).await;
    let (told, _) = world.bus.entries_after(0);
    let mut told: Vec<(String, Value)> = told
        .into_iter()
        .filter(|entry| !entry.detail_type.starts_with("events.replay."))
        .map(|entry| (entry.detail_type, serde_json::from_str(&entry.detail).unwrap()))
        .collect();
    let mut published: Vec<(String, Value)> =
        of(&world, BridgeStream::DomainEvents).iter().map(|message| (message.subject.clone(), body(message))).collect();
    let by_id = |(_, event): &(String, Value)| event["id"].as_str().unwrap().to_owned();
    told.sort_by_key(by_id);
    published.sort_by_key(by_id);
    assert_eq!(published, told);
    for kind in ["event.stored", "event.processed.success", "event.subscription.created", "event.replay.started", "event.replay.completed"]
    {
        assert!(published.iter().any(|(subject, _)| subject == kind), "{kind}");
    }
}

#[tokio::test]
async fn events_keep_the_order_of_their_stream_however_often_the_broker_fails() {
    let world = World::bridged(Vec::new()).await;
    let client = world.app.client().await;
    for number in 0..40 {
        create(&client, json!({"event_type": "a", "stream_id": format!("order:{}", number % 3), "data": {"number": number}})).await;
    }
    world.dispatch().await;
    // It takes a few messages, fails, and is tried again, over and over.
    for round in 0.. {
        assert!(round < 100, "it never ends");
        world.broker.fail_after(round % 7);
        world.work(WorkQueue::Nats).await;
        // What was dispatched before a crash is dispatched again after it.
        if round == 3 {
            world.dispatch_again();
            world.dispatch().await;
        }
        world.broker.recover();
        if world.background.queues.depth(&Queue::Work(WorkQueue::Nats)).await.unwrap() == 0 {
            break;
        }
        world.app.pass(200);
    }
    for stream in 0..3 {
        let expected: Vec<u64> = (0..40).filter(|number| number % 3 == stream).collect();
        assert_eq!(numbers(&world, &format!("order:{stream}")), expected);
    }
    assert_eq!(of(&world, BridgeStream::DomainEvents).len(), 40);
}

#[tokio::test]
async fn a_message_that_failed_is_tried_again_after_a_second_and_later_and_later() {
    let world = World::bridged(Vec::new()).await;
    let client = world.app.client().await;
    create(&client, json!({"event_type": "a"})).await;
    world.dispatch().await;
    world.broker.fail_after(0);
    let queue = Queue::Work(WorkQueue::Nats);
    for expected in [1, 2, 4, 8, 16, 32, 64, 128, 180, 180] {
        assert!(world.work(WorkQueue::Nats).await > 0);
        let due = world.background.queues.next_visible_at(&queue).unwrap().unwrap();
        assert_eq!(due.since(world.app.now()), Some(Duration::from_secs(expected)));
        world.app.clock.set(due);
    }
    world.broker.recover();
    world.work(WorkQueue::Nats).await;
    assert_eq!(of(&world, BridgeStream::Events).len(), 1);
}

#[tokio::test]
async fn an_event_that_the_broker_finds_too_large_is_published_without_its_payload() {
    let world = World::bridged(Vec::new()).await;
    let client = world.app.client().await;
    world.broker.take_at_most(2_000);
    create(&client, json!({"event_type": "big", "stream_id": "order:1", "data": {"text": "x".repeat(5_000)}})).await;
    let small = create(&client, json!({"event_type": "small", "stream_id": "order:1"})).await;
    world.settle().await;
    let published = of(&world, BridgeStream::Events);
    let subjects: Vec<&str> = published.iter().map(|message| message.subject.as_str()).collect();
    assert_eq!(subjects, ["backend.user_action.big", "backend.user_action.small"]);
    assert_eq!((header(&published[0], "data_omitted"), body(&published[0]).get("data").cloned()), (Some("true"), Some(json!({}))));
    assert_eq!((header(&published[1], "data_omitted"), published[1].id.as_str()), (None, small.as_str()));
}

#[tokio::test]
async fn without_a_bridge_nothing_is_queued_for_it() {
    let world = World::open().await;
    create(&world.app.client().await, json!({"event_type": "a"})).await;
    world.settle().await;
    assert_eq!(world.background.queues.depth(&Queue::Work(WorkQueue::Nats)).await.unwrap(), 0);
    assert!(world.broker.published().is_empty());
}

#[tokio::test]
async fn what_a_broker_has_lost_is_published_again_as_it_was() {
    let world = World::bridged(Vec::new()).await;
    let client = world.app.client().await;
    let processor = json!({"processor_name": "p", "processor_type": "webhook", "config": {"url": "https://p.test/"}});
    client.post("/api/v1/events/processors", &processor).await.succeeds();
    for number in 0..10 {
        let hour = if number < 5 { 10 } else { 11 };
        create(&client, json!({"event_type": "a", "stream_id": "order:1", "data": {"number": number}, "timestamp": format!("2026-11-23T{hour}:00:00Z")}))
            .await;
    }
    world.settle().await;
    let before: Vec<(String, String)> = world.broker.published().into_iter().map(|message| (message.subject, message.id)).collect();
    assert_eq!(before.len(), 30, "ten events, each stored and processed");
    world.broker.wipe();
    let range = json!({"start_time": "2026-11-23T10:30:00Z", "end_time": "2026-11-23T12:00:00Z"});
    let mut dry = range.clone();
    dry["dry_run"] = json!(true);
    let counted = client.post("/api/v1/events/nats/republish", &dry).await.json();
    assert_eq!((&counted["dry_run"], &counted["events_count"]), (&json!(true), &json!(5)));
    world.settle().await;
    assert!(world.broker.published().is_empty(), "a dry run publishes nothing");

    let started = client.post("/api/v1/events/nats/republish", &range).await.json();
    world.pass(Duration::from_mins(2)).await;
    let id = started["replay_id"].as_str().unwrap();
    let replay = client.get(&format!("/api/v1/events/replay/{id}")).await.json();
    assert_eq!((&replay["status"], &replay["replayed"]), (&json!("completed"), &json!(5)));
    assert_eq!(numbers(&world, "order:1"), [5, 6, 7, 8, 9]);
    for message in world.broker.published().iter().filter(|message| !message.subject.starts_with("event.replay.")) {
        assert!(before.contains(&(message.subject.clone(), message.id.clone())), "{message:?}");
    }
    let processed = of(&world, BridgeStream::DomainEvents).iter().filter(|message| message.subject == "event.processed.success").count();
    assert_eq!(processed, 5);
}

#[tokio::test]
async fn a_replay_to_nats_has_a_subject_of_its_own() {
    let world = World::bridged(Vec::new()).await;
    let client = world.app.client().await;
    create(&client, json!({"event_type": "order.placed", "stream_id": "order:1"})).await;
    world.settle().await;
    let started =
        client.post("/api/v1/events/replay", &json!({"stream_id": "order:1", "target_service": "nats:search.index"})).await.json();
    world.pass(Duration::from_mins(1)).await;
    let replayed: Vec<BridgeMessage> =
        of(&world, BridgeStream::Events).into_iter().filter(|message| message.subject.starts_with("replay.")).collect();
    let [message] = &replayed[..] else { panic!("one event") };
    assert_eq!(message.subject, "replay.search_index.order.placed");
    assert_eq!((&body(message)["replay"], &body(message)["replay_id"]), (&json!(true), &started["replay_id"]));
    assert_ne!(message.id, of(&world, BridgeStream::Events)[0].id, "it is no repetition of what was published");
}

#[tokio::test]
async fn a_dry_run_that_is_misspelled_publishes_nothing() {
    let world = World::bridged(Vec::new()).await;
    let request = json!({"start_time": 0, "end_time": 1, "dryrun": true, "stream_id": "order:1"});
    let answer = world.app.client().await.post("/api/v1/events/nats/republish", &request).await;
    assert_eq!(answer.status.as_u16(), 422);
    let named: Vec<Value> = answer.json()["detail"].as_array().unwrap().iter().map(|error| error["loc"][1].clone()).collect();
    assert_eq!(named, [json!("dryrun"), json!("stream_id")]);
}

/// BR-EVT-001: ids are unique within an organization only.
#[tokio::test]
async fn two_organizations_may_choose_one_id_and_both_events_are_published() {
    let world = World::bridged(Vec::new()).await;
    let client = world.app.client().await;
    for organization in ["acme", "globex"] {
        let event = json!({"event_type": "a", "event_id": "7d0a4c1e-0000-4000-8000-000000000001", "organization_id": organization});
        create(&client, event).await;
    }
    create(&client, json!({"event_type": "a", "event_id": "7d0a4c1e-0000-4000-8000-000000000001"})).await;
    world.settle().await;
    let mut ids: Vec<String> = of(&world, BridgeStream::Events).into_iter().map(|message| message.id).collect();
    ids.sort();
    let id = "7d0a4c1e-0000-4000-8000-000000000001";
    assert_eq!(ids, [id.to_owned(), format!("acme/{id}"), format!("globex/{id}")]);
}

#[tokio::test]
async fn who_is_bound_to_an_organization_may_not_publish_and_without_a_bridge_nobody_can() {
    let range = json!({"start_time": 0, "end_time": 1});
    let world = World::bridged(Vec::new()).await;
    assert_eq!(world.app.client_of("acme").await.post("/api/v1/events/nats/republish", &range).await.status.as_u16(), 403);
    let alone = World::open().await;
    let answer = alone.app.client().await.post("/api/v1/events/nats/republish", &range).await;
    assert_eq!((answer.status.as_u16(), answer.json()["detail"].as_str()), (409, Some("no NATS server is configured")));
}

/// API, domain events: ingestion.
#[tokio::test]
async fn a_message_of_another_service_becomes_an_event_once() {
    let world = World::bridged(vec![orders()]).await;
    let client = world.app.client().await;
    let message = json!({"id": "m-1", "type": "order.placed", "source": "order_service", "data": {"user_id": "u1", "total": 5}, "timestamp": "2026-11-23T11:59:00Z"});
    world.broker.send(&orders(), "order.placed", None, message.to_string().as_bytes());
    assert_eq!(ingest(&world).await, Ingested { taken: 1, stored: 1, ..Ingested::default() });
    // Sent again by its sender, and given again by the broker.
    world.broker.send(&orders(), "order.placed", Some("other"), message.to_string().as_bytes());
    assert_eq!(ingest(&world).await, Ingested { taken: 1, repeated: 1, ..Ingested::default() });
    let stream = client.get("/api/v1/events/stream/user:u1").await.json();
    let [event] = &stream["events"].as_array().unwrap()[..] else { panic!("one event") };
    for (member, expected) in [
        ("event_type", "order.placed"),
        ("event_source", "backend"),
        ("event_category", "order"),
        ("timestamp", "2026-11-23T11:59:00.000000Z"),
    ] {
        assert_eq!(event[member], expected);
    }
    assert_eq!((&event["metadata"]["source_service"], &event["metadata"]["original_event_id"]), (&json!("order_service"), &json!("m-1")));
}

#[tokio::test]
async fn messages_of_a_batch_are_stored_in_their_order() {
    let world = World::bridged(vec![orders()]).await;
    for number in 0..60 {
        let message = json!({"id": number, "type": "order.changed", "data": {"user_id": format!("u{}", number % 2), "number": number}});
        world.broker.send(&orders(), "order.changed", None, message.to_string().as_bytes());
    }
    assert_eq!(ingest(&world).await.stored, 60);
    let stream = world.app.client().await.get("/api/v1/events/stream/user:u1?limit=100").await.json();
    let found: Vec<u64> = stream["events"].as_array().unwrap().iter().map(|event| event["data"]["number"].as_u64().unwrap()).collect();
    assert_eq!(found, (0..60).filter(|number| number % 2 == 1).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_poisoned_message_is_kept_with_its_reason_and_does_not_come_again() {
    let world = World::bridged(vec![orders()]).await;
    let client = world.app.client().await;
    world.broker.send(&orders(), "order.placed", Some("bad-1"), b"{\"type\": ");
    world.broker.send(&orders(), "order.placed", None, b"{\"type\":\"order.placed\",\"id\":\"good\"}");
    let expected = Ingested { taken: 2, stored: 1, rejected: 1, ..Ingested::default() };
    assert_eq!(ingest(&world).await, expected);
    assert_eq!(ingest(&world).await, Ingested::default());
    let rejected = client.get("/api/v1/events/rejected").await.json();
    let [kept] = &rejected["rejected_events"].as_array().unwrap()[..] else { panic!("one rejected event: {rejected}") };
    assert_eq!((&kept["collector"], &kept["reason"], &kept["body"]), (&json!("nats"), &json!("invalid_json"), &json!("{\"type\": ")));
    // Somebody mends it.
    let path = format!("/api/v1/events/rejected/{}/retry", kept["rejected_event_id"].as_str().unwrap());
    client.post(&path, &json!({"type": "order.placed"})).await.succeeds();
    let statistics = client.get("/api/v1/events/rejected").await.json();
    assert_eq!(statistics["rejected_events"], json!([]));
}

#[tokio::test]
async fn what_this_service_has_published_is_not_taken_in_again() {
    let world = World::bridged(vec![orders()]).await;
    let client = world.app.client().await;
    create(&client, json!({"event_type": "order.placed", "user_id": "u1"})).await;
    create(&client, json!({"event_type": "order.placed", "user_id": "u1", "event_id": "0190f3a1-7e1b-7c3d-8e4f-5a6b7c8d9e0f"})).await;
    world.settle().await;
    // It comes round without a header, as through a bridge of somebody else's that drops them.
    for message in world.broker.published() {
        world.broker.send(&orders(), "order.placed", None, message.body.as_bytes());
    }
    let ingested = ingest(&world).await;
    assert_eq!((ingested.taken, ingested.stored, ingested.own, ingested.repeated), (4, 0, 2, 2));
    assert_eq!(client.get("/api/v1/events/stream/user:u1").await.json()["version"], 2);
}

#[tokio::test]
async fn a_whole_event_of_another_deployment_keeps_its_id_and_its_stream() {
    let (there, here) = (World::bridged(Vec::new()).await, World::bridged(vec![orders()]).await);
    let sent = json!({"event_type": "order.placed", "event_category": "order", "stream_id": "order:1", "organization_id": "acme", "data": {"total": 1.50}});
    let id = create(&there.app.client().await, sent).await;
    there.settle().await;
    let [message] = &of(&there, BridgeStream::Events)[..] else { panic!("one event") };
    for _ in 0..2 {
        here.broker.send(&orders(), "order.placed", None, message.body.as_bytes());
        ingest(&here).await;
    }
    let event = here.app.client_of("acme").await.get(&format!("/api/v1/events/{id}")).await.json();
    assert_eq!((&event["stream_id"], &event["stream_version"], &event["data"]), (&json!("order:1"), &json!(1), &json!({"total": 1.50})));
}

#[tokio::test]
async fn the_schedule_takes_in_all_there_is_and_says_how_nats_is() {
    let world = World::bridged(vec![orders()]).await;
    for number in 0..450 {
        world.broker.send(&orders(), "order.a", None, json!({"type": "order.a", "id": number}).to_string().as_bytes());
    }
    let run = || {
        let ports = world.background.bridging().unwrap();
        async move { handle(&ports, LambdaEvent::new(json!({}), Context::default())).await }
    };
    let answer = run().await.unwrap();
    assert_eq!((&answer["stored"], &answer["waiting"]), (&json!(450), &json!(0)));
    let client = world.app.client().await;
    let health = |connected: bool, nats: &'static str| {
        let client = &client;
        async move {
            let health = client.get("/health").await;
            assert_eq!((health.status.as_u16(), &health.json()["dependencies"]["nats"]), (200, &json!(nats)));
            assert_eq!(client.get("/api/v1/events/frontend/health").await.json()["nats_connected"], connected);
        }
    };
    health(true, "healthy").await;
    world.broker.fail_after(0);
    run().await.unwrap_err();
    health(false, "unhealthy").await;
    world.broker.recover();
    run().await.unwrap();
    health(true, "healthy").await;
    // Nobody has looked for a while.
    world.app.pass(200);
    health(false, "unhealthy").await;
}

/// W3C Trace Context.
#[tokio::test]
async fn a_trace_goes_with_the_event_to_webhooks_and_processors_and_makes_no_retry_another_request() {
    let world = World::bridged(Vec::new()).await;
    let client = world.app.client().await;
    subscribe(&client, json!({"event_types": ["*"]})).await;
    let processor = json!({"processor_name": "p", "processor_type": "webhook", "config": {"url": "https://p.test/"}});
    client.post("/api/v1/events/processors", &processor).await.succeeds();
    let event = json!({"event_type": "a", "event_id": "0190f3a1-7e1b-7c3d-8e4f-5a6b7c8d9e0f"}).to_string();
    for trace in [TRACE, &TRACE.replace("00f067aa", "11f067aa"), "nonsense"] {
        let request = client.request(Method::POST, "/api/v1/events/create").header("traceparent", trace);
        let answer = client.send(request, Body::from(event.clone())).await.ok();
        assert_eq!(answer["metadata"], json!({"traceparent": TRACE}), "it is the first request again");
    }
    world.settle().await;
    for url in ["https://shop.test/hooks", "https://p.test/"] {
        let [sent] = &world.receivers.requests(url)[..] else { panic!("one request to {url}") };
        assert_eq!(sent.header("traceparent"), TRACE, "{url}");
    }
    assert_eq!(header(&of(&world, BridgeStream::Events)[0], "traceparent"), Some(TRACE));
}

/// The store is away: nothing is acknowledged, and nothing is lost or doubled when it is back.
#[tokio::test]
async fn a_message_that_the_store_does_not_take_comes_again() {
    let world = World::bridged(vec![orders()]).await;
    world.broker.send(&orders(), "order.placed", None, br#"{"type":"order.placed","id":"m-1","data":{"user_id":"u1"}}"#);
    let ports = world.background.bridging().unwrap().ingest;
    let away = Away;
    let refusing = IngestMessagesPorts { append: AppendPorts { log: &away, ..ports.append }, ..ports };
    let refused = ingest_messages(&refusing, &orders(), 10, Duration::ZERO).await.unwrap();
    assert_eq!(refused, Ingested { taken: 1, again: 1, ..Ingested::default() });
    assert_eq!(ingest(&world).await, Ingested { taken: 1, stored: 1, ..Ingested::default() });
    assert_eq!(ingest(&world).await, Ingested::default());
}

/// A log that never answers.
struct Away;

fn away<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("away".into()))
}

#[async_trait]
impl CommitLog for Away {
    async fn head(&self, _: &StreamKey) -> Result<Version, StoreError> {
        away()
    }
    async fn commit_at(&self, _: &Slot) -> Result<Option<Commit>, StoreError> {
        away()
    }
    async fn commit_holding(&self, _: &StreamKey, _: Version) -> Result<Option<Commit>, StoreError> {
        away()
    }
    async fn is_placed(&self, _: EventId, _: Option<&OrganizationId>) -> Result<bool, StoreError> {
        away()
    }
    async fn put(&self, _: &[Commit]) -> Result<Put, StoreError> {
        away()
    }
    async fn put_noting(&self, _: &[Commit], _: &TogetherWith) -> Result<PutNoting, StoreError> {
        away()
    }
    async fn claim(&self, _: &ClaimKey) -> Result<Option<Claim>, StoreError> {
        away()
    }
    async fn put_claim(&self, _: &ClaimKey, _: &Claim) -> Result<Option<Claim>, StoreError> {
        away()
    }
    async fn move_claim(&self, _: &ClaimKey, _: Fence, _: &Claim) -> Result<bool, StoreError> {
        away()
    }
}
